"""A Linear or Conv2d on the device: its packed weights, what its borders need, and the kernels that can run it.

How ``acc`` comes from what a kernel counts, with Σ_in and Σ_out the sums of a channel's weights over the taps inside
and outside the image, p the padding's value, and x read as zero words or zero codes outside:

===================== ========================== ==============================================
operands              a kernel counts            acc
===================== ========================== ==============================================
b1 … b8 × b1, xnor    P = Σ_n 2^n popcount(x_n^w) −2 P + max · depth + (max + p) Σ_out
b1 × any, dot, int8   R = Σ bit(x) · w           2 R − Σ_in + p Σ_out
b1 × b1, wgmma        C = Σ popcount(x & w)      4 C − 2 |x| − Σ_in + p Σ_out
codes × any, …        R = Σ c · w, x = s c + o   s R + o Σ_in + p Σ_out
a real operand        acc itself                 p is read outside
===================== ========================== ==============================================

What stands beside P and R depends on the channel and on which taps lie outside: a small table with a row for each
kind of border (``base``), and the kind of each output pixel (``kinds``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from binarynet.errors import RuntimeUnavailable
from binarynet.format.bits import pack as pack_bits
from binarynet.format.bits import planes
from binarynet.gpu import one_bit, ops, reals
from binarynet.gpu.codes import digit_values, halves_for, stored
from binarynet.gpu.xnor import ROWS
from binarynet.graph import Encoding
from binarynet.graph.ir import Conv2d, Linear, Value, window_output

METHODS = ("xnor", "dot", "int8", "wgmma")
LARGE = 64
"""From so many rows on, expanding the weights may pay: `int8` is among the methods of which the fastest is taken."""


@dataclass(frozen=True)
class Finish:
    """What becomes of the accumulators: ``made`` and its arrays, as `binarynet.gpu.ops` takes them."""

    made: str
    thresholds: Tensor | None = None
    rising: Tensor | None = None
    scale: Tensor | None = None
    offset: Tensor | None = None


class Product:
    """One product of a graph, its weights packed on ``device``.

    ``packed`` says that it reads words; else it reads int8 codes or reals, in which case ±1 comes as int8 too.
    ``methods`` are those of `METHODS` that can run it: ``xnor`` on the CUDA cores; on the tensor cores ``dot``, which
    expands packed weights on the way, ``int8``, which holds them expanded, and ``wgmma``, which multiplies bits.
    Weights lie as in the file until a method wants them otherwise; `bytes` says what is held.

    Raises:
        RuntimeUnavailable: a sum over codes could leave 32 bits on the way.
    """

    def __init__(self, op: Linear | Conv2d, x: Value, device: torch.device) -> None:
        self.reads, self.holds = x.encoding, Encoding.parse(op.weight_encoding)
        self.real = self.reads.is_float or self.holds.is_float
        self.groups = op.groups if isinstance(op, Conv2d) else 1
        weight = op.weight if op.weight.ndim == 4 else op.weight[:, None, None, :]  # (out, kh, kw, in / groups)
        self.out, kernel_height, kernel_width, inner = weight.shape
        self.taps, self.inner, self.depth = kernel_height * kernel_width, inner, weight[0].size
        self.pad = op.pad_value if isinstance(op, Conv2d) else 0
        self.shape: tuple[int, ...] = (self.out,)
        self.geometry: list[int] = []
        if isinstance(op, Conv2d):
            (top, _), (left, _) = op.padding
            sides = zip(x.shape, weight.shape[1:3], op.stride, op.dilation, op.padding, strict=False)
            rows, columns = (window_output(*side) for side in sides)
            self.shape = (rows, columns, self.out)
            self.geometry = [*x.shape[:2], rows, columns, kernel_width, *op.stride, *op.dilation, top, left]
        self.packed = str(self.reads) == "b1" and not self.real and (self.groups == 1 or inner % 64 == 0)
        bipolar = self.reads.kind == "b" and str(self.holds) == "b1" and (self.groups == 1 or inner % 64 == 0)
        whole = not self.real and self.groups == 1
        one_bit_cores = whole and self.packed and bipolar and one_bit.why_not(device) is None
        offered = {"xnor": bipolar, "dot": True, "int8": whole, "wgmma": one_bit_cores}
        self.methods = tuple(method for method in METHODS if offered[method])
        if not self.real and not self.packed and 128 * int(np.abs(weight.astype(np.int64)).max()) * self.depth >= 2**31:
            raise RuntimeUnavailable(
                f"{op.name} ({type(op).__name__}): a sum of {self.depth} codes × {self.holds} can leave 32 bits on the "
                "way on the GPU; run it with engine='native'"
            )
        self.base: dict[str, Tensor] = {}
        self.kinds: Tensor | None = None
        self._device, self._op, self._input = device, op, x
        self._layouts: dict[str, Tensor] = {}
        self._prepare(weight, op)

    def _prepare(self, weight: NDArray[Any], op: Linear | Conv2d) -> None:
        self.base = dict.fromkeys(
            self.methods, torch.zeros(1, self.out, dtype=torch.int32, device=self._device)
        )  # fmt: skip
        if not self.real:
            inside, self.kinds = self._borders(op)
            sums = weight.reshape(self.out, self.taps, self.inner).sum(axis=2, dtype=np.int64)  # (out, taps)
            within, without = inside @ sums.T, ~inside @ sums.T  # (kinds, taps) @ (taps, out)
            high, form = self.reads.high, stored(self.reads)
            first = -1 if self.packed else form.offset
            base = self._put((first * within + self.pad * without).astype(np.int32))
            self.base = dict.fromkeys(self.methods, base)
            if "xnor" in self.methods:
                self.base["xnor"] = self._put((high * self.depth + (high + self.pad) * without).astype(np.int32))
        self.weight("rows")

    def weight(self, layout: str) -> Tensor:
        """The weights as a kernel reads them, put on the device at the first call:

        ========== =======================================================================================
        rows       words (planes, out, words of depth), as in the file; float32 (depth, out) of real ones
        taps       the same, each tap in whole words, of ±1 alone: what a packed input lies beside
        columns    `taps` the other way round, in words of 64 bits (words, out)
        octets     int8 (out, depth), for packed inputs in the order of `ops.spread` in each tap
        aligned    `taps` in rows of whole 16 bytes
        ========== =======================================================================================
        """
        if layout not in self._layouts:
            self._layouts[layout] = self._laid_out(layout)
        return self._layouts[layout]

    def _laid_out(self, layout: str) -> Tensor:
        op = self._op
        if layout == "columns":
            return self.weight("taps").view(torch.int64).T.contiguous()
        if layout == "aligned":
            return one_bit.aligned(self.weight("taps"))
        if layout == "taps" and (self.packed or self.taps == 1):
            return self.weight("rows")[0]
        weight = op.weight.reshape(self.out, self.taps, self.inner)
        if layout == "octets":
            if self.packed:
                whole = np.zeros((self.out, self.taps, 32 * halves_for(self.inner)), np.int8)
                whole[..., : self.inner] = weight
                return self._put(whole.reshape(self.out, self.taps, -1, 8).swapaxes(2, 3).reshape(self.out, -1))
            return self._put(weight.reshape(self.out, -1).astype(np.int8))
        if self.holds.is_float:
            return self._put(weight.reshape(self.out, -1).T)
        digits = planes(weight, self.holds)[: len(digit_values(self.holds))]  # (planes, out, taps, in / groups)
        if layout == "taps":
            return self._put(_halves(digits)[0])
        return self._put(_halves(digits if self.packed else digits.reshape(len(digits), self.out, self.depth)))

    def _borders(self, op: Linear | Conv2d) -> tuple[NDArray[np.bool_], Tensor | None]:
        """Which taps lie inside, for each kind of border (kinds, taps), and the kind of each output pixel."""
        if not isinstance(op, Conv2d):
            return np.ones((1, self.taps), bool), None
        height, width, rows, columns, _, stride_y, stride_x, dilation_y, dilation_x, top, left = self.geometry
        kernel_height, kernel_width = op.weight.shape[1:3]
        y = np.arange(rows)[:, None] * stride_y + np.arange(kernel_height) * dilation_y - top
        x = np.arange(columns)[:, None] * stride_x + np.arange(kernel_width) * dilation_x - left
        inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[None, :, None, :]
        kinds, kind = np.unique(inside.reshape(rows * columns, self.taps), axis=0, return_inverse=True)
        return kinds, self._put(kind.reshape(-1).astype(np.int32))

    def _put(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    @property
    def bytes(self) -> int:
        """Bytes of weights on the device."""
        held = {tensor.data_ptr(): tensor.nbytes for tensor in self._layouts.values()}
        return sum(held.values())

    def __call__(self, x: Tensor, finish: Finish, method: str) -> Tensor:
        """x as ``packed`` says; for ``xnor`` on codes, the planes of `ops.pack_planes` → (pixels, channels)."""
        levels, affine = (finish.thresholds, finish.rising), (finish.scale, finish.offset)
        ends = (self.base[method], self.kinds, *levels, *affine, finish.made)
        if method == "xnor":
            planes_of_x = x if x.ndim == 3 else x[None]
            few = ops.rows_made(planes_of_x.shape[1], self.geometry) <= ROWS
            weight = self.weight("taps" if few else "columns")
            shape = (halves_for(self.inner) // (1 if few else 2), self.groups, self.geometry)
            return (ops.xnor_gemm_rows if few else ops.xnor_gemm)(planes_of_x, weight, *shape, *ends)
        if method == "wgmma":
            rows = one_bit.aligned(self._patches(x))
            pixels = prod(self.shape[:-1])
            return ops.bit_gemm_wgmma(rows, self.weight("aligned"), pixels, *ends)
        if method == "int8":
            weight = self.weight("octets")
            octets = ops.spread(x).reshape(len(x), -1) if self.packed else x
            scale = 2 if self.packed else stored(self.reads).scale
            return ops.octet_gemm_dot(octets, weight, scale, weight.shape[1] // self.taps, self.geometry, *ends)
        weight, holds = self.weight("rows"), str(self.holds)
        if self.packed:
            units = weight.shape[2] // self.taps
            return ops.bit_gemm_dot(ops.spread(x), weight, holds, units, self.groups, self.geometry, *ends)
        inner = (self.depth, self.inner, self.groups, self.pad, self.geometry)
        return ops.flat_gemm_dot(
            x, weight, str(self.reads), holds, *inner, self.base[method], self.kinds, *levels, finish.made
        )  # fmt: skip

    def _patches(self, x: Tensor) -> Tensor:
        """Words (pixels, words) → for each output pixel, the words under it (pixels, taps · words), 0 outside."""
        if not self.geometry:
            return x
        assert isinstance(self._op, Conv2d)
        image = x.reshape(-1, *self._input.shape[:-1], x.shape[1])
        under = reals.taps(image, self._op)
        return torch.stack(list(under), dim=3).reshape(-1, self.taps * x.shape[1])


def _halves(digits: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Digits (planes, out, …, length) → 32-bit words (planes, out, words of all rows of an output)."""
    words = pack_bits(digits).view("<i4")  # (planes, out, …, halves)
    return np.ascontiguousarray(words.reshape(*words.shape[:2], -1))
