"""The blocks of docs/coming-from.md, on networks written as the other libraries write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from binarynet.lower import lower
from binarynet.nn import ByteInput
from tests.lower.models import settle
from tests.test_docs import blocks

PAGE = Path(__file__).parents[1] / "docs" / "coming-from.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in blocks(PAGE):
        exec(block, found)
    return found


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_larqs_arrays_make_what_keras_computes(page):
    draw = np.random.default_rng(0)
    arrays = {"conv/kernel:0": draw.normal(size=(3, 3, 4, 5)), "dense/kernel:0": draw.normal(size=(4 * 6 * 5, 7))}
    arrays |= {f"norm/{key}:0": draw.normal(size=5) for key in ("moving_mean", "beta")}
    arrays = {name: one.astype(np.float32) for name, one in arrays.items()}
    arrays["norm/moving_variance:0"] = draw.uniform(0.5, 2, 5).astype(np.float32)
    x = np.where(draw.normal(size=(2, 4, 6, 4)) >= 0, 1.0, -1.0)  # height, width, channels
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    signs = np.where(arrays["conv/kernel:0"] >= 0, 1, -1)
    image = sum(padded[:, i : i + 4, j : j + 6] @ signs[i, j] for i in range(3) for j in range(3))
    normed = (image - arrays["norm/moving_mean:0"]) / np.sqrt(arrays["norm/moving_variance:0"] + 1e-3)
    normed = normed + arrays["norm/beta:0"]
    expected = np.where(normed.reshape(2, -1) >= 0, 1, -1) @ np.where(arrays["dense/kernel:0"] >= 0, 1, -1)
    model = nn.Sequential(
        page["conv_of"](arrays, "conv"), page["norm_of"](arrays, "norm", 5), nn.Flatten(),
        page["dense_of"](arrays, "dense", image=(4, 6, 5)),
    ).eval()  # fmt: skip
    with torch.no_grad():
        found = model(torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32)).numpy()
    np.testing.assert_array_equal(found, expected)
    lower(model, (4, 4, 6))


class BinarizeConv2d(nn.Conv2d):
    """As BinaryNet.pytorch has it."""

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.shape[1] == 3 else x.sign()
        made = F.conv2d(x, self.weight.sign(), None, self.stride, self.padding)
        return made if self.bias is None else made + self.bias.view(1, -1, 1, 1)


class BinarizeLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        made = F.linear(x if x.shape[1] == 784 else x.sign(), self.weight.sign())
        return made if self.bias is None else made + self.bias


def test_binarynets_model_becomes_ours_under_the_same_keys(page):
    torch.manual_seed(0)
    theirs = nn.Sequential(
        BinarizeConv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Hardtanh(inplace=True),
        nn.Sequential(BinarizeConv2d(6, 4, 3, 2, 1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.Hardtanh()),
        nn.Flatten(), BinarizeLinear(16, 5),
    )  # fmt: skip
    settle(theirs, 1, spread=9)
    with torch.no_grad():  # no sum is exactly 0, where theirs makes 0
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias += 0.123
    x, state = torch.randint(0, 256, (6, 3, 8, 8)).float() - 127.5, theirs.state_dict()
    with torch.no_grad():
        expected = theirs(x)
        ours = page["binary_layers"](theirs)
        ours.load_state_dict(state, strict=True)
        torch.testing.assert_close(ours(x), expected)
    lower(nn.Sequential(ByteInput(), ours), (3, 8, 8))


def test_a_block_of_xnor_net_is_read_from_its_state_dict(page):
    state = {"features.4.conv.weight": normal(6, 2, 3, 3) / 4, "features.4.conv.bias": normal(6, seed=1)}
    state |= {f"features.4.bn.{key}": normal(4, seed=k) for k, key in enumerate(("weight", "bias", "running_mean"), 2)}
    state["features.4.bn.running_var"] = normal(4, seed=5).abs() + 0.1
    state["features.4.bn.num_batches_tracked"] = torch.tensor(7)
    block = page["xnor_block"](state, "features.4", padding=1, groups=2).eval()
    x, weight = normal(3, 4, 5, 5, seed=6), state["features.4.conv.weight"]
    bn = [state[f"features.4.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
    alpha = weight.abs().mean((1, 2, 3), keepdim=True)
    signs = F.batch_norm(x, *bn, eps=1e-4).sign()
    expected = F.conv2d(signs, weight.sign() * alpha, state["features.4.conv.bias"], padding=1, groups=2).relu()
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected)
    lower(block, (4, 5, 5))


def test_a_block_of_reactnet_is_read_from_its_state_dict(page):
    name = "feature.1"
    state = {f"{name}.binary_3x3.weight": normal(4, 4, 3, 3) / 8, f"{name}.prelu1.weight": normal(4, seed=1)}
    state |= {
        f"{name}.{one}.bias": normal(1, 4, 1, 1, seed=k) for k, one in enumerate(("move0", "move11", "move12"), 2)
    }
    state |= {f"{name}.bn1.{key}": normal(4, seed=k) for k, key in enumerate(("weight", "bias", "running_mean"), 5)}
    state |= {
        f"{name}.bn1.running_var": normal(4, seed=8).abs() + 0.1,
        f"{name}.bn1.num_batches_tracked": torch.tensor(1),
    }
    product = page["react_product"](state, f"{name}.move0", f"{name}.binary_3x3", f"{name}.bn1")
    act = page["react_prelu"](state, f"{name}.move11", f"{name}.prelu1", f"{name}.move12")
    x, weight = normal(3, 4, 6, 6, seed=9), state[f"{name}.binary_3x3.weight"]
    signs = (x + state[f"{name}.move0.bias"]).sign()
    y = F.conv2d(signs, weight.sign() * weight.abs().mean((1, 2, 3), keepdim=True), padding=1)
    bn = [state[f"{name}.bn1.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
    y = F.batch_norm(y, *bn) + x
    expected = F.prelu(y + state[f"{name}.move11.bias"], state[f"{name}.prelu1.weight"]) + state[f"{name}.move12.bias"]

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product, self.act = product, act

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.product(x) + x)

    with torch.no_grad():
        torch.testing.assert_close(Block().eval()(x), expected)
    lower(Block().eval(), (4, 6, 6))
