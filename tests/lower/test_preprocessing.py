"""Networks that normalize contrast and whiten: the graph answers what torch does, in every engine.

Whitening and local contrast add up reals, which engines do in orders of their own; `CLOSE` is what that may change of
answers whose parts are of their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from binarynet import _native
from binarynet.errors import ExportError, LoweringError
from binarynet.export import TARGETS, Options, write
from binarynet.export.c.check import answers, compiled
from binarynet.format.container import from_bytes, to_bytes
from binarynet.graph import Graph, interpret
from binarynet.graph.functions import FUNCTIONS
from binarynet.graph.ir import Apply, Unflatten
from binarynet.lower import lower
from binarynet.nn import BinaryConv2d, GlobalContrastNorm, LocalContrastNorm, Sequential, SteSign, Whitening
from binarynet.recipes import Recipe
from binarynet.recipes.preprocessing import head, prepare
from binarynet.runtime import isa
from tests.export.building import STRICT, need
from tests.export.graphs import pictured
from tests.nn.test_preprocessing import images
from tests.recipes.test_preprocessing import RECIPES, SHAPES, WAYS, tiny
from tests.runtime.graphs import assert_engines_agree, native

CLOSE = 1e-4


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny products, and other processes beside this one
    yield
    torch.set_num_threads(before)


def batch(n: int, shape: tuple[int, int, int], seed: int = 7) -> np.ndarray:
    """Images, of which one has one colour, one is black, and one differs from white in one step."""
    made = images(n, *shape, seed=seed)
    made[0], made[1], made[2] = 130, 0, 255
    made[2, -1, -1, -1] = 254
    return made


def codes(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())


def bare(preprocessing: str, shape: tuple[int, int, int]) -> nn.Module:
    """What stands before the first layer, fitted, and its answer as one vector."""
    modules = head(preprocessing, shape)  # type: ignore[arg-type]
    net = Sequential(*modules.values(), nn.Flatten())
    named = nn.Module()
    for name, module in modules.items():
        named.add_module(name, module)
    prepare(named, images(60, *shape))
    return net.eval()


def answer(net: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        made: Tensor = net(torch.from_numpy(x))
    return made.reshape(len(x), -1).numpy()


@pytest.mark.parametrize("shape", [(3, 8, 9), (1, 8, 8), (2, 1, 5), (4, 12, 12)])
@pytest.mark.parametrize("preprocessing", WAYS)
def test_what_stands_before_the_first_layer_lowers_and_equals_torch(
    preprocessing: str, shape: tuple[int, int, int]
) -> None:
    net, said = bare(preprocessing, shape), []
    graph = lower(net, shape, allow_real=True, say=said.append)
    assert said[-1].startswith("proved on ")
    x = batch(9, shape)
    expected = answer(net, x)
    close(interpret(graph, codes(x)), expected)
    for name in isa.available():
        close(native(graph, codes(x), isa=name, threads=1), expected)
    alone, beside = (native(graph, codes(one), threads=2)[0] for one in (x[5:6], x[5:]))
    close(alone, beside)


def test_contrast_alone_is_the_same_bits_in_every_engine(tmp_path: Path) -> None:
    net = Sequential(GlobalContrastNorm(), nn.Flatten()).eval()
    for shape in ((1, 8, 8), (3, 9, 7)):
        graph = lower(net, shape)  # no product of reals in it
        x = batch(12, shape)
        expected = interpret(graph, codes(x))
        assert (expected[:2] == 0).all()
        np.testing.assert_allclose(expected, answer(net, x), rtol=1e-6, atol=0)
        for name in isa.available():
            np.testing.assert_array_equal(native(graph, codes(x), isa=name, threads=1), expected)


def trained(recipe: Recipe, shape: tuple[int, int, int]) -> nn.Module:
    torch.manual_seed(3)
    model = recipe.model(shape, 10)
    recipe.prepare(model, images(60, *shape))
    with torch.no_grad():  # so that norms know what they see
        for seed in range(3):
            model.train()(torch.from_numpy(images(40, *shape, seed=seed)))
    return model.eval()


@pytest.mark.parametrize("preprocessing", WAYS)
@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_lower_and_equal_torch_on_every_instruction_set(name: str, preprocessing: str) -> None:
    recipe = tiny(name, preprocessing)
    shape = SHAPES[type(recipe)]  # type: ignore[index]
    net, x = trained(recipe, shape), batch(8, shape)
    graph = lower(net, shape, allow_real=True)
    assert from_bytes(to_bytes(graph)).ops[-1].name == graph.output.name
    assert any(isinstance(op, Unflatten) for op in graph.ops) == (preprocessing == "gcn_zca")
    expected = answer(net, x)
    found = [interpret(graph, codes(x)), *(native(graph, codes(x), isa=one, threads=1) for one in isa.available())]
    for made in found:
        if name.startswith("bnn"):  # a real that is rounded the other way may flip a sign, and all behind it
            off = np.abs(made - expected).max(1) > CLOSE * np.abs(expected).max()
            assert off.mean() <= 0.25
        else:
            close(made, expected)


def exported(preprocessing: str) -> tuple[Graph, np.ndarray]:
    shape = (3, 8, 8)
    return lower(bare(preprocessing, shape), shape, allow_real=True), codes(batch(6, shape))


@pytest.mark.parametrize("preprocessing", WAYS)
def test_the_c_export_answers_what_the_oracle_does(preprocessing: str, tmp_path: Path) -> None:
    need("gcc")
    graph, x = exported(preprocessing)
    write(graph, "c", tmp_path, Options("net"))
    close(answers(compiled(tmp_path, "net", "gcc", STRICT), graph, x), interpret(graph, x))


@pytest.mark.parametrize("preprocessing", WAYS)
def test_the_onnx_export_answers_what_the_oracle_does(preprocessing: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    graph, x = exported(preprocessing)
    write(graph, "onnx", tmp_path, Options("net"))
    close(TARGETS["onnx"].answers(graph, tmp_path, Options("net"), x), interpret(graph, x))


def test_circuits_refuse_it_by_the_name_of_its_op(tmp_path: Path) -> None:
    graph, _ = exported("gcn_lcn")
    with pytest.raises(ExportError, match=r"^\S+ \(\w+\): the target verilog "):
        write(graph, "verilog", tmp_path, Options("net"))


def test_without_leave_reals_are_refused_by_the_name_of_the_layer() -> None:
    for module, name in ((Whitening(12), "1"), (LocalContrastNorm(3), "1")):
        net = Sequential(GlobalContrastNorm(), module)
        if isinstance(module, Whitening):
            module.fill(np.zeros(12), 0.3 * np.eye(12) + 0.1)
        with pytest.raises(LoweringError, match=rf"^{name} \({type(module).__name__}\): .*allow_real=True"):
            lower(net, (3, 2, 2))


def test_a_network_that_has_seen_no_images_is_refused() -> None:
    with pytest.raises(LoweringError, match=r"Whitening has seen no images yet: train its recipe"):
        lower(Sequential(GlobalContrastNorm(), Whitening(12)), (3, 2, 2), allow_real=True)


class Divided(nn.Module):
    """Roots, reciprocals and a division, as people write them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.conv, self.sign = how, BinaryConv2d(3, 4, 3, weight_quantizer="ste_sign", bias=False), SteSign()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.sign(x)) / 4
        size = x.square() if self.how == "square" else x * x
        if self.how == "rms":
            return x * torch.rsqrt(size.mean((2, 3), keepdim=True) + 1e-3)
        if self.how == "l2":
            return x / size.sum(1, keepdim=True).sqrt().clamp(min=0.5)
        return x * torch.reciprocal(size + 1)


