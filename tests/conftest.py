"""Where GPU kernels run: in Triton's interpreter, on the CPU, unless real hardware is asked for with ``-m gpu``."""

import importlib.util
import os
from importlib.metadata import version
from pathlib import Path

import pytest


def _on_hardware(config: pytest.Config) -> bool:
    return "gpu" in str(config.getoption("markexpr")).split()


def pytest_configure(config: pytest.Config) -> None:
    # Triton reads this when it is imported, which packages that tests import do, so it is set before all of them.
    if not _on_hardware(config):
        os.environ.setdefault("TRITON_INTERPRET", "1")
    # Half of what Verilator compiles for a small design is its own runtime, which stays in pytest's cache.
    wrapper = str(Path(__file__).parent / "export" / "objcache.sh")
    if "OBJCACHE" not in os.environ and getattr(config, "cache", None) is not None and " " not in wrapper:  # for make
        os.environ["OBJCACHE"] = wrapper
        os.environ["VERILATED"] = str(config.cache.mkdir("verilated"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m gpu``, tests/gpu alone is read: other tests import packages that a GPU's machine need not have."""
    here = Path(__file__).parent
    if not _on_hardware(config) or not collection_path.is_relative_to(here) or collection_path == here:
        return None
    return True if collection_path.relative_to(here).parts[0] not in ("gpu", "__init__.py") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        hardware = item.get_closest_marker("gpu") is not None
        if (hardware or "tests/gpu/" in item.nodeid) and importlib.util.find_spec("triton") is None:
            item.add_marker(
                pytest.mark.skip(reason="the package triton is not installed: pip install 'binarynet[gpu]'")
            )
        elif not hardware and "tests/gpu/" in item.nodeid and not _interpreter_works():
            item.add_marker(pytest.mark.skip(reason="Triton's interpreter before 3.7 fails with numpy 2.4 and newer"))
        elif hardware and not _has_gpu(config):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU, a torch built for it, and pytest -m gpu"))


def _interpreter_works() -> bool:
    """Up to Triton 3.6, a loop's bound is an array of one element, which numpy 2.4 no longer takes for a number."""
    triton, numpy = (tuple(map(int, version(name).split(".")[:2])) for name in ("triton", "numpy"))
    return triton >= (3, 7) or numpy < (2, 4)


def _has_gpu(config: pytest.Config) -> bool:
    import torch

    return _on_hardware(config) and torch.cuda.is_available()
