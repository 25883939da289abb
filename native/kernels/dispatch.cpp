// compile (.*):
//
// Compiled for the base instruction set: it decides which of the files beside it may run.
#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <stdexcept>

#include "base/cpu.h"

namespace binarynet {

#define KERNELS(name, title, condition) extern const KernelTable name##_kernels;
#include "kernels.inc"
#undef KERNELS

namespace {

#define KERNELS(name, title, condition) \
    bool name##_supported() {           \
        return condition;               \
    }
#include "kernels.inc"
#undef KERNELS

std::string listing() {
    std::string text;
    for (const Kernels* k : available_kernels()) text += (text.empty() ? "" : ", ") + std::string(k->name);
    return text;
}

// What a table leaves out, from the next line that the CPU supports and that has its panels.
void complete(std::vector<Kernels>& list) {
    const Kernels* next = nullptr;
    for (auto k = list.rbegin(); k != list.rend(); ++k) {
#if defined(__x86_64__)
        if (k->intel_prices && __builtin_cpu_is("intel")) k->prices = k->intel_prices;
#endif
        if (next && !k->split) k->split = next->split;
        if (next && !k->threshold_i32) k->threshold_i32 = next->threshold_i32;
        if (next && !k->threshold_f32) k->threshold_f32 = next->threshold_f32;
        if (next && !k->levels_i32) k->levels_i32 = next->levels_i32;
        if (next && !k->levels_f32) k->levels_f32 = next->levels_f32;
        if (next && !k->gemm_real_f32) k->gemm_real_f32 = next->gemm_real_f32;
        if (next && !k->gemm_real_i8) k->gemm_real_i8 = next->gemm_real_i8;
        if (next && !k->depthwise_reals) k->depthwise_reals = next->depthwise_reals;
        if (next && !k->vertical_bytes) {
            k->list_pair = next->list_pair;
            k->vertical_bits = next->vertical_bits;
            k->vertical_i32 = next->vertical_i32;
            k->sliced_bits = next->sliced_bits;
            k->transpose = next->transpose;
            k->slide = next->slide;
            k->vertical_bytes = next->vertical_bytes;
        }
        if (next && !k->lookup.channels) {
            k->lookup_bits = next->lookup_bits;
            k->lookup_i32 = next->lookup_i32;
            k->lookup = next->lookup;
        }
        if (next && !k->prices) k->prices = next->prices;
        if (next && !k->gemm_select && k->panel.channels == next->panel.channels &&
            k->panel.bytes == next->panel.bytes)
            k->gemm_select = next->gemm_select;
        if (!k->supported()) continue;
        if (!k->split || !k->threshold_i32 || !k->threshold_f32 || !k->levels_i32 || !k->levels_f32 ||
            !k->gemm_select || !k->gemm_real_f32 || !k->gemm_real_i8 || !k->depthwise_reals ||
            !k->vertical_bytes || !k->prices)
            throw std::logic_error(std::string("the kernels of '") + k->name +
                                   "' are not complete, and the next line of kernels.inc does not fill them");
        next = &*k;
    }
}

std::atomic<const Kernels*> chosen{nullptr};

}  // namespace

namespace {

std::vector<Kernels>& kernels_with_prices() {
    static std::vector<Kernels> all = [] {
        std::vector<Kernels> list;
#define KERNELS(name, title, condition) list.push_back({name##_kernels, #name, title, name##_supported});
#include "kernels.inc"
#undef KERNELS
        complete(list);
        return list;
    }();
    return all;
}

}  // namespace

const std::vector<Kernels>& compiled_kernels() {
    return kernels_with_prices();
}

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> supported = [] {
        std::vector<const Kernels*> list;
        for (const Kernels& k : compiled_kernels())
            if (k.supported()) list.push_back(&k);
        return list;
    }();
    return supported;
}

const Kernels& kernels_named(const std::string& name) {
    for (const Kernels& k : compiled_kernels()) {
        if (name != k.name) continue;
        if (k.supported()) return k;
        throw std::invalid_argument("instruction set '" + name + "' (" + k.title +
                                    ") is not supported by this CPU; available here: " + listing());
    }
    throw std::invalid_argument("unknown instruction set '" + name + "'; available here: " + listing());
}

const Kernels& active_kernels() {
    if (const Kernels* k = chosen.load()) return *k;
    static const std::string wanted = [] {
        const char* text = std::getenv("BINARYNET_ISA");
        return std::string(text ? text : "");
    }();
    if (wanted.empty()) return *available_kernels().front();
    try {
        return kernels_named(wanted);
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("BINARYNET_ISA: " + std::string(error.what()));
    }
}

void use_kernels(const std::string& name) {
    chosen.store(name.empty() ? nullptr : &kernels_named(name));
}

void use_prices(const std::string& name, const Prices& prices) {
    const Kernels* const wanted = &kernels_named(name);
    static std::mutex lock;
    static std::deque<Prices> kept;  // those of before may be in use
    const std::lock_guard<std::mutex> guard(lock);
    kept.push_back(prices);
    for (Kernels& k : kernels_with_prices())
        if (&k == wanted) __atomic_store_n(&k.prices, &kept.back(), __ATOMIC_RELEASE);
}

}  // namespace binarynet
