// compile (.*):
#include "geometry.h"

namespace binarynet::training {

namespace {

// source(place, tap) → where, or `none`.
constexpr size_t kNone = ~size_t{0};

template <class Source>
Axis make(size_t places, size_t sources, size_t kernel, Source&& source) {
    Axis axis;
    axis.places = places, axis.sources = sources;
    for (size_t place = 0; place < places; ++place) {
        std::vector<size_t> taps;
        std::vector<ptrdiff_t> apart;
        size_t first = 0;
        for (size_t tap = 0; tap < kernel; ++tap) {
            const size_t at = source(place, tap);
            if (at == kNone) continue;
            if (taps.empty()) first = at;
            taps.push_back(tap);
            apart.push_back(static_cast<ptrdiff_t>(at) - static_cast<ptrdiff_t>(first));
        }
        size_t which = 0;
        while (which < axis.groups.size() && axis.groups[which].taps != taps) ++which;
        if (which == axis.groups.size()) axis.groups.push_back({taps, {}, {}, apart});
        Axis::Group& group = axis.groups[which];
        group.places.push_back(place);
        group.sources.push_back(first);
    }
    return axis;
}

}  // namespace

Axis Axis::forward(const Side& s) {
    return make(s.out(), s.size, s.kernel, [&](size_t place, size_t tap) {
        const size_t at = place * s.stride + tap * s.dilation;  // counted from the padding's edge
        return at < s.padding || at - s.padding >= s.size ? kNone : at - s.padding;
    });
}

Axis Axis::backward(const Side& s) {
    return make(s.size, s.out(), s.kernel, [&](size_t place, size_t tap) {
        const size_t at = place + s.padding, before = tap * s.dilation;
        if (at < before || (at - before) % s.stride) return kNone;
        const size_t out = (at - before) / s.stride;
        return out < s.out() ? out : kNone;
    });
}

}  // namespace binarynet::training
