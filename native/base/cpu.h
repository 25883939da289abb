// What the CPU has and the operating system allows, where the compiler's __builtin_cpu_supports does not say.
#pragma once

namespace binarynet {

// Are there int8 tiles, and does the operating system lend them to this process? Asks once.
bool amx_permitted();
bool amx_has_bf16();  // their other product

bool cpu_has_dotprod();  // FEAT_DotProd

}  // namespace binarynet
