# Debian's cross compiler, and an emulator that runs what it makes:
#   apt-get install g++-aarch64-linux-gnu qemu-user
#   cmake --toolchain native/toolchains/aarch64-linux-gnu.cmake -S . -B build/aarch64 -DBINARYNET_TESTS=ON
#   QEMU_CPU=cortex-a53 ctest --test-dir build/aarch64      no dot products; max has all there is
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
