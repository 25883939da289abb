// The kernels of amx_strips.cpp, for the table in amx.cpp.
#pragma once

#include "contract.h"

namespace binarynet {

void amx_expand(const Pixels& pixels);
void amx_strips_bits(const GemmBits& g, const Strips& rows);
void amx_strips_i32(const GemmI32& g, const Strips& rows);

}  // namespace binarynet
