"""The native engine (native/bindings.cpp). Used by `binarynet.runtime` only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Pair = tuple[int, int]

def compiled() -> list[tuple[str, str]]:
    """Name and title of every instruction set in this build, best first."""

def available() -> list[str]:
    """Those that this CPU supports, best first."""

def active() -> str: ...
def use(name: str) -> None: ...
def prices(isa: str) -> dict[str, float]:
    """What one of each count of native/kernels/counts.inc takes there, in nanoseconds of one thread."""

def use_prices(isa: str, prices: dict[str, float]) -> None:
    """From now on. ValueError for other counts, or a price that is none."""

def default_threads() -> int: ...
def buffers_allocated() -> int:
    """How often the engine has taken memory for weights, tables or activations since the process began."""

def arithmetic_units() -> list[str]:
    """The arithmetic units of this CPU whose peak can be measured: "avx512 popcount", "amx int8" and so on."""

def arithmetic_rate(unit: str, threads: int) -> float:
    """Multiply-adds a second on registers alone, of all threads together; 0 for a unit that is not there."""

def read_rate(bytes: int, threads: int) -> float:
    """Bytes a second when each thread reads its own equal part of so many bytes over and over."""

def naive_conv3x3(image: NDArray[np.float32], weight: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """A zero-padded convolution as its definition reads: (height, width, channels), (filters, 3, 3, channels)."""

class Network:
    """Values and steps; each ``add_…`` returns the number of the value it makes. ValueError for what cannot run."""

    def __init__(self, isa: str = "", threads: int = 0, kernel: str = "") -> None: ...
    def add_input(self, shape: Sequence[int], encoding: str) -> int: ...
    def add_linear(self, name: str, source: int, weight: NDArray[np.uint64], encoding: str) -> int:
        """weight: (bits of the encoding, channels, words), packed planes of codes."""

    def add_linear_f32(self, name: str, source: int, weight: NDArray[np.float32]) -> int: ...
    def add_conv2d(
        self,
        name: str,
        source: int,
        weight: NDArray[np.uint64],
        encoding: str,
        kernel: _Pair,
        stride: _Pair,
        dilation: _Pair,
        padding: tuple[_Pair, _Pair],
        pad_value: int,
        groups: int,
    ) -> int: ...
    def add_conv2d_f32(
        self,
        name: str,
        source: int,
        weight: NDArray[np.float32],
        kernel: _Pair,
        stride: _Pair,
        dilation: _Pair,
        padding: tuple[_Pair, _Pair],
        pad_value: int,
        groups: int,
    ) -> int: ...
    def add_threshold_i32(
        self, name: str, source: int, thresholds: NDArray[np.int32], rising: NDArray[np.bool_], encoding: str
    ) -> int: ...
    def add_threshold_f32(
        self, name: str, source: int, thresholds: NDArray[np.float32], rising: NDArray[np.bool_], encoding: str
    ) -> int: ...
    def add_affine(self, name: str, source: int, scale: NDArray[np.float32], offset: NDArray[np.float32]) -> int: ...
    def add_max_pool2d(
        self,
        name: str,
        source: int,
        kernel: _Pair,
        stride: _Pair,
        padding: tuple[_Pair, _Pair],
        minimum: NDArray[np.bool_],
    ) -> int: ...
    def add_sum_pool2d(
        self, name: str, source: int, kernel: _Pair, stride: _Pair, padding: tuple[_Pair, _Pair]
    ) -> int: ...
    def add_add(self, name: str, left: int, right: int) -> int: ...
    def add_mul(self, name: str, source: int, factor: int) -> int: ...
    def add_relu(self, name: str, source: int) -> int: ...
    def add_prelu(self, name: str, source: int, slope: NDArray[np.float32]) -> int: ...
    def add_apply(self, name: str, source: int, function: str) -> int: ...
    def add_take(
        self,
        name: str,
        source: int,
        rows: NDArray[np.int32],
        columns: NDArray[np.int32],
        channels: NDArray[np.int32],
    ) -> int: ...
    def add_concat(self, name: str, sources: Sequence[int]) -> int: ...
    def add_flatten(self, name: str, source: int) -> int: ...
    def add_unflatten(self, name: str, source: int, shape: Sequence[int]) -> int: ...
    def finish(self, output: int) -> None:
        """Fuse, lay out the weights, plan the memory."""

    def run(self, input: NDArray[Any], output: NDArray[Any]) -> bool:
        """input (n, …) uint8 codes or float32 → output (n, …) int32 or float32. Other threads run meanwhile.

        False: a byte of the input is no code, and answers are missing.
        """

    def run_timed(self, input: NDArray[Any], output: NDArray[Any]) -> list[float]:
        """`run`, and how many seconds each step of `plan` took."""

    def plan(self, images: int) -> list[tuple[str, str, float, int, list[str], dict[str, float]]]:
        """The steps in running order: op, kernel, expected seconds, bytes of weights in memory, ops that became
        part of it, and what it does, counted as in native/costs.inc."""

    @property
    def output_is_float(self) -> bool: ...
    @property
    def output_numbers(self) -> int:
        """Of one image."""

    @property
    def isa(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...
