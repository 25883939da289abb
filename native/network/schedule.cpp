#include "schedule.h"

#include "base/memory.h"

namespace binarynet {

namespace {

// What the images of a stage hand from step to step: L2 has room for panels and for a block of expanded rows
// besides. Input and output, the caller's memory, stream past.
constexpr size_t kStageBytes = 256 << 10;

}  // namespace

Schedule::Schedule(const std::vector<std::unique_ptr<Step>>& steps, const std::vector<Value>& values,
                   const std::vector<int>& roots, int input, int output)
    : roots_(roots), lives_(values.size()) {
    for (const Value& value : values) bytes_.push_back(value.bytes());
    std::vector<size_t> stage_of;
    size_t largest = 0, traffic = 0;
    for (size_t i = 0; i < steps.size(); ++i) {
        const int made = roots[static_cast<size_t>(steps[i]->writes())];
        if (!largest) stages_.push_back({i, i, 0});
        largest = std::max(largest, this->bytes(made));
        const bool ends = 2 * this->bytes(made) <= largest;
        size_t bytes = 0;
        auto touch = [&](int value) {
            Life& life = lives_[static_cast<size_t>(value)];
            life.first = std::min(life.first, i);
            life.last = std::max(life.last, i);
            if (value != input && value != output) bytes += this->bytes(value);
        };
        touch(made);
        for (int read : steps[i]->reads()) touch(roots[static_cast<size_t>(read)]);
        traffic = std::max(traffic, bytes);
        stages_.back().end = i + 1;
        stages_.back().images = std::max<size_t>(1, kStageBytes / std::max<size_t>(traffic, 1));
        stage_of.push_back(stages_.size() - 1);
        if (ends) largest = traffic = 0;
    }
    for (const auto& step : steps) {
        const int made = roots[static_cast<size_t>(step->writes())];
        if (made != output) order_.push_back(made);
    }
    for (size_t v = 0; v < values.size(); ++v) {
        Life& life = lives_[v];
        life.crosses = static_cast<int>(v) == input || static_cast<int>(v) == output;
        if (life.first > life.last) continue;
        life.stage = stage_of[life.first];
        const Stage &from = stages_[life.stage], &to = stages_[stage_of[life.last]];
        if (&from == &to) continue;
        // The first images of a stage are through while the last have not begun.
        life = {from.begin, to.end - 1, life.stage, true};
    }
}

// Each value gets the lowest place that is free for all of its life.
size_t Schedule::place(size_t images, size_t threads, size_t* offsets) const {
    struct Place {
        size_t begin, end;
        const Life& life;
    };
    std::vector<Place> placed;
    size_t total = 0;
    for (int value : order_) {
        const Life& life = lives_[static_cast<size_t>(value)];
        const size_t copies =
            life.crosses ? images : std::min(images, checked_product(stages_[life.stage].images, threads));
        const size_t size = round_up(checked_product(bytes(value), copies), kLine);
        size_t begin = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (const Place& other : placed) {
                const bool together = life.first <= other.life.last && other.life.first <= life.last;
                if (!together || begin >= other.end || other.begin >= begin + size) continue;
                begin = other.end;
                moved = true;
            }
        }
        placed.push_back({begin, begin + size, life});
        if (offsets) offsets[value] = begin;
        total = std::max(total, begin + size);
    }
    return total;
}

}  // namespace binarynet
