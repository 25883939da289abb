// How often anything took memory from the heap since the process began.
#pragma once

#include <cstddef>

size_t allocations();
