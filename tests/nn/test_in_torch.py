"""Binary layers inside torch's machinery: compile, export, autocast, DistributedDataParallel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.parallel import DistributedDataParallel

from binarynet.nn import (
    QUANTIZERS,
    BinaryConv1d,
    BinaryConv2d,
    BinaryConvTranspose2d,
    BinaryLinear,
    ByteInput,
    EdeSign,
    Sequential,
    SteSign,
    squared_hinge,
)
from binarynet.nn.quantizers import signs

# torch's compilers use what torch itself has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SIGNS = [name for name, quantizer in QUANTIZERS.items() if quantizer.__module__ == signs.__name__]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def network(quantizer: str = "ste_sign") -> nn.Module:
    """Every kind of layer once; takes (n, 1, 6, 6) bytes."""
    return nn.Sequential(
        BinaryConv2d(1, 4, 3, padding=1, input_quantizer="byte_input", weight_quantizer=quantizer, pad_value=1),
        nn.BatchNorm2d(4),
        BinaryConvTranspose2d(4, 2, 2, stride=2, input_quantizer=quantizer, weight_quantizer=quantizer),
        nn.MaxPool2d(2),
        nn.Flatten(2),
        BinaryConv1d(2, 2, 2, padding="same", input_quantizer=quantizer, weight_quantizer=quantizer),
        nn.Flatten(),
        BinaryLinear(72, 3, bias=False, input_quantizer=quantizer, weight_quantizer=quantizer),
        nn.BatchNorm1d(3),
    )


def images(n: int = 5) -> Tensor:
    return torch.randint(0, 256, (n, 1, 6, 6), dtype=torch.uint8)


def loss_and_gradients(model: nn.Module, call: nn.Module, x: Tensor) -> list[Tensor]:
    model.zero_grad()
    torch.manual_seed(4)  # for the quantizers that draw
    loss = squared_hinge(call(x), torch.arange(len(x)) % 3)
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None for gradient in gradients)
    return [loss.detach(), *(gradient.clone() for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize("quantizer", SIGNS)
def test_compiled_whole_network_equals_eager_forward_and_backward(quantizer: str) -> None:
    model, x = network(quantizer), images()
    eager = loss_and_gradients(model, model, x)
    compiled = loss_and_gradients(model, torch.compile(model, fullgraph=True, backend="aot_eager"), x)
    for ours, theirs in zip(compiled, eager, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)  # BatchNorm sums in another order


def test_compiled_by_inductor_equals_eager_at_every_edge() -> None:
    quantizer = SteSign()
    tiny = torch.finfo(torch.float32).smallest_normal
    edges = [0.0, -0.0, tiny, -tiny, 1.0, -1.0, 1.0000001, -1.0000001, torch.inf, -torch.inf, torch.nan]
    x = torch.tensor(edges * 7)  # more than one vector, and a tail
    results = []
    # The option skips building a probe for each instruction set (12 s): those the CPU reports are taken as good.
    for call in (quantizer, torch.compile(quantizer, fullgraph=True, options={"cpp.vec_isa_ok": True})):
        leaf = x.clone().requires_grad_()
        y = call(leaf)
        y.sum().backward()
        results.append((y.detach(), leaf.grad))
    (value, gradient), (compiled_value, compiled_gradient) = results
    torch.testing.assert_close(compiled_value, value, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(compiled_gradient, gradient)


def test_annealing_ede_does_not_compile_anew_each_epoch() -> None:
    quantizer, backend = EdeSign(), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(quantizer, fullgraph=True, backend=backend)
    x = torch.linspace(-2, 2, 5, requires_grad=True)
    for epoch in range(8):
        quantizer.t = 0.1 * 100 ** (epoch / 7)
        x.grad = None
        compiled(x).sum().backward()
        torch.testing.assert_close(x.grad, quantizer.pseudo_gradient(x))
    assert backend.frame_count <= 2  # once for the number, once for any number


@pytest.mark.parametrize("quantizer", SIGNS)
def test_exported_program_equals_the_module(quantizer: str) -> None:
    model = network(quantizer).eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(model, (images(3),), dynamic_shapes=({0: batch},))
    x = images(7)
    assert torch.equal(program.module()(x), model(x))
    assert set(program.state_dict) == set(model.state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_an_exported_batch_has_no_largest_size(training: bool) -> None:
    """Layers, quantizers and `Sequential`, of a size at which the native steps begin."""
    model = Sequential(
        BinaryConv2d(1, 16, 3, padding=1, input_quantizer="byte_input"),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(16),
        SteSign(),
        nn.Flatten(),
        nn.Dropout(0.1),
        BinaryLinear(256, 64, bias=False),
        nn.BatchNorm1d(64),
        BinaryLinear(64, 3, input_quantizer="ste_sign"),
    ).train(training)
    shape = ({0: torch.export.Dim("batch", min=2)},)
    x = torch.randint(0, 256, (300, 1, 8, 8), dtype=torch.uint8)
    for strict in (False, True):
        program = torch.export.export(model, (x[:3],), dynamic_shapes=shape, strict=strict)
        if not training:
            assert torch.equal(program.module()(x), model(x))


@pytest.mark.parametrize("quantizer", SIGNS)
def test_autocast_keeps_signs_and_byte_sums_exact(quantizer: str) -> None:
    layer = BinaryLinear(63, 8, bias=False, input_quantizer=quantizer, weight_quantizer=quantizer).eval()
    x = torch.randn(4, 63)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y.float(), layer(x))  # up to 63 products: integers that bfloat16 holds


@pytest.mark.parametrize("quantizer", SIGNS)
def test_autocast_trains(quantizer: str) -> None:
    model, x = network(quantizer), images(6)
    plain = loss_and_gradients(model, model, x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss_and_gradients(model, model, x)
    for ours, theirs in zip(mixed, plain, strict=True):
        assert ours.dtype == torch.float32
        assert ours.isfinite().all()
        assert ours.shape == theirs.shape
    assert any(gradient.ne(0).any() for gradient in mixed[1:])


def test_byte_input_stays_exact_under_autocast() -> None:
    layer = nn.Sequential(ByteInput(), BinaryLinear(1, 1, bias=False))
    nn.init.constant_(layer[1].weight, -1.0)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(torch.arange(256, dtype=torch.uint8)[:, None])
    assert y.float().flatten().tolist() == [255 - 2 * code for code in range(256)]


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("quantizer", ["ste_sign", "ede_sign"])
def test_distributed_data_parallel_gives_the_same_gradients(quantizer: str, process_group: None) -> None:
    model, x = network(quantizer), images()
    alone = loss_and_gradients(model, model, x)
    wrapped = DistributedDataParallel(model)
    together = loss_and_gradients(model, wrapped, x)
    for ours, theirs in zip(together, alone, strict=True):
        assert torch.equal(ours, theirs)


def test_layers_recipes_and_lowering_do_without_the_compiler_which_takes_longer_to_load_than_torch() -> None:
    loaded = "import sys, binarynet.nn, binarynet.lower, binarynet.recipes as recipes; recipes.names()"
    code = f"{loaded}; print('torch._dynamo' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False", ran.stdout