@pytest.mark.parametrize("how", ["rms", "l2", "over"])
def test_divisions_by_values_lower(how: str) -> None:
    net, x = Divided(how).eval(), torch.randn(5, 3, 6, 6)
    graph = lower(net, (3, 6, 6), allow_real=True)
    assert any(isinstance(op, Apply) and op.function == "reciprocal" for op in graph.ops)
    found = interpret(graph, codes(x.numpy())).transpose(0, 3, 1, 2)
    with torch.no_grad():
        close(found, net(x).numpy())


def test_vectors_that_become_images_are_the_same_bits_on_every_instruction_set() -> None:
    made = pictured()
    assert_engines_agree(made.graph(), made.codes(9), (1,))


@pytest.mark.parametrize("factor", [1.0001, float("inf")])
@pytest.mark.parametrize("function", ["sqrt", "reciprocal"])
def test_the_proof_sees_a_wrong_root(function: str, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    right = FUNCTIONS[function]
    monkeypatch.setitem(FUNCTIONS, function, lambda on, x: on.multiply(right(on, x), on.number(factor)))
    with pytest.raises(LoweringError, match=r"^0 \(GlobalContrastNorm\): the graph answers .* the two part here"):
        lower(Sequential(GlobalContrastNorm(), nn.Flatten()), (3, 4, 4))


@pytest.mark.parametrize("shape", [(23,), (2, 3, 4, 1), (2, 3), (0, 4, 6), (25, 1, 1), (2**32, 2**32, 24)])
def test_the_engine_refuses_shapes_that_no_reader_would_let_pass(shape: tuple[int, ...]) -> None:
    network = _native.Network("portable", 1, "")
    source = network.add_input((24,), "f32")
    with pytest.raises(ValueError, match="makes an image of as many numbers as the vector has"):
        network.add_unflatten("image", source, shape)
