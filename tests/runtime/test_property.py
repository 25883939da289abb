"""Any graph the native engine takes, whatever its shape, answers what the oracle answers."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runtime.graphs import Maker, assert_engines_agree

EXACT = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=120,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
WIDTHS = st.sampled_from([1, 2, 3, 8, 31, 33, 63, 64, 65, 127, 200])
ENCODINGS = st.sampled_from(["b1", "b3", "b8", "u4", "u8"])
WEIGHTS = st.sampled_from(["b1", "b1", "b1", "t2", "u1", "u2", "i2", "i4", "b2"])
CODES = st.sampled_from(["b1", "b1", "b1", "t2", "u1", "u2", "u4", "i3", "b2"])
THRESHOLDS = st.sampled_from(["mixed", "rising", "falling", "extreme", "always", "never"])


def convolution(draw: st.DrawFn, make: Maker) -> None:
    height, width, channels = make.value().shape
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2))
    kernel = tuple(
        draw(st.integers(1, min(4, (size + sum(pad) - 1) // step + 1)))
        for size, pad, step in zip((height, width), padding, dilation, strict=True)
    )
    groups = draw(st.sampled_from([g for g in (1, 1, 2, 3, channels) if channels % g == 0]))
    out = groups * draw(WIDTHS.filter(lambda n: n * groups <= 200) if groups < 100 else st.just(1))
    encoding = make.value().encoding
    pad_value = draw(st.sampled_from([0, *(v for v in (1, -1) if encoding.low <= v <= encoding.high)]))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    make.conv(out, kernel, stride, dilation, padding, pad_value, groups, encoding=draw(WEIGHTS))


def pool(draw: st.DrawFn, make: Maker, kind: str) -> None:
    height, width, _ = make.value().shape
    kernel = draw(st.tuples(st.integers(1, min(3, height)), st.integers(1, min(3, width))))
    padding = tuple(draw(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1))) for k in kernel)
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    (make.max_pool if kind == "max" else make.sum_pool)(kernel, stride, padding)


def residual(draw: st.DrawFn, make: Maker) -> None:
    trunk = make.last
    make.threshold(draw(THRESHOLDS), source=trunk)
    make.conv(make.value(trunk).channels, (3, 3), padding=((1, 1), (1, 1)), pad_value=draw(st.sampled_from([0, 1, -1])))
    if make.value(trunk).encoding.is_float:
        make.affine()
    make.add(*draw(st.permutations([trunk, make.last])))


def take(draw: st.DrawFn, make: Maker) -> None:
    """Places of each axis in any order: runs, single ones, and 0 where the encoding has it."""
    least = 0 if make.value().encoding.kind == "b" else -1
    places = []
    for size, most in zip((1, 1, *make.value().shape)[-3:], (4, 4, 70), strict=True):
        begin, step = draw(st.integers(0, size - 1)), draw(st.sampled_from([1, 1, 2, -1]))
        run = range(begin, size if step > 0 else -1, step)
        alone = st.lists(st.integers(least, size - 1), min_size=1, max_size=3)
        places.append([*run, *draw(alone)][:most] if draw(st.booleans()) else None)
    if len(make.value().shape) == 1:
        places[:2] = [None, None]
    make.take(*places)


def join(draw: st.DrawFn, make: Maker) -> None:
    first = make.last
    make.concat(
        *draw(
            st.permutations(
                [
                    first,
                    make.take(channels=range(draw(st.integers(1, 3)) % make.value().channels + 1), source=first),
                    first,
                ]
            )
        )
    )


def gate(draw: st.DrawFn, make: Maker) -> None:
    """A real value times a function of a part of it."""
    if not make.value().encoding.is_float:
        make.affine()
    whole, (height, width, channels) = make.last, make.value().shape
    sizes = [draw(st.sampled_from([None, [size - 1]])) for size in (height, width, channels)]
    make.take(*sizes)
    make.mul(whole, make.apply(draw(st.sampled_from(["sigmoid", "tanh", "erf"]))))


def image(draw: st.DrawFn, make: Maker) -> None:
    """A vector of numbers as an image, and what reads one: tables of its channels, a convolution."""
    count = make.value().channels
    height = draw(st.sampled_from([side for side in range(1, count + 1) if count % side == 0]))
    width = draw(st.sampled_from([side for side in range(1, count + 1) if count // height % side == 0]))
    make.unflatten(height, width, count // height // width)
    if draw(st.booleans()):
        make.affine()
    if draw(st.booleans()):
        make.threshold(draw(THRESHOLDS), encoding=draw(CODES))
        convolution(draw, make)


@st.composite
def convnets(draw: st.DrawFn) -> Maker:
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    make = Maker((*size, draw(WIDTHS)), draw(ENCODINGS), seed=draw(st.integers(0, 2**20)))
    for _ in range(draw(st.integers(1, 3))):
        convolution(draw, make)
        for step in draw(
            st.lists(st.sampled_from(["max", "sum", "residual", "affine", "relu", "take", "join", "gate"]), max_size=3)
        ):
            if step in ("max", "sum"):
                pool(draw, make, step)
            elif step in ("residual", "take", "join", "gate"):
                {"residual": residual, "take": take, "join": join, "gate": gate}[step](draw, make)
            else:
                getattr(make, step)()
        if make.value().encoding.is_float and draw(st.booleans()):
            make.prelu()
        make.threshold(draw(THRESHOLDS), encoding=draw(CODES))
        if draw(st.booleans()):
            pool(draw, make, "max")
        if draw(st.booleans()):
            draw(st.sampled_from([take, join]))(draw, make)
    if draw(st.booleans()):
        make.flatten()
        if draw(st.booleans()):
            draw(st.sampled_from([take, join]))(draw, make)
        make.linear(draw(WIDTHS), encoding=draw(WEIGHTS))
        if draw(st.booleans()):
            make.threshold(draw(THRESHOLDS), encoding=draw(CODES))
            make.linear(draw(WIDTHS), encoding=draw(WEIGHTS))
        if draw(st.booleans()):
            make.affine()
    return make


@st.composite
def mlps(draw: st.DrawFn) -> Maker:
    depth = draw(st.sampled_from([1, 2, 31, 63, 64, 65, 127, 129, 512, 784]))
    make = Maker((depth,), draw(ENCODINGS), seed=draw(st.integers(0, 2**20)))
    for _ in range(draw(st.integers(0, 3))):
        make.linear(draw(WIDTHS), encoding=draw(WEIGHTS))
        if draw(st.booleans()):
            make.affine()
        make.threshold(draw(THRESHOLDS), encoding=draw(CODES))
    make.linear(draw(WIDTHS), encoding=draw(WEIGHTS))
    if draw(st.booleans()):
        make.affine()
    return make


@st.composite
def decoders(draw: st.DrawFn) -> Maker:
    """A vector, and what becomes of it as an image."""
    make = draw(mlps())
    image(draw, make)
    return make


@EXACT
@given(decoders(), st.sampled_from([0, 1, 2, 17]))
def test_any_vector_that_becomes_an_image_equals_the_oracle(make, images):
    assert_engines_agree(make.graph(), make.codes(images))


@EXACT
@given(convnets(), st.sampled_from([0, 1, 2, 3, 17]))
def test_any_convnet_on_every_instruction_set_equals_the_oracle(make, images):
    assert_engines_agree(make.graph(), make.codes(images))


@EXACT
@given(mlps(), st.sampled_from([0, 1, 3, 33, 100]))
def test_any_mlp_on_every_instruction_set_equals_the_oracle(make, images):
    assert_engines_agree(make.graph(), make.codes(images))
