#include "pool.h"
#include "steps.h"

namespace binarynet {

namespace {

template <typename T>
struct Sum {
    static constexpr Work::Count count = Work::pooled_sums;
    T begin(size_t) const { return 0; }
    T take(T sum, T x, size_t) const { return sum + x; }
    T end(T sum, size_t) const { return sum; }
};

}  // namespace

std::unique_ptr<Step> make_sum_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window) {
    if (from.store == Value::i32)
        return std::make_unique<Pool<int32_t, Sum<int32_t>>>(std::move(op), source, target, from.channels,
                                                             window, Sum<int32_t>{});
    return std::make_unique<Pool<float, Sum<float>>>(std::move(op), source, target, from.channels, window,
                                                     Sum<float>{});
}

}  // namespace binarynet
