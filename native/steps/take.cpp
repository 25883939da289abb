#include "runs.h"
#include "steps.h"

namespace binarynet {

namespace {

class TakeStep final : public Step {
 public:
    TakeStep(std::string op, int source, int target, const Value& from, const Value& to,
             std::vector<int32_t> rows, std::vector<int32_t> columns, const std::vector<int32_t>& channels)
        : Step(std::move(op), {source}, target),
          from_(from),
          to_(to),
          rows_(std::move(rows)),
          columns_(std::move(columns)),
          runs_(runs_of(channels, from)),
          nothing_{{kNowhere, to.channels}} {}

    void run(const Frame& frame) const override {
        if (from_.store == Value::codes)
            numbers<uint8_t>(frame, zero_code(from_));
        else if (from_.store == Value::bits)
            bits(frame);
        else
            numbers<uint32_t>(frame, 0);  // of int32 and of float32 alike
    }
    Work work(const Frame& frame) const override {
        // A run is copied by a call, which takes as long as a few numbers.
        const size_t each =
            from_.store == Value::bits ? to_.row_words() + 2 * runs_.size() : to_.channels + 6 * runs_.size();
        return {Work::elements, double(frame.images) * double(to_.pixels() * each)};
    }
    std::string kernel(const Frame&) const override { return "take"; }

 private:
    // body(row of the output, its image, the source's row or −1) for all rows.
    template <class Body>
    void each_row(const Frame& frame, Body&& body) const {
        frame.split(work(frame), frame.images * rows_.size(), 1, [&](size_t row, size_t end, int) {
            for (; row < end; ++row) body(row, row / rows_.size(), rows_[row % rows_.size()]);
        });
    }

    template <typename T>
    void numbers(const Frame& frame, T zero) const {
        const T* in = frame.at<T>(reads()[0]);
        T* out = frame.at<T>(writes());
        const size_t size = from_.numbers(), line = from_.flat ? 0 : from_.width * from_.channels;
        each_row(frame, [&](size_t row, size_t image, int32_t y) {
            T* to = out + row * to_.width * to_.channels;
            for (const int32_t x : columns_) {
                const bool there = y >= 0 && x >= 0;
                const T* pixel = in + image * size;
                if (there) pixel += static_cast<size_t>(y) * line + static_cast<size_t>(x) * from_.channels;
                to = copy_runs(pixel, there ? runs_ : nothing_, zero, to);
            }
        });
    }

    void bits(const Frame& frame) const {
        const uint64_t* in = frame.at<uint64_t>(reads()[0]);
        uint64_t* out = frame.at<uint64_t>(writes());
        const size_t words = from_.row_words(), size = from_.pixels() * words, made = to_.row_words();
        const uint64_t zero = zero_code(from_) & 1;
        each_row(frame, [&](size_t row, size_t image, int32_t y) {
            uint64_t* to = out + row * to_.width * made;
            for (size_t column = 0; column < columns_.size(); ++column, to += made) {
                const int32_t x = columns_[column];
                const bool there = y >= 0 && x >= 0;
                const uint64_t* pixel = in + image * size;
                if (there && !from_.flat)
                    pixel += (static_cast<size_t>(y) * from_.width + static_cast<size_t>(x)) * words;
                BitWriter writer(to);
                copy_runs(pixel, there ? runs_ : nothing_, zero, writer);
                writer.finish();
            }
        });
    }

    Value from_, to_;
    std::vector<int32_t> rows_, columns_;
    std::vector<Run> runs_, nothing_;
};

}  // namespace

std::unique_ptr<Step> make_take(std::string op, int source, int target, const Value& from, const Value& to,
                                std::vector<int32_t> rows, std::vector<int32_t> columns,
                                const std::vector<int32_t>& channels) {
    return std::make_unique<TakeStep>(std::move(op), source, target, from, to, std::move(rows),
                                      std::move(columns), channels);
}

}  // namespace binarynet
