"""Training steps on a CPU (native/training/bindings.cpp). Tensors are addresses; used by `binarynet.nn.native` only."""

import enum

def products_supported() -> bool:
    """Whether this CPU has a matrix unit for bfloat16, which `linear` and `conv` and their gradients need."""

def kernels() -> list[str]:
    """The instruction sets of this build, best first (native/training/choose.cpp)."""

def runs(name: str) -> bool: ...
def has_bfloat16(name: str) -> bool: ...

class Side:
    def __init__(self, size: int, kernel: int, stride: int, padding: int, dilation: int) -> None: ...

class Geometry:
    def __init__(self, images: int, channels: int, filters: int, groups: int, y: Side, x: Side) -> None: ...

def sign_words(geometry: Geometry) -> int: ...
def code_bytes(geometry: Geometry) -> int: ...
def weight_words(geometry: Geometry) -> int: ...

class Form(enum.Enum):
    real = ...
    bits = ...
    bytes = ...

class Codes:
    form: Form
    @property
    def pieces(self) -> int: ...
    @property
    def scale(self) -> float: ...
    @property
    def most(self) -> int: ...

def pack_ones(kernel: str, geometry: Geometry, x: int, bits: int, threads: int) -> bool: ...
def find_codes(x: int, count: int, threads: int) -> Codes: ...
def pack_codes(geometry: Geometry, codes: Codes, x: int, bytes: int, threads: int) -> None: ...
def unpack(geometry: Geometry, codes: Codes, numbers: int, x: int, threads: int) -> None: ...
def pack_weight_signs(
    kernel: str, geometry: Geometry, w: int, latent: bool, bits: int, scales: int, threads: int
) -> bool: ...
def pack_weight_bytes(geometry: Geometry, w: int, bytes: int, scales: int, threads: int) -> bool: ...
def forward(
    kernel: str, geometry: Geometry, codes: Codes, x: int, form: Form, w: int, scales: int, y: int, threads: int
) -> None: ...

class Rounding:
    """`images`, `filters`: what `gradient_ranges` wrote, for the unit bytes. They must outlive it."""

    def __init__(self, unit: str, levels: int = 254, seed: int = 0, images: int = 0, filters: int = 0) -> None: ...

def gradient_ranges(geometry: Geometry, gradient: int, scales: int, images: int, filters: int, threads: int) -> bool:
    """False: the gradient is not finite, which bytes cannot carry."""

def input_gradient(
    kernel: str,
    geometry: Geometry,
    rounding: Rounding,
    gradient: int,
    form: Form,
    w: int,
    scales: int,
    dx: int,
    threads: int,
) -> None: ...
def weight_gradient(
    kernel: str, geometry: Geometry, rounding: Rounding, gradient: int, codes: Codes, x: int, dw: int, threads: int
) -> None: ...
def weight_gradient_fits(geometry: Geometry, most: int) -> bool: ...
def multiplier(kernel: str, geometry: Geometry, product: str, unit: str) -> str: ...

class LinearShape:
    def __init__(self, batch: int, depth: int, channels: int) -> None: ...

class ConvShape:
    def __init__(
        self, images: int, height: int, width: int, channels: int, filters: int, kernel_height: int, kernel_width: int
    ) -> None: ...

def pieces_of(x: int, count: int, threads: int) -> int:
    """The fewest bfloat16 numbers whose sum is each of x exactly: 1, 2, or 3 (any float32)."""

def linear_sign_words(shape: LinearShape) -> int: ...
def linear(shape: LinearShape, x: int, pieces: int, w: int, y: int, signs: int, threads: int) -> bool:
    """`pieces` 0: x are bits. False: the latent weights hold NaN, and y is nothing."""

def linear_input_gradient(shape: LinearShape, g: int, pieces: int, signs: int, dx: int, threads: int) -> None: ...
def linear_weight_gradient(
    shape: LinearShape, g: int, g_pieces: int, x: int, x_pieces: int, dw: int, threads: int
) -> None: ...
def conv_takes_signs(shape: ConvShape) -> bool:
    """Whether x may come as bits."""

def conv_sign_words(shape: ConvShape) -> int:
    """How many words of 32 bits the signs of a convolution's weights take."""

def conv(shape: ConvShape, x: int, most_pieces: int, w: int, y: int, signs: int, threads: int) -> int:
    """How many pieces x takes; `most_pieces` 0: x are bits.

    0: more than `most_pieces`, or the latent weights hold NaN, and y is nothing.
    """

def conv_input_gradient(
    shape: ConvShape, g: int, from_: int, pieces: int, signs: int, dx: int, threads: int
) -> None: ...
def conv_weight_gradient(
    shape: ConvShape, g: int, from_: int, g_pieces: int, x: int, x_pieces: int, dw: int, threads: int
) -> None: ...
def adam(
    w: int,
    g: int,
    m: int,
    v: int,
    count: int,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    rate: float,
    deviation: float,
    clip: float,
    keep: float,
    threads: int,
) -> None: ...
def sgd(
    w: int,
    g: int,
    m: int,
    count: int,
    *,
    momentum: float,
    gain: float,
    decay: float,
    rate: float,
    clip: float,
    nesterov: bool,
    threads: int,
) -> None:
    """m 0: without momentum."""

def hat_gradient(g: int, x: int, dx: int, count: int, threads: int) -> None: ...
def shift_adamax(
    w: int,
    g: int,
    m: int,
    v: int,
    count: int,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    rate: float,
    nearest: bool,
    clip: float,
    threads: int,
) -> None: ...
def sign(x: int, y: int, count: int, threads: int) -> None: ...
def window_gradient(g: int, x: int, window: float, dx: int, count: int, threads: int) -> None: ...
def dropout(x: int, seed: int, p: float, y: int, count: int, threads: int) -> None:
    """y = x / (1 - p) or, with probability p, 0. Which follows from the seed and the place in memory: 0 < p < 1."""

class NormShape:
    def __init__(self, rows: int, channels: int) -> None: ...

class PoolShape:
    """Of the answer."""

    def __init__(self, images: int, height: int, width: int, channels: int) -> None: ...

def norm_statistics(shape: NormShape, x: int, mean: int, variance: int, threads: int) -> None: ...
def norm_forward(
    shape: NormShape, x: int, scale: int, shift: int, sign: bool, y: int, narrow: int, threads: int
) -> bool:
    """Whether x are integers of 16 bits each, and `narrow`, which may be 0, holds them."""

def norm_signs(
    kernel: str, shape: NormShape, x: int, scale: int, shift: int, bits: int, narrow: int, threads: int
) -> tuple[bool, bool]:
    """The sign as bits. False: a NaN has none, and bits are nothing. Then `narrow`, as above."""

def norm_sums(
    shape: NormShape,
    g: int,
    x: int,
    integers: int,
    mean: int,
    sign: bool,
    window: float,
    scale: int,
    shift: int,
    sum: int,
    product: int,
    threads: int,
) -> None: ...
def norm_gradient(
    shape: NormShape,
    g: int,
    x: int,
    integers: int,
    mean: int,
    sign: bool,
    window: float,
    scale: int,
    shift: int,
    slope: int,
    level: int,
    dx: int,
    threads: int,
) -> None: ...
def max_pool(shape: PoolShape, x: int, y: int, from_: int, threads: int) -> None: ...
def max_pool_gradient(shape: PoolShape, g: int, from_: int, dx: int, threads: int) -> None: ...
