# make demo   train, lower, save, load, prove and time a small net, from nothing
# make test   everything that must hold before a change is committed
# make papers every recipe, small: trained, lowered, compared, in one table
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE := CMakeLists.txt $(wildcard native/* native/*/*)
# Tests read real data sets from here when it is set; without it they use the digits that scikit-learn ships.
export BINARYNET_DATA
# Several test processes share the cores; threads that spin while they wait would stop the others.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test papers lint check-native clean

demo: $(VENV)/installed
	$(BIN)/binarynet demo

test: $(VENV)/installed lint check-native
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

papers: $(VENV)/installed
	$(BIN)/python benchmarks/papers.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(wildcard native/*.h native/*.cpp native/*/*.cpp native/*/*.h)

check-native: build/native/build.ninja
	$(BIN)/cmake --build build/native
	$(BIN)/ctest --test-dir build/native --output-on-failure

build/native/build.ninja: $(VENV)/installed
	$(BIN)/cmake -S . -B build/native -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) \
		-DBINARYNET_TESTS=ON -DBINARYNET_BENCH=ON -DBINARYNET_WERROR=ON

# torch by its exact version first: an open range would be answered with a build that carries gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'binarynet needs Python 3.11 or newer')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install -q -c constraints.txt scikit-build-core nanobind cmake ninja
	$(BIN)/pip install -q -c constraints.txt --no-build-isolation -e '.[train,dev]'
	touch $@

clean:
	rm -rf $(VENV) build
