"""The operators that torch sees: their shapes without running, `torch.compile`, and the packing convention."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet.format.bits import pack as pack_bits
from binarynet.gpu import Finish, Product, ops
from binarynet.graph import Encoding
from binarynet.graph.ir import Conv2d, Linear, Value
from tests.gpu.checks import DEVICE

RANDOM = np.random.default_rng(0)


def signs(*shape: int) -> np.ndarray:
    return RANDOM.choice(np.array([-1, 1], np.int8), shape)


def as_words(values: np.ndarray) -> np.ndarray:
    return pack_bits(values).view("<i4")


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 65, 200])
@pytest.mark.parametrize("kind", [torch.float32, torch.int8, torch.int32])
def test_packing_by_sign_is_the_one_packing_convention(length, kind):
    values = RANDOM.integers(-2, 3, (5, length))
    words = ops.pack(torch.from_numpy(values).to(DEVICE, kind), None, None, "b1").cpu().numpy()
    assert np.array_equal(words, as_words(np.where(values >= 0, 1, -1)))
    assert np.array_equal(ops.unpack(torch.from_numpy(words).to(DEVICE), length).cpu(), np.where(values >= 0, 1, -1))


def test_the_sign_of_minus_zero_is_plus():
    words = ops.pack(torch.tensor([[-0.0, 0.0, -1e-45, 1e-45]], device=DEVICE), None, None, "b1")
    assert int(words[0, 0]) == 0b1011


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_codes_become_one_plane_a_digit(bits):
    codes = RANDOM.integers(0, 1 << bits, (3, 70)).astype(np.uint8)
    words = ops.pack_planes(torch.from_numpy(codes).to(DEVICE), bits).cpu().numpy()
    for plane in range(bits):
        assert np.array_equal(words[plane], as_words((codes >> plane) & 1))


@pytest.mark.parametrize("kernel", [ops.tiled_gemm, ops.untiled_gemm])
@pytest.mark.parametrize("shape", [(5, 70, 9), (16, 16, 16), (33, 17, 18)])
def test_the_papers_baselines_multiply_matrices(kernel, shape):
    m, k, n = shape
    a, b = torch.from_numpy(signs(m, k)).float().to(DEVICE), torch.from_numpy(signs(k, n)).float().to(DEVICE)
    assert torch.equal(kernel(a, b), a @ b)


def test_the_digits_of_bytes_lie_digit_by_digit():
    values = RANDOM.integers(0, 2, (3, 130))
    octets = as_words(np.where(values, 1, -1)).view(np.uint8)
    found = ops.spread(torch.from_numpy(octets.view(np.int32)).to(DEVICE)).cpu().numpy()
    assert found.shape == (3, 8, 24)
    for digit in range(8):
        assert np.array_equal(found[:, digit], (octets >> digit) & 1)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("weight", ["b1", "t2"])
def test_packed_weights_times_reals_of_every_width(kind, weight):
    """W1A16 and W1A32: the products are exact; whole numbers have exact sums in any order."""
    encoding = Encoding.parse(weight)
    values = signs(33, 70) * (RANDOM.integers(0, 2, (33, 70)) if weight == "t2" else 1)
    product = Product(
        Linear("a", ("x",), values.astype(np.int8), weight), Value((70,), Encoding.parse("f32"), 1), DEVICE
    )
    assert str(product.holds) == str(encoding)
    x = torch.from_numpy(RANDOM.integers(-99, 100, (5, 70))).to(DEVICE, kind)
    found = product(x, Finish("f32"), "dot")
    assert torch.equal(found, x.float() @ torch.from_numpy(values).float().to(DEVICE).T)


def test_a_float32_is_multiplied_with_all_its_bits():
    product = Product(Linear("a", ("x",), np.ones((1, 1), np.int8)), Value((1,), Encoding.parse("f32"), 1), DEVICE)
    odd = torch.tensor([1 + 2**-23, -(2**24 - 1), 1e-30, 3.4028235e38, 0.1, -0.0], device=DEVICE)[:, None]
    assert torch.equal(product(odd, Finish("f32"), "dot"), odd)


def products() -> list[tuple[str, torch.Tensor, Product]]:
    """(method, an input that lies as the product reads it, the product): one of each operator."""
    bits, octets = Encoding.parse("b1"), Encoding.parse("b8")
    linear = Product(Linear("a", ("x",), signs(33, 40)), Value((40,), bits, 1), DEVICE)
    conv = Product(
        Conv2d("b", ("x",), signs(3, 3, 3, 2), padding=((1, 1), (1, 1))), Value((4, 3, 2), octets, 255), DEVICE
    )
    words = torch.from_numpy(as_words(signs(2, 40))).to(DEVICE)
    codes = torch.from_numpy(RANDOM.integers(-128, 128, (24, 2)).astype(np.int8)).to(DEVICE)
    many = torch.from_numpy(as_words(signs(17, 40))).to(DEVICE)
    return [
        ("xnor", words, linear),
        ("xnor", many, linear),
        ("dot", words, linear),
        ("dot", codes, conv),
        ("int8", codes, conv),
    ]


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize("made", ["i32", "b1", "u2"])
def test_shapes_and_types_are_known_without_running(case, made):
    method, x, product = products()[case]
    levels = Encoding.parse(made).count - 1 if made != "i32" else 0
    thresholds = torch.zeros(product.out, levels, dtype=torch.int32, device=DEVICE) if levels else None
    rising = torch.ones(product.out, dtype=torch.int8, device=DEVICE) if levels else None
    called = []
    name = ["xnor_gemm_rows", "xnor_gemm", "bit_gemm_dot", "flat_gemm_dot", "octet_gemm_dot"][case]
    operator = getattr(torch.ops.binarynet, name).default

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is operator:
                called.append(args)
            return function(*args, **(kwargs or {}))

    with Watch():
        product(x, Finish(made, thresholds, rising), method)
    torch.library.opcheck(operator, called[0], test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pack", lambda: (torch.randn(3, 40), None, None, "b1")),
        ("pack_planes", lambda: (torch.zeros(3, 40, dtype=torch.uint8), 8)),
        ("unpack", lambda: (torch.zeros(3, 2, dtype=torch.int32), 40)),
        ("pool_bits", lambda: (torch.zeros(16, 2).int(), torch.zeros(2).int(), [4, 4, 2, 2, 2, 2, 2, 2, 0, 0])),
        ("tiled_gemm", lambda: (torch.randn(3, 4), torch.randn(4, 5))),
        ("untiled_gemm", lambda: (torch.randn(3, 4), torch.randn(4, 5))),
        ("spread", lambda: (torch.zeros(3, 2, dtype=torch.int32),)),
    ],
)  # fmt: skip
def test_the_other_operators_too(name, arguments):
    given = tuple(x.to(DEVICE) if isinstance(x, torch.Tensor) else x for x in arguments())
    torch.library.opcheck(
        getattr(torch.ops.binarynet, name).default, given, test_utils=("test_schema", "test_faketensor")
    )


@pytest.mark.parametrize("method", ["xnor", "dot", "int8"])
def test_torch_compile_takes_them_into_one_graph(method):
    product = products()[0][2]

    def net(x: torch.Tensor) -> torch.Tensor:
        return product(ops.pack(x, None, None, "b1"), Finish("i32"), method).float() * 2

    x = torch.randn(3, 40, device=DEVICE)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), net(x))
