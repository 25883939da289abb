#include "runs.h"

namespace binarynet {

std::vector<Run> runs_of(const std::vector<int32_t>& channels, const Value& from) {
    std::vector<Run> runs;
    for (const int32_t channel : channels) {
        size_t at = kNowhere;
        if (channel >= 0) {
            at = static_cast<size_t>(channel);
            if (from.flat) at = at / from.channels * from.row_words() * kWord + at % from.channels;
        }
        const bool goes_on =
            !runs.empty() &&
            (at == kNowhere ? runs.back().from == kNowhere
                            : runs.back().from != kNowhere && runs.back().from + runs.back().count == at);
        if (goes_on)
            ++runs.back().count;
        else
            runs.push_back({at, 1});
    }
    return runs;
}

}  // namespace binarynet
