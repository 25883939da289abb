"""Random ONNX graphs with pads, quantizers, residuals and pools: imported to what the file computes, or refused."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

from binarynet.errors import ImportedModelError
from binarynet.export.qonnx import executed
from binarynet.graph import interpret
from binarynet.importer import import_onnx, shown
from tests.importer.files import File

pytest.importorskip("qonnx", reason="pip install 'binarynet[onnx]'")
GRAPHS = int(os.environ.get("BINARYNET_GRAPHS", "200"))


class Drawn(File):
    """Bytes – quantizer – conv – norm – random nodes – classes."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.seed, self.channels = seed, self.draw.choice([2, 3, 4])
        self.size = self.draw.choice([4, 5])
        super().__init__(2, self.size, self.size)
        start = self.draw.randrange(3)
        if start == 0:
            self.node("Mul", 2.0)
            self.node("Sub", 1.0)
        elif start == 1:
            self.quant(2.0**-4, 4, signed=0)
        else:
            self.node("Sub", 0.5)
            self.bipolar()
        self.conv(2)
        self.norm(self.channels, seed)
        for _ in range(self.draw.randint(1, 5)):
            self.draw.choice(NODES)(self)
        self.bipolar()
        if self.draw.random() < 0.5:
            self.node("GlobalAveragePool")
            self.node("Flatten")
            self.node("Gemm", self.weights(3, self.channels, seed=seed), transB=1)
        else:
            self.makes = (self.channels, self.size, self.size)

    def conv(self, inputs: int | None = None, pad: bool = True) -> None:
        scale = self.draw.choice([1, 1, 0.5])
        weights = scale * self.weights(self.channels, inputs or self.channels, 3, 3, seed=self.seed + len(self.nodes))
        pads = {"auto_pad": self.draw.choice(["SAME_UPPER", "SAME_LOWER"])} if self.draw.random() < 0.3 else {}
        self.node("Conv", weights, kernel_shape=[3, 3], **((pads or {"pads": [1, 1, 1, 1]}) if pad else {}))


def _each(file: Drawn) -> np.ndarray:
    return np.random.default_rng(file.seed).integers(-3, 4, (file.channels, 1, 1)).astype(np.float32)


def _quantizer(file: Drawn) -> None:
    way = file.draw.randrange(5)
    if way == 0:
        file.bipolar(file.draw.choice([1.0, 0.5]))
    elif way == 1:
        file.quant(file.draw.choice([1.0, 0.25]), file.draw.choice([2, 3]), narrow=file.draw.randrange(2))
    elif way == 2:
        file.quant(0.5, 2, signed=0)
    elif way == 3:
        file.node("Sign")
    else:
        file.node("QuantizeLinear", 0.5, file.constant(128, np.uint8))
        file.node("DequantizeLinear", 0.5, file.constant(128, np.uint8))


def _product(file: Drawn) -> None:
    _quantizer(file)
    file.conv()
    file.norm(file.channels, file.seed + len(file.nodes))


def _padded(file: Drawn) -> None:
    way = file.draw.randrange(4)
    if way % 2:
        _quantizer(file)
    file.node("Pad", file.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), file.draw.choice([0.0, 0.0, 1.0, -1.0]))
    if way == 2:
        _quantizer(file)
    file.conv(pad=False)
    file.norm(file.channels, file.seed + len(file.nodes))


def _residual(file: Drawn) -> None:
    kept = file.last
    _product(file)
    file.node(file.draw.choice(["Add", "Sub"]), kept)


