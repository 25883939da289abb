"""Training steps on a CPU (native/training/bindings.cpp). Tensors are addresses; used by `binarynet.nn.native` only."""

def products_supported() -> bool:
    """Whether this CPU has a matrix unit for bfloat16; the products below work on such a CPU alone."""

class LinearShape:
    def __init__(self, batch: int, depth: int, channels: int) -> None: ...

class ConvShape:
    def __init__(
        self, images: int, height: int, width: int, channels: int, filters: int, kernel_height: int, kernel_width: int
    ) -> None: ...

def pieces_of(x: int, count: int, threads: int) -> int:
    """The fewest bfloat16 numbers whose sum is each of x exactly: 1, 2, or 3 (any float32)."""

def linear(shape: LinearShape, x: int, pieces: int, w: int, y: int, signs: int, threads: int) -> bool:
    """False: the latent weights hold NaN, and y is nothing."""

def linear_input_gradient(shape: LinearShape, g: int, pieces: int, signs: int, dx: int, threads: int) -> None: ...
def linear_weight_gradient(
    shape: LinearShape, g: int, g_pieces: int, x: int, x_pieces: int, dw: int, threads: int
) -> None: ...
def conv_sign_words(shape: ConvShape) -> int:
    """How many words of 32 bits the signs of a convolution's weights take."""

def conv(shape: ConvShape, x: int, most_pieces: int, w: int, y: int, signs: int, threads: int) -> int:
    """How many pieces x takes. 0: more than `most_pieces`, or the latent weights hold NaN, and y is nothing."""

def conv_input_gradient(shape: ConvShape, g: int, pieces: int, signs: int, dx: int, threads: int) -> None: ...
def conv_weight_gradient(
    shape: ConvShape, g: int, g_pieces: int, x: int, x_pieces: int, dw: int, threads: int
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
    threads: int,
) -> None: ...
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
def norm_forward(shape: NormShape, x: int, scale: int, shift: int, sign: bool, y: int, threads: int) -> None: ...
def norm_sums(
    shape: NormShape,
    g: int,
    x: int,
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
