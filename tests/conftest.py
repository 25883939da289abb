"""Where GPU kernels run: in Triton's interpreter, on the CPU, unless real hardware is asked for with ``-m gpu``."""

import importlib.util
import os

import pytest


def _on_hardware(config: pytest.Config) -> bool:
    return "gpu" in str(config.getoption("markexpr")).split()


def pytest_configure(config: pytest.Config) -> None:
    # Triton reads this when it is imported, which packages that tests import do, so it is set before all of them.
    if not _on_hardware(config):
        os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        hardware = item.get_closest_marker("gpu") is not None
        if (hardware or "tests/gpu/" in item.nodeid) and importlib.util.find_spec("triton") is None:
            item.add_marker(
                pytest.mark.skip(reason="the package triton is not installed: pip install 'binarynet[gpu]'")
            )
        elif hardware and not _has_gpu(config):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU, a torch built for it, and pytest -m gpu"))


def _has_gpu(config: pytest.Config) -> bool:
    import torch

    return _on_hardware(config) and torch.cuda.is_available()
