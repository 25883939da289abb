"""torchvision's classifiers through `convert` and `lower`: their definitions unchanged, on small images."""

from __future__ import annotations

import re
import sys
import warnings

import numpy as np
import pytest
import torch

from binarynet.errors import InputError, LoweringError
from binarynet.graph import interpret
from binarynet.graph.ir import Conv2d, Linear
from binarynet.lower import lower
from binarynet.nn import BinaryConv2d, ConvertConfig, convert
from binarynet.runtime import Session
from tests.lower.models import images, settle


def _models():
    """torchvision.models, or None. Beside a CPU build of torch its compiled operators may not load; classifiers need
    none of them, but it insists on their names."""
    for _ in range(9):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import torchvision.models as models
        except RuntimeError as error:
            absent = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if absent is None:
                return None
            STUBS.define(f"{absent[1]}(Tensor x) -> Tensor")
            for name in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[name]
        except (ImportError, OSError):
            return None
        else:
            return models
    return None


STUBS = torch.library.Library("torchvision", "FRAGMENT")
MODELS = _models()
pytestmark = pytest.mark.skipif(MODELS is None, reason="pip install torchvision")

# name → side of an image, small enough to be quick and large enough for its pools
LOWER = {
    "resnet18": 32, "resnet50": 32, "vgg11": 32, "vgg11_bn": 32, "alexnet": 64, "mobilenet_v2": 32, "squeezenet1_1": 32,
    "densenet121": 32, "shufflenet_v2_x0_5": 32, "mobilenet_v3_small": 32, "regnet_y_400mf": 32,
    "mnasnet0_5": 32, "efficientnet_b0": 32,
}  # fmt: skip
CHAOTIC = ("mobilenet_v3_small", "efficientnet_b0")  # random weights, and signs right behind smooth functions of sums
ENDS = ConvertConfig(first="float", last="float")


@pytest.mark.parametrize("name", LOWER)
def test_a_classifier_is_converted_lowered_and_run(name):
    torch.manual_seed(0)
    side = LOWER[name]
    model = getattr(MODELS, name)(weights=None, num_classes=10)
    convert(model, ENDS)
    assert any(isinstance(module, BinaryConv2d) for module in model.modules())
    settle(model, 1, spread=3)
    shape = (3, side, side)
    batch = images(shape, 2, seed=4).float() / 255
    graph = lower(model, shape, allow_real=True, images=batch)
    codes = np.ascontiguousarray(np.moveaxis(batch.numpy(), 1, -1))
    oracle = interpret(graph, codes)
    with torch.no_grad():
        expected = model(batch).numpy()
    # Every step is proved. From end to end a sign behind a float32 sum may fall either way; in CHAOTIC nets many do.
    assert name in CHAOTIC or np.abs(oracle - expected).mean() <= 0.3 * np.abs(expected).mean() + 1e-6
    made = Session(graph, threads=1).logits(codes)
    assert made.shape == oracle.shape
    assert np.isfinite(made).all()


def test_ends_that_read_bytes_need_no_float_image():
    torch.manual_seed(0)
    model = MODELS.resnet18(weights=None, num_classes=10)
    convert(model)
    shape = (3, 32, 32)
    graph = lower(settle(model, 1, spread=3), shape, images=images(shape, 2, seed=4))
    assert graph.input.encoding == "b8"
    assert not any(op.weight_encoding == "f32" for op in graph.ops if isinstance(op, Linear | Conv2d))


def test_one_whose_forward_calls_functions_is_refused_by_the_name_of_a_layer():
    """GoogLeNet calls F.relu, which no conversion in place can take away."""
    model = MODELS.googlenet(weights=None, num_classes=10, init_weights=False, aux_logits=False)
    with pytest.raises(InputError, match=r"conv2\.conv: the forward calls relu\(\).*keep the layer float"):
        convert(model)


def test_one_that_cannot_be_is_refused_by_the_name_of_a_layer():
    model = MODELS.vit_b_16(weights=None, num_classes=10, image_size=32)
    with pytest.raises(LoweringError) as caught:
        lower(model.eval(), (3, 32, 32), allow_real=True)
    assert "\n" not in str(caught.value)
