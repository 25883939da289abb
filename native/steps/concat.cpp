#include <numeric>

#include "runs.h"
#include "steps.h"

namespace binarynet {

namespace {

class ConcatStep final : public Step {
 public:
    ConcatStep(std::string op, std::vector<int> sources, int target, std::vector<Value> parts,
               const Value& to)
        : Step(std::move(op), std::move(sources), target), parts_(std::move(parts)), to_(to) {
        for (const Value& part : parts_) {
            std::vector<int32_t> all(part.flat ? part.numbers() : part.channels);
            std::iota(all.begin(), all.end(), 0);
            runs_.push_back(runs_of(all, part));
        }
    }

    void run(const Frame& frame) const override {
        if (to_.store == Value::codes)
            numbers<uint8_t>(frame);
        else if (to_.store == Value::bits)
            bits(frame);
        else
            numbers<uint32_t>(frame);
    }
    Work work(const Frame& frame) const override {
        const size_t each = to_.store == Value::bits ? to_.row_words() + 2 * parts_.size()
                                                     : to_.channels / 2 + 6 * parts_.size();
        return {Work::elements, double(frame.images) * double(to_.pixels() * each)};
    }
    std::string kernel(const Frame&) const override { return "concat"; }

 private:
    template <typename T>
    void numbers(const Frame& frame) const {
        frame.split(work(frame), frame.images * to_.pixels(), 1, [&](size_t begin, size_t end, int) {
            size_t at = 0;
            for (size_t part = 0; part < parts_.size(); at += parts_[part++].channels) {
                const size_t channels = parts_[part].channels;
                const T* in = frame.at<T>(reads()[part]);
                T* out = frame.at<T>(writes()) + at;
                for (size_t pixel = begin; pixel < end; ++pixel)
                    std::memcpy(out + pixel * to_.channels, in + pixel * channels, channels * sizeof(T));
            }
        });
    }

    void bits(const Frame& frame) const {
        frame.split(work(frame), frame.images * to_.pixels(), 1, [&](size_t pixel, size_t end, int) {
            for (; pixel < end; ++pixel) {
                BitWriter writer(frame.at<uint64_t>(writes()) + pixel * to_.row_words());
                for (size_t part = 0; part < parts_.size(); ++part) {
                    const Value& from = parts_[part];  // flat: all of its pixels are one of ours
                    const size_t words = from.row_words() * (from.flat ? from.pixels() : 1);
                    copy_runs(frame.at<uint64_t>(reads()[part]) + pixel * words, runs_[part], 0, writer);
                }
                writer.finish();
            }
        });
    }

    std::vector<Value> parts_;
    Value to_;
    std::vector<std::vector<Run>> runs_;
};

}  // namespace

std::unique_ptr<Step> make_concat(std::string op, std::vector<int> sources, int target,
                                  std::vector<Value> parts, const Value& to) {
    return std::make_unique<ConcatStep>(std::move(op), std::move(sources), target, std::move(parts), to);
}

}  // namespace binarynet
