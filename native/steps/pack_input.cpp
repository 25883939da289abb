#include "steps.h"

namespace binarynet {

namespace {

class PackInput final : public Step {
 public:
    PackInput(std::string op, int source, int target, const Value& bits)
        : Step(std::move(op), {source}, target), bits_(bits) {}

    void run(const Frame& frame) const override {
        const uint8_t* in = frame.at<uint8_t>(reads()[0]);
        uint64_t* out = frame.at<uint64_t>(writes());
        const size_t channels = bits_.channels, words = bits_.row_words();
        frame.split(work(frame), frame.images * bits_.pixels(), 1, [&](size_t row, size_t end, int) {
            if (whole()) {
                const size_t rows = end - row;
                frame.kernels.split(in + row * channels, rows * channels, 1, out + row * words, rows * words);
                return;
            }
            for (; row < end; ++row)
                frame.kernels.split(in + row * channels, channels, 1, out + row * words, words);
        });
    }
    Work work(const Frame& frame) const override {
        const double rows = double(frame.images) * double(bits_.pixels());
        Work work(Work::packed, rows * double(bits_.row_words()));
        work[Work::packed_rows] = whole() ? 1 : rows;
        return work;
    }
    std::string kernel(const Frame&) const override { return "split"; }

 private:
    // Do the words of a row have no tail, so that all rows are one?
    bool whole() const { return bits_.channels % kWord == 0; }

    Value bits_;
};

}  // namespace

std::unique_ptr<Step> make_pack_input(std::string op, int source, int target, const Value& bits) {
    return std::make_unique<PackInput>(std::move(op), source, target, bits);
}

}  // namespace binarynet
