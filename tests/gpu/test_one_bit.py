"""The kernel on one-bit tensor cores: run on a CPU by an emulator of its instructions, and compiled for sm_90a."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from binarynet.errors import RuntimeUnavailable
from binarynet.format.bits import pack as pack_bits
from binarynet.gpu import Network, driver, launch, one_bit, ops
from binarynet.gpu.product import Finish, Product
from binarynet.graph import Encoding
from binarynet.graph.ir import Conv2d, Linear, Value
from tests.gpu.checks import DEVICE
from tests.gpu.compiling import machine_code
from tests.graph.graphs import small_mlp

CUDA = Path(str(files("binarynet.gpu"))) / "cuda"
EMULATOR = Path(__file__).with_name("emulator")
COMPILER = shutil.which("g++")
ENDINGS = {"i32": 0, "b1": 1, "affine": 2}
SUMS = Finish("i32")


class Map(ctypes.Structure):
    """``TensorMap`` of emulator/hopper.h."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("rows", "width", "pitch")),
        ("box_rows", ctypes.c_int),
    ]


@pytest.fixture(scope="module")
def emulate(tmp_path_factory):
    """one_bit.cu as a function of what `binarynet.gpu.ops.bit_gemm_wgmma` takes."""
    if COMPILER is None:
        pytest.skip("needs g++ (Debian package g++)")
    made = tmp_path_factory.mktemp("emulator") / "one_bit.so"
    command = [COMPILER, "-std=c++20", "-O2", "-Wall", "-Wno-unknown-pragmas", "-Werror", "-ffp-contract=off"]
    command += ["-shared", "-fPIC", "-pthread", f"-I{EMULATOR}", f"-I{CUDA}", EMULATOR / "one_bit.cpp", "-o", made]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(made))

    def call(x, weight, made, base, kinds=None, finish=SUMS, pixels=1, blocks=2):
        x, weight = one_bit.aligned(x), one_bit.aligned(weight)
        out = launch.answer(x, len(x), len(weight), made)
        out.view(torch.int32).fill_(-123456789)
        counts = one_bit.ones(x)
        ends = (finish.thresholds, finish.rising, finish.scale, finish.offset)
        job = one_bit.job(x, out, counts, pixels, base, kinds, *ends, len(weight))
        maps = [
            Map(one.data_ptr(), len(one), 4 * one.shape[1], 4 * one.stride(0), rows)
            for one, rows in ((x, one_bit.ROWS), (weight, one_bit.CHANNELS))
        ]
        library.emulate(ENDINGS[made], *(ctypes.byref(one) for one in (*maps, job)), blocks)
        return out

    return call


