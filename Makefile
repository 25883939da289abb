# make demo   train, lower, save, load, prove and time a small net, from nothing
# make test   everything that must hold before a change is committed
# make papers every recipe, small: trained, lowered, compared, in one table; those for ImageNet whole, but not trained
# make library        libbinarynet and bnn, in build/native (docs/embed.md)
# make embed-check    the library installed, and both examples built against it, with two compilers
# make bench-check  the suite's own rows against the last kept run on this kind of processor: ratios 10 % worse are named
# make docs   the site, in build/site; a link that leads nowhere or a name without a page is an error
# make docs-version     the site as this version's, in the local branch gh-pages beside those of before; nothing is pushed
# make check-isa        every instruction set of this machine, and those of AArch64 under emulation, with ==
# make check-arm        those of AArch64 alone
# make wasm             the engine as WebAssembly, put into the npm package (docs/browser.md)
# make check-wasm       the native tests and the reader's as WebAssembly, in node
# make web-check        the npm package and the page in node and Chromium: every test image, sizes, ratios
# make scale-check      Ray with two workers, one killed on the way: 10⁶ images, none lost, none twice (docs/scale.md)
# make circuits-check   what constant weights allow (docs/circuits.md), and 10,000 images through circuits in Verilator
# make boards           bitstreams for the iCEBreaker and the ULX3S, and the board in simulation (docs/circuits.md)
# make check-sanitized  the native tests under ASan + UBSan, and under TSan
# make check-clang      the native tests as Clang compiles them
# make check-gpu-tiles  every tile of every GPU kernel compiled for sm_80 and sm_90a, none of which spills; no GPU needed
# make gpu-check        all that a GPU is asked, in 485 s and without a network; elsewhere it says what it did not do
# make fuzz SECONDS=600            files and graphs that nobody wrote, and a table of what became of them
# make fuzz-reader SECONDS=600     the two readers of .bnn files against each other, the C++ one with ASan + UBSan
# make fuzz-sanitized SECONDS=600  random graphs on the engine built with ASan + UBSan
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE := CMakeLists.txt $(wildcard native/*/* native/*/*/*)
# Tests read real data sets from here when it is set; without it they use the digits that come along.
export BINARYNET_DATA
# Several test processes share the cores; threads that spin while they wait would stop the others.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: circuits-check boards wasm check-wasm web-check scale-check demo test papers docs docs-version lint bench-check library embed-check fuzz-reader check-native check-isa check-arm check-sanitized \
	check-clang check-gpu-tiles gpu-check fuzz fuzz-sanitized clean

demo: $(VENV)/installed
	$(BIN)/binarynet demo

test: $(VENV)/installed lint check-native check-arm
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

papers: $(VENV)/installed
	$(BIN)/python benchmarks/papers.py
	$(BIN)/python benchmarks/imagenet.py

# Ratios to torch and to the limit, measured in the same run, so that a slower day is no regression.
bench-check: $(VENV)/installed
	$(BIN)/binarynet bench suite --peers binarynet:default,torch:float32 --seconds 0.3 \
		--against benchmarks/results --out runs/bench-check

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# mike keeps a folder for each version in a branch; the selector at the top of the pages lists them.
docs-version: docs
	PATH=$(abspath $(BIN)):$$PATH NO_MKDOCS_2_WARNING=1 $(BIN)/mike --quiet deploy --update-aliases \
		$$($(BIN)/python -c 'from importlib.metadata import version; print(".".join(version("binarynet").split(".")[:2]))') latest
	$(BIN)/mike --quiet set-default latest

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(wildcard native/*/*.cpp native/*/*.h native/*/*/*.cpp native/*/*/*.h src/binarynet/export/c/parts/*.[ch] src/binarynet/export/bitslice/parts/*.c src/binarynet/gpu/cuda/* tests/gpu/emulator/* benchmarks/gpu/*.cu)

# The library is built where its JSON header is, and once: emulated and sanitized builds have their own way to it.
NLOHMANN := $(if $(shell $(or $(CXX),c++) -x c++ -fsyntax-only -include nlohmann/json.hpp /dev/null 2>&1),OFF,ON)
# $(call configure,folder,what is different): the native code with its tests, warnings as errors.
configure = $(BIN)/cmake -S . -B build/$(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) \
	-DBINARYNET_TESTS=ON -DBINARYNET_WERROR=ON -DBINARYNET_LIBRARY=OFF $(2) >build/$(1).log 2>&1 || { cat build/$(1).log; exit 1; }
# $(call missing,tool:package …): what this machine lacks, as a sentence, or nothing.
missing = $(foreach need,$(1),$(if $(shell command -v $(firstword $(subst :, ,$(need)))),,\
	no $(firstword $(subst :, ,$(need))) (Debian package $(lastword $(subst :, ,$(need))));))
ctest = $(BIN)/ctest --test-dir build/$(1) --output-on-failure $(CTEST_FLAGS)

# A header, not a program: the native tests are written in it.
DOCTEST_MISSING := $(if $(shell $(or $(CXX),c++) -x c++ -fsyntax-only -include doctest/doctest.h /dev/null 2>&1),\
	no doctest (Debian package doctest-dev);)

ifneq ($(strip $(DOCTEST_MISSING)),)
check-native:
	@echo "check-native: 1 skipped: $(strip $(DOCTEST_MISSING))"
else
check-native: build/native/build.ninja
	$(BIN)/cmake --build build/native
	$(call ctest,native)
endif

build/native/build.ninja: $(VENV)/installed
	@mkdir -p build
	$(call configure,native,-DBINARYNET_BENCH=ON -DBINARYNET_LIBRARY=$(NLOHMANN))

# The C library with its tool, and what the tests of its reader talk to (docs/embed.md).
LIBRARY_MISSING := $(DOCTEST_MISSING) $(if $(filter OFF,$(NLOHMANN)),\
	no nlohmann-json (Debian package nlohmann-json3-dev);)
ifneq ($(strip $(LIBRARY_MISSING)),)
library embed-check fuzz-reader:
	@echo "$@: 1 skipped: $(strip $(LIBRARY_MISSING))"
else
library: build/native/build.ninja
	$(BIN)/cmake --build build/native --target binarynet binarynet_static bnn reader_pipe \
		>build/library.log || { cat build/library.log; exit 1; }

embed-check: library
	$(BIN)/python -m tests.library.embed

# The Python and the C++ reader on the same files, the second one built with ASan and UBSan.
fuzz-reader: $(VENV)/installed
	@mkdir -p build
	$(configure_asan)
	$(BIN)/cmake --build build/asan --target reader_pipe
	BINARYNET_READER=build/asan/reader_pipe $(BIN)/python -m tests.fuzz --seconds $(SECONDS) reader
endif

# The lines of the native tests, one for each instruction set, stand in the output.
check-isa: CTEST_FLAGS = --verbose
check-isa: check-native check-arm
	$(BIN)/python -m pytest -q tests/runtime

# A Cortex-A53 has no dot products, a Cortex-A76 has.
ARM_MISSING := $(DOCTEST_MISSING) $(call missing,aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user)
check-arm: $(VENV)/installed
ifneq ($(strip $(ARM_MISSING)),)
	@echo "check-arm: 1 skipped: $(strip $(ARM_MISSING))"
else
	@mkdir -p build
	$(call configure,aarch64,-DBINARYNET_BENCH=ON --toolchain native/toolchains/aarch64-linux-gnu.cmake)
	$(BIN)/cmake --build build/aarch64
	QEMU_CPU=cortex-a53 $(call ctest,aarch64) -j 2
	QEMU_CPU=cortex-a76 $(call ctest,aarch64) -j 2
endif

WASM_MISSING := $(LIBRARY_MISSING) $(call missing,emcc:emscripten node:nodejs)
PACKED := src/binarynet/web/npm/binarynet.wasm
wasm check-wasm: $(VENV)/installed
ifneq ($(strip $(WASM_MISSING)),)
	@echo "$@: 1 skipped: $(strip $(WASM_MISSING))"
else
	@mkdir -p build
	$(call configure,wasm,-DBINARYNET_LIBRARY=ON --toolchain native/toolchains/wasm32.cmake)
	$(BIN)/cmake --build build/wasm --target binarynet_wasm
	$(if $(filter wasm,$@),install -m 644 build/wasm/binarynet.wasm $(PACKED))
	$(if $(filter check-wasm,$@),$(BIN)/cmake --build build/wasm --target kernels_test network_test library_test reader_pipe)
	$(if $(filter check-wasm,$@),$(call ctest,wasm) -R 'kernels_test|network_test|library_test')
	$(if $(filter check-wasm,$@),printf '#!/bin/sh\nexec node --no-experimental-fetch "$$0.js"\n' >build/wasm/reader_pipe && chmod +x build/wasm/reader_pipe)
	$(if $(filter check-wasm,$@),BINARYNET_READER=build/wasm/reader_pipe $(BIN)/python -m pytest -q tests/library/test_reader.py)
endif

web-check: $(VENV)/installed check-wasm
	$(BIN)/python -m pytest -q tests/web
	$(BIN)/python -m tests.web

# Ray is large, and nothing else needs it: it comes for this alone.
IMAGES ?= 1000000
CIRCUITS_MISSING := $(call missing,yosys:yosys verilator:verilator)
circuits-check: $(VENV)/installed
ifneq ($(strip $(CIRCUITS_MISSING)),)
	@echo "$@: 1 skipped: $(strip $(CIRCUITS_MISSING))"
else
	$(BIN)/python benchmarks/circuits.py
	$(BIN)/binarynet export zoo/mnist-small/model.bnn --to verilog --api net --out build/circuits --unroll conv3 --fold 16x32
	cd build/circuits && verilator --binary -MAKEFLAGS OPT_FAST=-O0 --top-module net_tb net_tb.v && obj_dir/Vnet_tb | tee log && grep -q '^PASS 8' log
	$(call circuit,sparse-small --unroll thermometer --fold input=28x1 --fold linear1=16x28 --fold linear2=8x60 --fold classes=1x12,folded,10000)
	$(call circuit,sparse-small --unroll all --fold input=784x1,abreast,10000)
	$(call circuit,mnist-small --fold auto,whole,20)
endif
# $(call circuit,model and how it is built,folder,images): lint, then MNIST's images in Verilator, all equal to the oracle.
circuit = $(BIN)/python benchmarks/circuits_images.py $(1) --lint --data mnist --images $(3) --out build/circuits/$(2)

BOARDS_MISSING := $(call missing,yosys:yosys nextpnr-ice40:nextpnr-ice40 icepack:fpga-icestorm iverilog:iverilog)
boards: $(VENV)/installed
ifneq ($(strip $(BOARDS_MISSING)),)
	@echo "$@: 1 skipped: $(strip $(BOARDS_MISSING))"
else
	PATH=$(abspath $(BIN)):$$PATH $(MAKE) -C examples/deploy_fpga OUT=$(abspath build/boards) sim icebreaker ulx3s
endif

scale-check: $(VENV)/installed
	$(BIN)/pip install -q -c constraints.txt 'ray[data]' || echo "scale-check: 1 skipped: no ray for this Python"
	! $(BIN)/python -c 'import ray' || RAY_DATA_DISABLE_PROGRESS_BARS=1 $(BIN)/python examples/score_with_ray.py --demo $(IMAGES)

CLANG_MISSING := $(DOCTEST_MISSING) $(call missing,clang++:clang)
check-clang: $(VENV)/installed
ifneq ($(strip $(CLANG_MISSING)),)
	@echo "check-clang: 1 skipped: $(strip $(CLANG_MISSING))"
else
	@mkdir -p build
	$(call configure,clang,-DBINARYNET_BENCH=ON -DBINARYNET_LIBRARY=$(NLOHMANN) -DCMAKE_CXX_COMPILER=clang++)
	$(BIN)/cmake --build build/clang
	$(call ctest,clang)
endif

# Kernels run on one thread, so TSan is given the networks, which many threads call, and training steps.
check-sanitized: $(VENV)/installed
ifneq ($(strip $(DOCTEST_MISSING)),)
	@echo "check-sanitized: 1 skipped: $(strip $(DOCTEST_MISSING))"
else
	@mkdir -p build
	$(configure_asan)
	$(BIN)/cmake --build build/asan --target kernels_test network_test training_test $(LIBRARY_TEST)
	$(call ctest,asan) -j 2
	$(call configure,tsan,-DBINARYNET_LIBRARY=$(NLOHMANN) -DBINARYNET_SANITIZE=thread -DCMAKE_CXX_FLAGS_RELEASE=-O1)
	$(BIN)/cmake --build build/tsan --target network_test training_test $(LIBRARY_TEST)
	$(call ctest,tsan) -R 'network_test|training_test|library_test'
endif
LIBRARY_TEST := $(if $(filter ON,$(NLOHMANN)),library_test)
configure_asan = $(call configure,asan,-DBINARYNET_LIBRARY=$(NLOHMANN) -DBINARYNET_SANITIZE=address$(comma)undefined \
	-DCMAKE_CXX_FLAGS_RELEASE=-O1)
comma := ,

# CUDA C++ is compiled by nvcc where it is, else by NVRTC, a library that comes as a package.
check-gpu-tiles: $(VENV)/installed
	command -v nvcc >/dev/null || $(BIN)/pip install -q -c constraints.txt nvidia-cuda-nvrtc
	BINARYNET_GPU_TILES=all $(BIN)/python -m pytest -q tests/gpu/test_compile.py tests/gpu/test_one_bit.py

# With the Python that has torch for CUDA, where that is not the one of this checkout: make gpu-check GPU_PYTHON=python3
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
gpu-check:
	$(GPU_PYTHON) benchmarks/gpu/check.py

SECONDS ?= 600
fuzz: $(VENV)/installed
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# The extension is built once more and put in the place of the installed one; Python itself is not instrumented, so the
# sanitizer's library comes first. Leaks are Python's own.
fuzz-sanitized: $(VENV)/installed
	@mkdir -p build
	$(call configure,fuzz,-DBINARYNET_PYTHON=ON -DBINARYNET_TESTS=OFF -DBINARYNET_SANITIZE=address$(comma)undefined \
		-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DPython_EXECUTABLE=$(abspath $(BIN)/python) \
		-Dnanobind_DIR=$(shell $(BIN)/python -m nanobind --cmake_dir 2>/dev/null))
	$(BIN)/cmake --build build/fuzz --target _native
	BINARYNET_NATIVE=build/fuzz ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so)" \
		$(BIN)/python -m tests.fuzz --seconds $(SECONDS) engines bnn

# torch by its exact version first: an open range would be answered with a build that carries gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'binarynet needs Python 3.11 or newer')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install -q -c constraints.txt scikit-build-core nanobind cmake ninja
	$(BIN)/pip install -q -c constraints.txt --no-build-isolation -e '.[train,data,plot,images,dev]'
	touch $@

clean:
	rm -rf $(VENV) build
