"""Nets with real parts for the libraries that read ONNX: the float32 twin of a workload, and its int8 form.

The int8 form is what a user would get: ONNX Runtime's static quantization (QDQ; a scale for each channel of weights and
each tensor of activations, ranges measured on a few images). Its numbers are its own, as those of the float twin are.
Beside the twins stand ResNet-18 and MobileNetV2 with random weights, other nets that read the same images: what one
would pick instead.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from binarynet.bench.suite.peers import NotHere
from binarynet.bench.suite.workloads import Workload
from binarynet.bench.twin import float_twin

CALIBRATION = 2  # images whose values say how wide the codes of an activation are; speed does not depend on them


def model(work: Workload, way: str) -> bytes:
    """What a way of a library runs, as ONNX: ``int8`` and ``u8s8`` quantized, another net by its name, else the twin.

    Raises:
        NotHere: onnxruntime, which quantizes, is not installed.
    """
    floats = onnx_of(work, OTHERS[way]() if way in OTHERS else None)
    if way not in OTHERS and way not in ("int8", "u8s8"):
        return floats
    try:
        return quantized(floats, work)
    except ImportError as error:
        raise NotHere(f"quantizing it needs {error.name}: pip install 'binarynet[peers]'") from error


def images_of(work: Workload) -> NDArray[Any]:
    """The input as these libraries like it: images with channels first."""
    images = work.images()
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if images.ndim == 4 else images


def onnx_of(work: Workload, net: nn.Module | None = None) -> bytes:
    """``net``, or else the float twin, as ONNX; input "x" as `images_of` gives it, output "y" (batch, classes)."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Path(folder) / "float32.onnx"
        torch.onnx.export(
            _Floats(net or float_twin(work.graph)).eval(),
            (torch.from_numpy(images_of(work)),),
            made,
            dynamo=False,  # the way that needs no further package
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
        )
        return made.read_bytes()


def quantized(model: bytes, work: Workload) -> bytes:
    """A float ONNX model → its int8 form. `ImportError` without onnxruntime."""
    import onnx
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter([{"x": images_of(work)}] * CALIBRATION)

        def get_next(self) -> Any:
            return next(self.left, None)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            onnx.load_from_string(model),
            str(made),
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return made.read_bytes()


class _Floats(nn.Module):
    """Bytes become float32 first, inside what is timed, as in the net of a user."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.net(images.float())
        return made


class _Residual(nn.Module):
    """inner(x) + shortcut(x), then perhaps ReLU."""

    def __init__(self, inner: nn.Module, shortcut: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.inner, self.shortcut, self.last = inner, shortcut, last

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.last(self.inner(x) + self.shortcut(x))
        return made


def _conv(inside: int, out: int, kernel: int, stride: int = 1, groups: int = 1, end: nn.Module | None = None) -> Any:
    conv = nn.Conv2d(inside, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), *([] if end is None else [end]))


def resnet18(classes: int = 1000) -> nn.Module:
    """K. He et al. 2016 (arXiv 1512.03385), table 1."""
    net: list[nn.Module] = [_conv(3, 64, 7, 2, end=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    inside = 64
    for out, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        inner = nn.Sequential(_conv(inside, out, 3, stride, end=nn.ReLU()), _conv(out, out, 3))
        plain = (inside, stride) == (out, 1)
        net.append(_Residual(inner, nn.Identity() if plain else _conv(inside, out, 1, stride), nn.ReLU()))
        inside = out
    return nn.Sequential(*net, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, classes)).eval()


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """M. Sandler et al. 2018 (arXiv 1801.04381), table 2."""
    net: list[nn.Module] = [_conv(3, 32, 3, 2, end=nn.ReLU6())]
    inside = 32
    for widen, out, times, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for k in range(times):
            stride, hidden = first if k == 0 else 1, inside * widen
            wide = [] if widen == 1 else [_conv(inside, hidden, 1, end=nn.ReLU6())]
            inner = nn.Sequential(*wide, _conv(hidden, hidden, 3, stride, hidden, nn.ReLU6()), _conv(hidden, out, 1))
            plain = (inside, stride) == (out, 1)
            net.append(_Residual(inner, nn.Identity(), nn.Identity()) if plain else inner)
            inside = out
    head = _conv(inside, 1280, 1, end=nn.ReLU6())
    return nn.Sequential(*net, head, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)).eval()


OTHERS: dict[str, Callable[[], nn.Module]] = {"resnet18-int8": resnet18, "mobilenetv2-int8": mobilenet_v2}
"""The nets of `peers.OTHER_NETS`."""
