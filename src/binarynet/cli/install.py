"""What to type when a package is missing: the one that is needed, and never gigabytes that are not."""

from __future__ import annotations

# Module → package where they differ; and the extra whose packages are used together.
_PACKAGES = {"PIL": "pillow", "prometheus_client": "prometheus-client"}
_EXTRAS = {
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "qonnx": "onnx",
    "lightning": "train",
    "tensorboard": "train",
    "pooch": "data",
    "matplotlib": "plot",
    "PIL": "images",
    "jinja2": "report",
    "optuna": "sweep",
    "huggingface_hub": "hub",
    "litserve": "serve",
    "prometheus_client": "serve",
    "pyarrow": "scale",
}

TORCH = (
    "install its CPU build first, as pytorch.org's 'Get started' says (what plain pip takes on Linux brings gigabytes "
    "of CUDA), then pip install 'binarynet[train]'"
)


def missing(module: str) -> str:
    """One line: which package a verb needs, and how to get it."""
    name = module.split(".")[0]
    if name == "torch":
        return f"this needs the package 'torch': {TORCH}"
    if name in _EXTRAS:
        return f"this needs the package {name!r}: pip install 'binarynet[{_EXTRAS[name]}]'"
    package = _PACKAGES.get(name, name)
    return f"this needs the package {package!r}: pip install {package}"
