"""Squared hinge loss."""

from __future__ import annotations

import pytest
import torch

from binarynet.errors import InputError
from binarynet.nn import SquaredHinge, squared_hinge


def test_squared_hinge_averages_over_batch_and_classes() -> None:
    logits = torch.tensor([[2.0, -2.0, 0.0], [0.5, 0.0, 0.25]])
    target = torch.tensor([0, 2])
    # hinges: 0 beyond the margin; 1 - y for the target, 1 + y for the others
    squares = [0, 0, 1, 1.5**2, 1, 0.75**2]
    assert squared_hinge(logits, target).item() == pytest.approx(sum(squares) / 6)


def test_gradient_is_minus_two_t_hinge_over_the_number_of_elements() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 3, 3, 1, 2])
    squared_hinge(logits, target).backward()
    t = 2 * torch.nn.functional.one_hot(target, 4).double() - 1
    y = logits.detach()
    torch.testing.assert_close(logits.grad, -2 * t * (1 - t * y).clamp(min=0) / 20)


def test_loss_is_zero_exactly_at_the_margin_and_not_before() -> None:
    logits = torch.tensor([[1.0, -1.0]], requires_grad=True)
    loss = squared_hinge(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.eq(0).all()
    assert squared_hinge(torch.tensor([[0.999, -1.0]]), torch.tensor([0])).item() > 0


def test_half_precision_logits_are_reckoned_in_float32() -> None:
    logits = torch.randn(64, 10).bfloat16()
    target = torch.randint(10, (64,))
    assert squared_hinge(logits, target).dtype == torch.float32
    assert torch.equal(squared_hinge(logits, target), squared_hinge(logits.float(), target))


def test_module_and_function_agree() -> None:
    logits, target = torch.randn(3, 2), torch.tensor([1, 0, 1])
    assert torch.equal(SquaredHinge()(logits, target), squared_hinge(logits, target))


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(3, 2), torch.zeros(3)),
        (torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.int64)),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64)),
    ],
    ids=["lengths", "float target", "one-hot target", "no classes"],
)
def test_misfitting_operands_are_refused(logits: torch.Tensor, target: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"logits of shape .* target of shape"):
        squared_hinge(logits, target)
