"""The shapes of a graph as an int8 net in C, beside which the binary one is measured: `run.py --int8`.

Weights are drawn, since what counts is what they take; the answers are still compared, with the same integers in numpy.
Takes chains of 3 × 3 convolutions that keep the size, 2 × 2 max pools, and Linears, with a Threshold or nothing behind:
nets like mnist-small, and MLPs. A Threshold becomes a rescaling to int8 with ReLU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from binarynet.graph import Graph, verify
from binarynet.graph.ir import Affine, Conv2d, Flatten, Input, Linear, MaxPool2d, Threshold

HERE = Path(__file__).parent
SHIFT = 31


@dataclass(frozen=True)
class Layer:
    """``kind``: conv, pool or dense; ``side`` of its image; channels that come in."""

    kind: str
    side: int
    channels: int
    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    last: bool


def layers(graph: Graph) -> list[Layer]:
    """Raises ValueError for a net of other shapes."""
    values, random, made = verify(graph), np.random.default_rng(0), []
    products = [op for op in graph.ops if isinstance(op, Linear | Conv2d)]
    for op in graph.ops[1:]:
        if isinstance(op, Threshold | Affine | Flatten):
            continue
        shape = values[op.source].shape
        side, channels = (shape[0], shape[2]) if len(shape) == 3 else (1, shape[0])
        nothing = np.zeros(0, np.int32)
        if isinstance(op, MaxPool2d) and (op.kernel, op.stride) == ((2, 2), (2, 2)):
            made.append(Layer("pool", side, channels, nothing, nothing, nothing, False))
            continue
        same = isinstance(op, Conv2d) and op.weight_shape[1:3] == (3, 3) and op.padding == ((1, 1), (1, 1))
        plain = same and isinstance(op, Conv2d) and (op.stride, op.groups) == ((1, 1), 1) and shape[0] == shape[1]
        if not (plain or isinstance(op, Linear)) or op.weight_shape[0] % 2:
            raise ValueError(f"{op.name}: --int8 takes 3×3 convolutions of an even width, 2×2 pools and Linears")
        outputs, depth = op.weight_shape[0], int(np.prod(op.weight_shape[1:]))
        weight = random.integers(-127, 128, (outputs, depth)).astype(np.int8)
        bias = random.integers(-1000, 1000, outputs).astype(np.int32)
        gain = 1 / (60 * np.sqrt(depth)) * random.uniform(0.7, 1.3, outputs)
        kind = "dense" if isinstance(op, Linear) else "conv"
        multiplier = np.rint(gain * 2**SHIFT).astype(np.int32)
        made.append(Layer(kind, side, channels, weight, bias, multiplier, op is products[-1]))
    return made


def reference(graph: Graph, codes: np.ndarray) -> np.ndarray:
    """What the C has to answer: (n, classes) float32."""
    assert isinstance(graph.ops[0], Input)
    x = codes.astype(np.int64) - 128
    for layer in layers(graph):
        if layer.kind == "pool":
            n, half = len(x), layer.side // 2
            parts = x[:, : 2 * half, : 2 * half].reshape(n, half, 2, half, 2, layer.channels)
            x = parts.max(axis=(2, 4))
            continue
        if layer.kind == "conv":
            wide = np.pad(x.reshape(len(x), layer.side, layer.side, -1), ((0, 0), (1, 1), (1, 1), (0, 0)))
            columns = [wide[:, y : y + layer.side, z : z + layer.side] for y in range(3) for z in range(3)]
            x = np.concatenate(columns, axis=-1)
        else:
            x = x.reshape(len(x), -1)
        sums = x @ layer.weight.astype(np.int64).T + layer.bias
        if layer.last:
            return sums.astype(np.float32)
        x = np.clip((sums * layer.multiplier + (1 << (SHIFT - 1))) >> SHIFT, 0, 127)
    raise ValueError("the net has no product")


def write(graph: Graph, folder: Path) -> None:
    """net.c and net.h with the face of an exported net."""
    all = layers(graph)
    sizes = [layer.side**2 * layer.channels for layer in all]
    largest = max(
        [*sizes, *(layer.side**2 * len(layer.weight) for layer in all if layer.kind != "pool"), len(all[-1].weight)]
    )
    depth = max(layer.weight.shape[1] for layer in all if layer.kind != "pool")
    tables = sum(layer.weight.nbytes + layer.bias.nbytes + layer.multiplier.nbytes for layer in all)
    arena = 2 * largest + 4 * depth
    (folder / "net.h").write_text(
        "#ifndef NET_H\n#define NET_H\n#include <stdint.h>\n"
        f"/*\n * {tables:,} bytes of tables of constants in all\n */\n"
        f"#define NET_INPUTS {sizes[0]}\n#define NET_OUTPUTS {len(all[-1].weight)}\n#define NET_ARENA_BYTES {arena}\n"
        "typedef uint8_t net_input;\ntypedef float net_output;\n"
        "typedef struct { _Alignas(4) uint8_t bytes[NET_ARENA_BYTES]; } net_arena;\n"
        "void net_logits(const net_input image[NET_INPUTS], net_output logits[NET_OUTPUTS], net_arena *arena);\n"
        "int32_t net_class(const net_input image[NET_INPUTS], net_arena *arena);\n#endif\n"
    )
    (folder / "net.c").write_text((HERE / "int8.c").read_text() + "\n" + "\n".join(_text(all, largest)) + "\n")


def _text(all: list[Layer], largest: int) -> Iterator[str]:
    for number, layer in enumerate(all):
        if layer.kind == "pool":
            continue
        outputs, depth = layer.weight.shape
        for name, kind, array in (
            ("weight", "int8_t", layer.weight.ravel()),
            ("bias", "int32_t", layer.bias),
            ("multiplier", "int32_t", layer.multiplier),
            ("shift", "uint8_t", np.full(outputs, SHIFT)),
        ):
            yield f"static const {kind} {name}{number}[] = {{{','.join(map(str, array.tolist()))}}};"
        yield (
            f"static const product product{number} = {{weight{number}, bias{number}, multiplier{number}, "
            f"shift{number}, {depth}, {outputs}}};"
        )
    yield "void net_logits(const net_input image[NET_INPUTS], net_output logits[NET_OUTPUTS], net_arena *arena)\n{"
    yield f"    int8_t *a = (int8_t *)arena->bytes, *b = a + {largest};"
    yield f"    int16_t *columns = (int16_t *)(arena->bytes + {2 * largest});"
    yield "    for (int32_t k = 0; k < NET_INPUTS; k++)\n        a[k] = (int8_t)(image[k] - 128);"
    at, to = "a", "b"
    for number, layer in enumerate(all):
        if layer.kind == "pool":
            yield f"    pool({at}, {layer.side}, {layer.channels}, {to});"
        elif layer.kind == "conv":
            yield f"    convolution(&product{number}, {at}, {layer.side}, {layer.channels}, columns, {to});"
        elif layer.last:
            yield f"    dense(&product{number}, {at}, columns, 0, logits);"
        else:
            yield f"    dense(&product{number}, {at}, columns, {to}, 0);"
        at, to = to, at
    yield "}"
    if not any(layer.kind == "conv" for layer in all):
        yield "void (*const net_unused[])(void) = {(void (*)(void))convolution, (void (*)(void))pool};"


def macs(graph: Graph) -> int:
    """Products of one image."""
    return sum(layer.weight.size * (layer.side**2 if layer.kind == "conv" else 1) for layer in layers(graph))
