#include "rows.h"

namespace binarynet {

namespace {

constexpr size_t kBlock = 2048;  // numbers

const uint8_t* of(const Frame& frame, int value, size_t bytes) {
    return value < 0 ? nullptr : frame.at<uint8_t>(value) + bytes;
}

// All that the steps read but what they hand to each other.
std::vector<int> outside(const std::vector<std::unique_ptr<RowStep>>& steps) {
    std::vector<int> found;
    for (size_t i = 0; i < steps.size(); ++i)
        for (const int read : steps[i]->reads())
            if (!i || read != steps[i - 1]->writes()) found.push_back(read);
    return found;
}

// Values that fit a second cache are taken to be there.
void count_values(Work& work, const Frame& frame, size_t bytes_of_image) {
    const size_t bytes = frame.images * bytes_of_image;
    if (bytes > 1 << 20) work[Work::far_values] = static_cast<double>(bytes) / 1024;
}

}  // namespace

Work RowStep::work(const Frame& frame) const {
    Work work = counts(frame);
    count_values(work, frame, rows_ * (reads().size() * width_ * sizeof(float) + made_bytes_));
    return work;
}

void RowStep::run(const Frame& frame) const {
    const int beside = reads().size() > 1 ? reads()[1] : -1;
    const size_t bytes = width_ * sizeof(float);  // of a number, int32 or float32
    frame.split(work(frame), frame.images * rows_, std::max<size_t>(1, 1024 / width_),
                [&](size_t begin, size_t end, int) {
                    apply(frame, of(frame, reads()[0], begin * bytes), of(frame, beside, begin * bytes),
                          frame.at<uint8_t>(writes()) + begin * made_bytes_, end - begin);
                });
}

Chain::Chain(std::vector<std::unique_ptr<RowStep>> steps)
    : Step(steps[0]->op(), outside(steps), steps.back()->writes()), steps_(std::move(steps)) {
    for (size_t i = 0; i < steps_.size(); ++i) {
        const std::vector<int>& reads = steps_[i]->reads();
        const bool second =
            i && reads[0] != steps_[i - 1]->writes();  // the chain's value is the second of two
        beside_.push_back(reads.size() < 2 ? -1 : reads[second ? 0 : 1]);
    }
}

size_t Chain::block() const {
    return std::max<size_t>(1, kBlock / steps_[0]->width());
}

void Chain::run(const Frame& frame) const {
    const RowStep &first = *steps_.front(), &last = *steps_.back();
    const size_t bytes = first.width() * sizeof(float), rows = frame.images * first.rows();
    const bool in_place = last.makes_reals();
    frame.split(work(frame), rows, block(), [&](size_t row, size_t end, int slot) {
        for (size_t count; row < end; row += count) {
            count = std::min(block(), end - row);
            uint8_t* const out = frame.at<uint8_t>(writes()) + row * last.made_bytes();
            uint8_t* const between =
                in_place ? out : frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
            const void* in = of(frame, first.reads()[0], row * bytes);
            for (size_t i = 0; i < steps_.size(); ++i) {
                void* const to = i + 1 < steps_.size() ? between : out;
                steps_[i]->apply(frame, in, of(frame, beside_[i], row * bytes), to, count);
                in = to;
            }
        }
    });
}

Work Chain::work(const Frame& frame) const {
    Work sum;
    for (const auto& step : steps_) {
        const Work one = step->counts(frame);
        for (size_t i = 0; i < Work::kCounts; ++i) sum.amount[i] += one.amount[i];
    }
    sum[Work::steps] = 1;
    const RowStep& first = *steps_.front();
    count_values(
        sum, frame,
        first.rows() * (reads().size() * first.width() * sizeof(float) + steps_.back()->made_bytes()));
    return sum;
}

std::string Chain::kernel(const Frame& frame) const {
    return "one pass of " + std::to_string(steps_.size()) + " to " + steps_.back()->kernel(frame);
}

size_t Chain::scratch_bytes() const {
    return block() * steps_[0]->width() * sizeof(float);
}

}  // namespace binarynet
