# Debian's Emscripten, and node, which runs what it makes:
#   apt-get install emscripten
#   cmake --toolchain native/toolchains/wasm32.cmake -S . -B build/wasm -DBINARYNET_TESTS=ON
#   ctest --test-dir build/wasm
set(EMSCRIPTEN_SYSTEM_PROCESSOR wasm32)
if(NOT DEFINED EMSCRIPTEN_ROOT_PATH)
  set(EMSCRIPTEN_ROOT_PATH /usr/share/emscripten)
endif()
include(${EMSCRIPTEN_ROOT_PATH}/cmake/Modules/Platform/Emscripten.cmake)

# Libraries that are headers alone hold for every machine; what else lies in /usr/include is this one's.
set(headers ${CMAKE_BINARY_DIR}/headers)
file(MAKE_DIRECTORY ${headers})
foreach(library nlohmann doctest)
  if(EXISTS /usr/include/${library})
    file(CREATE_LINK /usr/include/${library} ${headers}/${library} SYMBOLIC)
  endif()
endforeach()
if(EXISTS ${headers}/nlohmann)
  set(NLOHMANN_JSON ${headers} CACHE PATH "Where nlohmann/json.hpp is")
endif()

# C++ exceptions as WebAssembly's own, not by calls into JavaScript. Paths of this machine are no part of what is made.
string(APPEND CMAKE_CXX_FLAGS_INIT " -fwasm-exceptions -isystem ${headers} -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.")
string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT " -fwasm-exceptions")
# Debian's JavaScript libraries, which another node than Debian's does not look for.
set_property(GLOBAL PROPERTY RULE_LAUNCH_LINK "${CMAKE_COMMAND} -E env NODE_PATH=/usr/share/nodejs")
# What it writes for node 12 takes the `fetch` of node 18 for a browser's.
set(CMAKE_CROSSCOMPILING_EMULATOR node;--no-experimental-fetch)
