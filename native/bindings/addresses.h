// What the parts of binarynet._training share: tensors as addresses, and kernels by their names.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "training/multiply.h"

using Address = uintptr_t;

template <typename T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

inline const binarynet::training::Kernel& kernel_named(const std::string& name) {
    for (const auto* kernel : binarynet::training::kernels())
        if (name == kernel->name && kernel->runs()) return *kernel;
    throw std::invalid_argument("no kernel " + name + " on this CPU");
}

// training_passes.cpp: norms and pools.
void bind_passes(nanobind::module_& m);