def _lone_pad(file: Drawn) -> None:
    """A padded image that meets something else than a Conv."""
    kept = file.last
    file.node("Pad", file.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    file.draw.choice(
        [
            lambda: file.norm(file.channels, 5),
            lambda: file.node("MaxPool", kernel_shape=[3, 3], strides=[1, 1]),
            lambda: file.node("Relu"),
            lambda: file.node("AveragePool", kernel_shape=[3, 3], strides=[1, 1]),
        ]
    )()
    if file.draw.random() < 0.5:
        file.node("Conv", file.weights(file.channels, file.channels, 3, 3), kernel_shape=[3, 3])
    file.last = file.last if file.draw.random() < 0.7 else kept


def _moved(file: Drawn) -> None:
    """Numbers that change places, in the channels of the file."""
    c, ints = file.channels, (lambda *values: file.constant(values, np.int64))
    way, kept = file.draw.randrange(10), file.last
    early = file.draw.random() < 0.5
    if early:
        _quantizer(file)
        kept = file.last
    if way == 0:
        file.node("Gather", file.constant(np.random.default_rng(file.seed).permutation(c), np.int64), axis=1)
    elif way == 1:
        part = file.node("Slice", ints(0), ints(1), ints(1))
        file.node("Concat", part, of=file.node("Slice", ints(1), ints(c), ints(1), of=kept), axis=1)
    elif way == 2:
        file.node("Slice", ints(0), ints(99), ints(2), ints(2))
        file.node(
            "Resize",
            "",
            file.constant([1, 1, 2, 1]),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        file.node("Slice", ints(0), ints(file.size), ints(2))
    elif way == 3:
        file.node("Pad", ints(0, 1, 0, 0, 0, 0, 0, 0))
        file.node("Slice", ints(0), ints(c), ints(1))
    elif way == 4:
        file.node("Pad", ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
        file.node("Slice", ints(2, 1), ints(99, -1), ints(2, 3))
    elif way == 5:
        file.node("Tile", ints(1, 4, 1, 1))
        file.node("DepthToSpace", blocksize=2, mode=file.draw.choice(["DCR", "CRD"]))
        file.node("Slice", ints(0, 1), ints(99, 99), ints(2, 3), ints(2, 2))
    elif way == 6:
        file.node("Concat", kept, axis=1)
        file.node("Slice", ints(1), ints(c + 1), ints(1))
    elif way == 7:
        first = file.node("Slice", ints(0), ints(1), ints(1))
        file.node("Expand", ints(1, c, file.size, file.size), of=first)
    elif way == 8:
        file.node("Slice", ints(-1), ints(-99), ints(3), ints(-1))
    else:
        file.node("Reshape", ints(1, c, -1))
        file.node("Slice", ints(-1), ints(-99), ints(2), ints(-1))
        file.node("Reshape", ints(1, c, file.size, file.size))
    if not early:
        _quantizer(file)
    file.conv()
    file.norm(c, file.seed + len(file.nodes))


def _gated(file: Drawn) -> None:
    file.node("Add", 0.3)
    kept = file.last
    way = file.draw.randrange(5)
    if way == 4:
        file.node("Mul", kept)
        file.node("Add", 1.0)
        file.node("Sqrt")
        if file.draw.randrange(2):
            size = file.last
            file.last = kept
            file.node("Div", size)
            return
        file.node("Reciprocal")
    elif way == 0:
        file.node("Sigmoid")
    elif way == 1:
        file.node("GlobalAveragePool")
        file.node(file.draw.choice(["Sigmoid", "Tanh", "HardSigmoid"]))
    elif way == 2:
        file.node("Slice", file.constant([0], np.int64), file.constant([1], np.int64), file.constant([1], np.int64))
        file.node("Tanh")
    else:
        file.node("Mul", 0.5)
        file.node("Erf")
    file.node("Mul", kept)


def _truncated(file: Drawn) -> None:
    """The upper bits of a sum, as Brevitas's means end."""
    file.quant(0.5, 3, signed=file.draw.randrange(2))
    file.node("AveragePool", kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_UPPER", count_include_pad=1)
    behind = [] if file.draw.random() < 0.5 else [0.5]
    file.node("Trunc", 0.125, 0.0, 5.0, *behind, 3.0, signed=1, narrow=0, rounding_mode="FLOOR")


NODES = [
    _moved,
    _truncated,
    _moved,
    _gated,
    _product,
    _product,
    _padded,
    _residual,
    _lone_pad,
    lambda file: file.node("Relu"),
    lambda file: file.node("Clip", -2.0, 3.0),
    lambda file: file.node("LeakyRelu", alpha=0.25),
    lambda file: file.node("Add", _each(file)),
    lambda file: file.node("Mul", file.draw.choice([2.0, -0.5])),
    lambda file: file.node("Neg"),
    lambda file: file.node("Abs"),
    lambda file: file.node("Tanh"),
    lambda file: file.node("MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
    lambda file: file.node("MaxPool", kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_UPPER"),
    lambda file: file.node("AveragePool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=1),
    lambda file: file.node("Transpose", perm=[0, 1, 3, 2]),
    lambda file: (file.node("Transpose", perm=[0, 2, 3, 1]), file.node("Transpose", perm=[0, 3, 1, 2])),
    lambda file: file.node("Identity"),
]


@pytest.mark.parametrize("block", range(8))
def test_random_files_are_imported_to_what_they_compute_or_refused_by_name(block, tmp_path):
    imported = 0
    for seed in range(block, GRAPHS, 8):
        file = Drawn(seed)
        path = file.save(tmp_path / f"{seed}.onnx")
        images = np.random.default_rng(seed + 1).integers(0, 256, (12, *file.shape), np.uint8)
        try:
            expected = executed(path, shown(path, images))
        except Exception:  # the padding has made it too small, or a residual of two sizes
            continue
        graph, refusal = None, ""
        try:
            graph = import_onnx(path, images=images, allow_real=seed % 3 == 0)
        except ImportedModelError as error:
            refusal = str(error)
        if graph is None:
            assert "\n" not in refusal
            assert "the two part here" not in refusal, f"seed {seed}: a rule is wrong: {refusal}"
            continue
        imported += 1
        codes = images.reshape(12, -1) if len(graph.input.shape) == 1 else np.moveaxis(images, 1, -1)
        found = interpret(graph, np.ascontiguousarray(codes))
        found = np.moveaxis(found, -1, 1) if found.ndim == 4 else found
        wrong = np.mean(np.abs(found - expected) > 1e-4 * (np.abs(expected).max() + 1e-30))
        assert wrong < 0.2, f"seed {seed}: {wrong:.0%} of the answers differ"
    assert imported, "some files should import"
