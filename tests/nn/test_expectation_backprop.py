"""Expectation backpropagation: moments against enumeration, the backward pass against its closed form, saturation."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn import latent_weights
from binarynet.nn.papers.expectation_backprop import ExpectationLinear, log_normal_cdf, probit_loss
from binarynet.nn.quantizers import ExpectedSign

BYTES = {"zero": -255.0, "unit": 510.0}  # 2x − 255 for a pixel from 0 to 1


def layer(*sizes: int, **settings: object) -> ExpectationLinear:
    made = ExpectationLinear(*sizes, **settings).double()  # type: ignore[arg-type]
    nn.init.normal_(made.weight)
    nn.init.normal_(made.real_bias)
    return made


def chain(weights: str, evaluation: str = "ebp-d") -> nn.Sequential:
    kind = {"weights": weights, "evaluation": evaluation}
    return nn.Sequential(
        layer(5, 4, inputs="values", **kind),
        ExpectedSign(evaluation),  # type: ignore[arg-type]
        layer(4, 6, **kind),
        ExpectedSign(evaluation),  # type: ignore[arg-type]
        layer(6, 3, **kind),
    )


# -- the forward pass ----------------------------------------------------------------------------------------------


def test_moments_of_a_binary_layer_are_those_of_all_weights_and_neurons_enumerated() -> None:
    one = layer(3, 1)
    m = torch.tensor([[0.3, -0.9, 0.0]], dtype=torch.float64)
    mean = square = 0.0
    for signs in itertools.product((-1, 1), repeat=6):
        drawn = torch.tensor(signs, dtype=torch.float64)
        weights, neurons = drawn[:3], drawn[3:]
        probability = ((1 + weights * torch.tanh(one.weight[0])) / 2 * (1 + neurons * m[0]) / 2).prod().item()
        total = (weights * neurons).sum().item() + one.real_bias.item()
        mean += probability * total
        square += probability * (total**2 + 1)  # the bias has variance 1
    mu, variance = one.moments(m)
    assert mu.item() == pytest.approx(mean / 2)  # 1 / √(K + 1) with K = 3
    assert variance.item() == pytest.approx((square - mean**2) / 4)


def test_variance_of_each_weight_is_one_minus_the_square_of_its_mean_product() -> None:
    one, m = layer(7, 5), torch.rand(4, 7, dtype=torch.float64) * 2 - 1
    products = torch.tanh(one.weight) * m[:, None]  # (4, 5, 7)
    torch.testing.assert_close(one.moments(m)[1], ((1 - products**2).sum(2) + 1) / 8)


def test_variance_of_pixels_is_that_of_their_weights_alone() -> None:
    one, x = layer(7, 5, inputs="values"), torch.randn(4, 7, dtype=torch.float64)
    expected = (((1 - torch.tanh(one.weight) ** 2) * x[:, None] ** 2).sum(2) + 1) / 8
    torch.testing.assert_close(one.moments(x)[1], expected)


def test_moments_of_real_weights_follow_the_authors_code() -> None:
    x = torch.randn(4, 7, dtype=torch.float64)
    first = layer(7, 5, weights="real", inputs="values")
    mu, variance = first.moments(x)
    torch.testing.assert_close(mu, F.linear(x, first.weight, first.real_bias) / math.sqrt(8))
    torch.testing.assert_close(variance, ((x**2).sum(1, keepdim=True) + 1).expand(4, 5) / 8)
    m, hidden = torch.tanh(x), layer(7, 5, weights="real")
    expected = 1 + ((hidden.weight**2 * (1 - m[:, None] ** 2)).sum(2) + 1) / 8
    torch.testing.assert_close(hidden.moments(m)[1], expected)


def test_expected_neuron_is_the_mean_over_drawn_networks() -> None:
    one, x = layer(60, 4, inputs="values"), torch.randn(1, 60, dtype=torch.float64)
    draws = 20_000
    weights = torch.where(torch.rand(draws, 4, 60) < (1 + torch.tanh(one.weight)) / 2, 1.0, -1.0).double()
    sums = (weights * x).sum(2) + one.real_bias + torch.randn(draws, 4)  # the bias has variance 1
    mean = torch.where(sums >= 0, 1.0, -1.0).mean(0)
    expected = ExpectedSign()(one(x))[0]
    # 5 deviations of a mean of ±1 draws, and 1 % for a sum of 60 that is nearly but not quite Gaussian
    assert (mean - expected).abs().max() < 5 / math.sqrt(draws) + 0.01


@pytest.mark.parametrize("weights", ["binary", "real"])
def test_where_all_is_certain_the_bias_keeps_its_variance(weights: str) -> None:
    one = ExpectationLinear(4096, 3, weights=weights)  # type: ignore[arg-type]
    nn.init.constant_(one.weight, 1e4)
    mu, variance = one.moments(torch.ones(2, 4096))
    least = 1 / 4097 if weights == "binary" else 1 + 1 / 4097
    assert torch.equal(variance, torch.full((2, 3), least))
    assert mu.isfinite().all()


def test_bytes_mean_pixels_from_zero_to_one() -> None:
    one, pixels = layer(6, 4, inputs="values", **BYTES), torch.randint(0, 256, (3, 6)).double()
    plain = layer(6, 4, inputs="values")
    plain.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(2 * pixels - 255), plain(pixels / 255))
    assert not torch.allclose(one(2 * pixels - 255), plain(pixels))


def test_autocast_leaves_the_sums_in_single_precision() -> None:
    one, m = ExpectationLinear(300, 4), torch.rand(2, 300)
    expected = one(m)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = one(m)
    assert z.dtype == torch.float32
    assert torch.equal(z, expected)


# -- the backward pass ---------------------------------------------------------------------------------------------


def closed_form(net: nn.Sequential, x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """½ (Δ∘G) mᵀ and ½ Σ Δ∘G of each layer, summed over the batch, as the method is written down."""
    normal = torch.distributions.Normal(0.0, 1.0)
    layers = [module for module in net if isinstance(module, ExpectationLinear)]
    inputs, moments = [x], []
    for one in layers:
        mu, variance = one.moments(inputs[-1])
        moments.append((mu, variance))
        inputs.append(2 * normal.cdf(mu / variance.sqrt()) - 1)
    updates: list[tuple[Tensor, Tensor]] = []
    delta = y
    for depth in reversed(range(len(layers))):
        (mu, variance), fan_in = moments[depth], layers[depth].in_features
        density = torch.exp(-(mu**2) / (2 * variance)) / torch.sqrt(2 * math.pi * variance)  # N(0; μ, σ²)
        g = 2 / math.sqrt(fan_in + 1) * density
        if depth == len(layers) - 1:
            g = g / normal.cdf(y * mu / variance.sqrt())
        product = delta * g  # (n, out)
        updates.insert(0, (product.T @ inputs[depth] / 2, product.sum(0) / 2))
        h = layers[depth].weight.detach()
        delta = product @ (torch.tanh(h) if layers[depth].weights == "binary" else h)
    return updates


@pytest.mark.parametrize("weights", ["binary", "real"])
def test_one_plain_gradient_step_of_length_one_is_the_closed_form_update(weights: str) -> None:
    net, x = chain(weights), torch.randn(8, 5, dtype=torch.float64)
    target = torch.arange(8) % 3
    y = 2 * F.one_hot(target, 3).double() - 1
    updates, before = closed_form(net, x, y), copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    probit_loss(net(x), target, reduction="sum").backward()
    for module, (of_h, of_bias) in zip(net[::2], updates, strict=True):
        torch.testing.assert_close(module.weight.grad, -of_h)
        torch.testing.assert_close(module.real_bias.grad, -of_bias)
    optimizer.step()
    for module, old, (of_h, _) in zip(net[::2], before[::2], updates, strict=True):
        torch.testing.assert_close(module.weight, old.weight + of_h)


def test_mean_of_a_batch_is_a_step_shorter_by_its_size() -> None:
    net, x, target = chain("binary"), torch.randn(8, 5, dtype=torch.float64), torch.arange(8) % 3
    gradients = []
    for reduction in ("sum", "mean"):
        net.zero_grad()
        probit_loss(net(x), target, reduction).backward()  # type: ignore[arg-type]
        gradients.append(net[0].weight.grad)
    torch.testing.assert_close(gradients[0], 8 * gradients[1])


def test_gradient_does_not_depend_on_how_inputs_are_spelled() -> None:
    one, pixels = layer(6, 4, inputs="values", **BYTES), torch.randint(0, 256, (3, 6)).double()
    plain = layer(6, 4, inputs="values")
    plain.load_state_dict(one.state_dict())
    spelled, x = (2 * pixels - 255).requires_grad_(), (pixels / 255).requires_grad_()
    one(spelled).square().sum().backward()
    plain(x).square().sum().backward()
    torch.testing.assert_close(one.weight.grad, plain.weight.grad)
    torch.testing.assert_close(one.real_bias.grad, plain.real_bias.grad)
    torch.testing.assert_close(spelled.grad * 510, x.grad)


def test_turning_the_signs_of_labels_and_last_layer_turns_the_update() -> None:
    """The network with −h and −b answers −z: it learns from −y what this one learns from y."""
    one, m = layer(6, 1), torch.rand(5, 6, dtype=torch.float64) * 2 - 1
    other = copy.deepcopy(one)
    with torch.no_grad():
        other.weight.neg_()
        other.real_bias.neg_()
    for net, y in ((one, 1.0), (other, -1.0)):
        (-log_normal_cdf(y * net(m))).sum().backward()
    torch.testing.assert_close(one.weight.grad, -other.weight.grad)
    torch.testing.assert_close(one.real_bias.grad, -other.real_bias.grad)


def test_turning_the_signs_of_inputs_and_weights_changes_no_answer() -> None:
    one, x = layer(6, 3, inputs="values"), torch.randn(5, 6, dtype=torch.float64)
    other = copy.deepcopy(one)
    with torch.no_grad():
        other.weight.neg_()
    torch.testing.assert_close(one(x), other(-x))
    for net, inputs in ((one, x), (other, -x)):
        probit_loss(net(inputs), torch.zeros(5, dtype=torch.int64)).backward()
    torch.testing.assert_close(one.weight.grad, -other.weight.grad)


@pytest.mark.parametrize("y", [1.0, -1.0])
def test_a_saturated_neuron_is_pulled_towards_its_label_by_its_distance(y: float) -> None:
    """Where Φ(y μ / σ) underflows, G is 2 |μ| / (σ² √(K+1)), and the step has the sign of y."""
    one = layer(400, 1)
    with torch.no_grad():
        one.weight.fill_(-y * 30)  # all weights certain, and all wrong
        one.real_bias.zero_()
    m = torch.ones(1, 400, dtype=torch.float64)
    mu, variance = one.moments(m)
    assert torch.special.ndtr((y * mu / variance.sqrt()).float()).item() == 0
    (-log_normal_cdf(y * one(m))).sum().backward()
    step = -one.real_bias.grad.item()
    limit = mu.abs().item() / (variance.item() * math.sqrt(401))  # ½ G
    assert step * y == pytest.approx(limit, rel=1e-4)
    torch.testing.assert_close(-one.weight.grad, torch.full_like(one.weight, step))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slope_of_the_log_probability_keeps_its_digits_in_both_tails(dtype: torch.dtype) -> None:
    points = [-1e4, -300.0, -38.0, -12.0, -5.0, -1.0, 0.0, 1.0, 5.0, 12.0, 1e4]
    x = torch.tensor(points, dtype=dtype, requires_grad=True)
    log_normal_cdf(x).sum().backward()
    for value, slope in zip(points, x.grad.tolist(), strict=True):  # type: ignore[union-attr]
        if value < -10:  # Laplace's continued fraction, cut where it is good to 1e-8
            t = -value
            expected = t + 1 / (t + 2 / (t + 3 / (t + 4 / (t + 5 / (t + 6 / t)))))
        else:
            density = math.exp(-(value**2) / 2) / math.sqrt(2 * math.pi)
            expected = density / (math.erfc(-value / math.sqrt(2)) / 2)
        assert slope == pytest.approx(expected, rel=2e-6 if dtype == torch.float32 else 1e-7, abs=1e-30)


# -- what it is evaluated as ---------------------------------------------------------------------------------------


def test_the_deterministic_network_is_signs_of_signs_with_real_biases() -> None:
    net, x = chain("binary").eval(), torch.randn(20, 5, dtype=torch.float64)
    v = x
    for depth, one in enumerate(net[::2]):
        v = v @ torch.where(one.weight >= 0, 1.0, -1.0).double().T + one.real_bias
        if depth < 2:
            v = torch.where(v >= 0, 1.0, -1.0).double()
    assert torch.equal(net(x), v)


def test_the_probabilistic_network_answers_the_same_in_training_and_evaluation() -> None:
    net, x = chain("binary", "ebp-p"), torch.randn(20, 5, dtype=torch.float64)
    assert torch.equal(net.train()(x), net.eval()(x))
    assert not torch.equal(net(x), chain("binary").eval()(x))


def test_sums_of_the_deterministic_network_stay_whole_numbers_behind_bytes() -> None:
    one = ExpectationLinear(784, 30, inputs="values", **BYTES).eval()  # type: ignore[arg-type]
    pixels = torch.randint(0, 256, (9, 784)).float()
    sums = one(2 * pixels - 255)
    assert torch.equal(sums, sums.round())  # as long as the bias is 0
    nn.init.normal_(one.real_bias)
    signs = one.binary_weight
    exact = pixels.double() / 255 @ signs.double().T + one.real_bias.double()
    torch.testing.assert_close(one(2 * pixels - 255).double() / 510, exact, rtol=1e-5, atol=1e-5)
    assert not one.bias.requires_grad


def test_neuron_is_sign_or_error_function_by_mode_and_evaluation() -> None:
    z = torch.tensor([-2.0, -0.0, 0.0, 0.5])
    mean = torch.erf(z / math.sqrt(2))
    for evaluation in ("ebp-d", "ebp-p"):
        neuron = ExpectedSign(evaluation)  # type: ignore[arg-type]
        assert torch.equal(neuron.train()(z), mean)
        assert torch.equal(neuron.eval()(z), mean if evaluation == "ebp-p" else torch.tensor([-1.0, 1, 1, 1]))


def test_neuron_has_the_true_derivative_of_its_mean() -> None:
    z = torch.linspace(-4, 4, 33, dtype=torch.float64)
    ours, true = z.clone().requires_grad_(), z.clone().requires_grad_()
    ExpectedSign()(ours).sum().backward()
    torch.erf(true / math.sqrt(2)).sum().backward()
    torch.testing.assert_close(ours.grad, true.grad)


def test_start_is_uniform_and_has_the_asked_width() -> None:
    one = ExpectationLinear(1200, 500)
    assert 0.99 < one.weight.abs().max() <= 1
    assert torch.equal(one.real_bias, torch.zeros(500))
    one.initialise(math.sqrt(3 / 1200))
    assert one.weight.var().item() == pytest.approx(1 / 1200, rel=0.01)


def test_binary_h_are_latent_weights_and_real_ones_are_not() -> None:
    assert len(list(latent_weights(chain("binary")))) == 3
    assert list(latent_weights(chain("real"))) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "ternary"}, "weights='ternary'; choose 'binary' or 'real'"),
        ({"inputs": "bytes"}, "inputs='bytes'; choose 'values' or 'means'"),
        ({"evaluation": "EBP-D"}, "evaluation='EBP-D'; choose 'ebp-d' or 'ebp-p'"),
    ],
)
def test_unknown_settings_are_named_with_the_known_ones(settings: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExpectationLinear(3, 2, **settings)  # type: ignore[arg-type]


def test_loss_is_minus_the_log_probability_that_all_outputs_are_right() -> None:
    z, target = torch.tensor([[0.0, 1.0], [-2.0, 3.0]], dtype=torch.float64), torch.tensor([1, 0])
    phi = torch.special.ndtr
    right = phi(torch.tensor([-0.0, 1.0])).prod() * phi(torch.tensor([-2.0, -3.0])).prod()
    assert probit_loss(z, target, "sum").item() == pytest.approx(-math.log(right.item()), rel=1e-5)
    assert probit_loss(z, target).item() == pytest.approx(-math.log(right.item()) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("z", "target"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(3, 2), torch.zeros(3)),
    ],
)
def test_loss_refuses_shapes_that_do_not_fit(z: Tensor, target: Tensor) -> None:
    with pytest.raises(InputError, match=r"z \(n, classes\) and int64 indices"):
        probit_loss(z, target)
