// The steps of one op each: pack_input.cpp makes what make_pack_input declares, and so on. Those that a
// product takes into itself have a header of their own, threshold.h and affine.h.
#pragma once

#include <memory>

#include "step.h"
#include "window.h"

namespace binarynet {

std::unique_ptr<Step> make_pack_input(std::string op, int source, int target, const Value& bits);
// Codes or bits → the numbers that they mean, int32 or float32.
std::unique_ptr<Step> make_widen(std::string op, int source, int target, const Value& from, bool to_float);
std::unique_ptr<Step> make_copy(std::string op, int source, int target, const Value& value);
std::unique_ptr<Step> make_max_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window, const std::vector<uint8_t>& minimum);
std::unique_ptr<Step> make_sum_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window);
std::unique_ptr<Step> make_add(std::string op, int left, int right, int target, const Value& value);
// Of two values of one shape; make_mul is the general one.
std::unique_ptr<Step> make_product(std::string op, int left, int right, int target, const Value& value);
// The sizes of `by` are those of `value`, or 1.
std::unique_ptr<Step> make_mul(std::string op, int source, int factor, int target, const Value& value,
                               const Value& by);
std::unique_ptr<Step> make_relu(std::string op, int source, int target, const Value& value);
std::unique_ptr<Step> make_prelu(std::string op, int source, int target, const Value& value,
                                 std::vector<float> slope);
std::unique_ptr<Step> make_apply(std::string op, int source, int target, const Value& value,
                                 const std::string& function);
// −1 makes a 0.
std::unique_ptr<Step> make_take(std::string op, int source, int target, const Value& from, const Value& to,
                                std::vector<int32_t> rows, std::vector<int32_t> columns,
                                const std::vector<int32_t>& channels);
std::unique_ptr<Step> make_concat(std::string op, std::vector<int> sources, int target,
                                  std::vector<Value> parts, const Value& to);

}  // namespace binarynet