def signs(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


def words(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pack_bits(values).view("<i4").copy())


@pytest.mark.parametrize(
    ("rows", "channels", "depth"),
    [(1, 1, 1), (3, 5, 63), (2, 3, 64), (129, 257, 65), (5, 255, 1024), (65, 3, 1025), (130, 260, 5000), (1, 2, 16000)],
)
def test_sums_are_exact_at_every_edge_of_a_tile(emulate, rows, channels, depth):
    x, w = signs(rows, rows, depth), signs(channels + 1, channels, depth)
    base = torch.from_numpy(-w.sum(1, dtype=np.int32))[None].clone()
    found = emulate(words(x), words(w), "i32", base)
    assert np.array_equal(found.numpy(), x.astype(np.int32) @ w.T.astype(np.int32))


@pytest.mark.parametrize("value", [-1, 1])
def test_all_equal_and_all_opposite_rows_reach_the_ends(emulate, value):
    x, w = np.full((3, 2048), value, np.int8), np.stack([np.ones(2048, np.int8), -np.ones(2048, np.int8)])
    found = emulate(words(x), words(w), "i32", torch.from_numpy(-w.sum(1, dtype=np.int32))[None].clone())
    assert found.tolist() == [[2048 * value, -2048 * value]] * 3


@pytest.mark.parametrize("channels", [1, 33, 64, 65, 300])
def test_thresholds_pack_bits_whose_tail_is_zero(emulate, channels):
    x, w = signs(1, 70, 200), signs(2, channels, 200)
    acc = x.astype(np.int32) @ w.T.astype(np.int32)
    random = np.random.default_rng(3)
    levels, rising = acc[random.integers(0, 70, channels), np.arange(channels)], random.random(channels) < 0.5
    finish = Finish("b1", torch.from_numpy(levels)[:, None].clone(), torch.from_numpy(rising.astype(np.int8)))
    found = emulate(words(x), words(w), "b1", torch.from_numpy(-w.sum(1, dtype=np.int32))[None].clone(), None, finish)
    assert np.array_equal(found.numpy(), pack_bits(np.where((acc >= levels) == rising, 1, -1)).view("<i4"))


def test_a_scale_rounds_twice(emulate):
    x, w = signs(1, 70, 200), signs(2, 40, 200)
    scale, offset = np.random.default_rng(4).normal(size=(2, 40)).astype(np.float32)
    finish = Finish("affine", scale=torch.from_numpy(scale), offset=torch.from_numpy(offset))
    base = torch.from_numpy(-w.sum(1, dtype=np.int32))[None].clone()
    found = emulate(words(x), words(w), "affine", base, None, finish).numpy()
    assert np.array_equal(found, (x.astype(np.int32) @ w.T.astype(np.int32)).astype(np.float32) * scale + offset)


@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_convolutions_are_exact_to_the_border(emulate, monkeypatch, pad_value):
    """The whole path of `Product`, with the emulator in the place of the GPU."""
    weight = signs(5, 33, 3, 2, 70)
    op = Conv2d("conv", ("x",), weight, stride=(2, 1), dilation=(1, 2), padding=((1, 2), (1, 0)), pad_value=pad_value)
    product = Product(op, Value((6, 5, 70), Encoding.parse("b1"), 1), torch.device("cpu"))
    product.base["wgmma"] = product.base["dot"]
    x = words(signs(6, 2 * 6 * 5, 70))
    seen = []

    def stand_in(x, weight, pixels, base, kinds, thresholds, rising, scale, offset, made):
        seen.append(emulate(x, weight, made, base, kinds, Finish(made, thresholds, rising, scale, offset), pixels))
        return seen[-1]

    monkeypatch.setattr(ops, "bit_gemm_wgmma", stand_in)
    assert torch.equal(product(x, Finish("i32"), "wgmma"), product(x, Finish("i32"), "dot"))
    assert len(seen) == 1


def test_a_race_of_copies_and_products_would_be_seen(emulate, tmp_path):
    """An emulator that finds nothing proves nothing: a stage given back before its products are made is seen."""
    folder = tmp_path / "cuda"
    folder.mkdir()
    source = (CUDA / "one_bit.cu").read_text()
    broken = source.replace("await_products<1>();", "await_products<8>();")
    assert broken != source
    (folder / "one_bit.cu").write_text(broken)
    command = [COMPILER, "-std=c++20", "-O2", "-w", "-shared", "-fPIC", "-pthread", f"-I{EMULATOR}", f"-I{folder}"]
    subprocess.run([*command, EMULATOR / "one_bit.cpp", "-o", tmp_path / "broken.so"], check=True)
    x, w = words(signs(1, 8, 9000)), words(signs(2, 8, 9000))
    x, w = one_bit.aligned(x), one_bit.aligned(w)
    out = torch.zeros(8, 8, dtype=torch.int32)
    job = one_bit.job(x, out, one_bit.ones(x), 1, torch.zeros(1, 8, dtype=torch.int32), *[None] * 5, 8)
    maps = [Map(one.data_ptr(), 8, 4 * one.shape[1], 4 * one.stride(0), n) for one, n in ((x, 128), (w, 256))]
    ctypes.CDLL(str(tmp_path / "broken.so")).emulate(0, *(ctypes.byref(one) for one in (*maps, job)), 1)
    common = (x[:, None] & w[None]).numpy().view(np.uint32)
    exact = 4 * np.bitwise_count(common).sum(-1).astype(np.int32) - 2 * one_bit.ones(x).numpy()[:, None]
    assert not np.array_equal(out.numpy(), exact)


@pytest.mark.parametrize("length", [1, 64, 65, 128, 4607])
def test_bits_of_a_row_are_counted_and_rows_are_aligned(length):
    values = signs(length, 9, length)
    x = words(values).to(DEVICE)
    assert one_bit.ones(x).tolist() == (values == 1).sum(1).tolist()
    assert one_bit.aligned(x).shape[1] % 4 == 0
    assert one_bit.ones(one_bit.aligned(x)).tolist() == one_bit.ones(x).tolist()


@pytest.mark.skipif(driver.why_not() is not None, reason=f"compiling CUDA C++ {driver.why_not()}")
def test_the_kernel_is_one_bit_tensor_core_instructions_and_spills_nothing():
    found = machine_code(driver.compiled(*one_bit.source(), one_bit.ARCHITECTURE))
    assert set(found) == set(one_bit.KERNELS.values())
    for name, (code, registers, stack) in found.items():
        assert re.search(r"BGMMA\.64x256x256\.AND\.POPC", code), name
        assert not re.search(r"\b(LDL|STL)\b", code), name
        assert stack == 0, name
        assert registers <= 65536 // one_bit.THREADS, name
        # The copy engine fills a stage, and no product waits for another of its stage.
        assert "UTMALDG.2D" in code
        assert len(re.findall(r"BGMMA", code)) >= 4


def test_the_header_says_what_python_says():
    text = (CUDA / "one_bit.cu").read_text()
    assert (
        f"ROWS = {one_bit.ROWS}, CHANNELS = {one_bit.CHANNELS}, BYTES = {one_bit.BYTES}, STAGES = {one_bit.STAGES}"
        in text
    )
    fields = re.search(r"struct Job \{.*?\n(.*?)\};", text, re.S).group(1)
    names = re.findall(r"\*?(\w+)[,;]", fields)
    assert names == [name for name, _ in one_bit.Job._fields_]


def test_without_such_a_gpu_the_method_is_refused_with_a_way_out():
    if one_bit.why_not(DEVICE) is None:
        pytest.skip("this GPU has one-bit tensor cores")
    with pytest.raises(
        RuntimeUnavailable, match=r"method 'wgmma' needs a GPU of compute capability 9.0.*method='int8'"
    ):
        Network(small_mlp(), DEVICE, "wgmma")
    product = Product(Linear("a", ("x",), signs(1, 3, 64)), Value((64,), Encoding.parse("b1"), 1), DEVICE)
    assert product.methods == ("xnor", "dot", "int8")
    x = words(signs(2, 2, 128)).to(DEVICE)
    with pytest.raises(RuntimeUnavailable, match=r"bit_gemm_wgmma needs a GPU of compute capability 9\.0"):
        ops.bit_gemm_wgmma(x, x, 1, torch.zeros(1, 2, dtype=torch.int32), None, None, None, None, None, "i32")


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(driver, "library", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeUnavailable, match=r"CUDA C\+\+ needs NVRTC.*or nvcc, and finds neither"):
        driver.compiled("", {}, "sm_90a")


@pytest.mark.skipif(driver.why_not() is not None, reason=f"compiling CUDA C++ {driver.why_not()}")
def test_what_a_compiler_says_is_handed_on():
    with pytest.raises(RuntimeUnavailable, match=r"refuses a kernel for sm_90a.*nonsense"):
        driver.compiled("int answer() { return nonsense; }", {}, "sm_90a")
