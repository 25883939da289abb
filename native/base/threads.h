// One pool of threads for the process. A region of work runs on the caller and on as many workers as are
// awake in time; a region that finds the pool busy (another session, or a region inside a region) runs on its
// caller alone. So any number of threads may call any number of sessions, none waits for another, and results
// never depend on it.
#pragma once

#include <stddef.h>

#include <type_traits>

namespace binarynet {

// BINARYNET_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may use (affinity and cgroup
// quota). Throws std::invalid_argument if a variable is set to something that is not a positive number.
int default_threads();

#if defined(__wasm__) && !defined(__EMSCRIPTEN_PTHREADS__)
constexpr int kMaxThreads = 1;  // a module has the thread that calls it
#else
constexpr int kMaxThreads = 255;
#endif

// task(context, index, slot): index in [0, count), slot in [0, threads); no two tasks run in one slot at a
// time.
using Task = void (*)(void* context, size_t index, int slot);

void run_tasks(size_t count, int threads, Task task, void* context);

// body(index, slot), which must not throw.
template <class Body>
void parallel_for(size_t count, int threads, Body&& body) {
    if (threads <= 1 || count <= 1) {
        for (size_t i = 0; i < count; ++i) body(i, 0);
        return;
    }
    using Plain = std::remove_reference_t<Body>;
    run_tasks(
        count, threads, [](void* context, size_t i, int slot) { (*static_cast<Plain*>(context))(i, slot); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace binarynet
