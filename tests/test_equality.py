"""The promise, over random convolutional nets: torch in eval mode, the oracle and every instruction set agree.

The answers compared are bits and integers, with ``==``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from binarynet.lower import lower
from binarynet.nn import BinaryConv2d, ByteInput, SteSign
from binarynet.runtime import Session, isa
from tests.lower.models import images, settle

CHANNELS = st.sampled_from([1, 3, 31, 33, 63, 64, 65, 127, 200])
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def nets(draw):
    """(model, input shape): bytes – conv – norm – sign – the conv of interest – pool, norm, sign in some order."""
    channels, hidden, out = draw(st.sampled_from([1, 3])), draw(CHANNELS), draw(CHANNELS)
    groups = draw(st.sampled_from([1, 1, 1, "depthwise", 2]))
    if groups == "depthwise":
        out, groups = hidden, hidden
    elif groups == 2:
        hidden, out = 2 * (hidden // 2) or 2, 2 * (out // 2) or 2
    height, width = draw(st.integers(1, 17)), draw(st.integers(1, 33))
    stride, dilation = draw(PAIRS), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    kernel = draw(PAIRS)
    padding = draw(st.sampled_from([0, 1, 2, "same"])) if stride == (1, 1) else draw(st.sampled_from([0, 1, 2]))
    conv = BinaryConv2d(
        hidden,
        out,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        bias=draw(st.booleans()),
        pad_value=draw(st.sampled_from([0, 1, -1])),
    )
    side = 2 * padding if isinstance(padding, int) else 10**6
    assume(all(s + side >= d * (k - 1) + 1 for s, d, k in zip((height, width), dilation, kernel, strict=True)))
    with torch.no_grad():
        rows, columns = conv(torch.ones(1, hidden, height, width)).shape[2:]
    tail = {"norm": nn.BatchNorm2d(out), "sign": SteSign()}
    order = ["norm", "sign"]
    if rows > 1 and columns > 1 and draw(st.booleans()):
        tail["pool"] = nn.MaxPool2d(2, draw(st.sampled_from([1, 2])), padding=draw(st.sampled_from([0, 1])))
        order.insert(draw(st.integers(0, 2)), "pool")
    model = nn.Sequential(
        ByteInput(),
        BinaryConv2d(channels, hidden, 1),
        nn.BatchNorm2d(hidden),
        SteSign(),
        conv,
        *(tail[name] for name in order),
    )
    return settle(model, draw(st.integers(0, 99)), draw(st.sampled_from([1, 12, 60]))), (channels, height, width)


@pytest.mark.filterwarnings("ignore:.*even kernel lengths")  # torch warns that padding="same" copies its input
@settings(max_examples=120, derandomize=True, deadline=None, database=None)
@given(nets(), st.sampled_from([1, 3]))
def test_torch_oracle_and_every_isa_are_equal(net, batch):
    torch.set_num_threads(1)
    model, shape = net
    pixels = images(shape, batch)
    with torch.no_grad():
        expected = model(pixels).numpy().transpose(0, 2, 3, 1)
    graph = lower(model, shape)
    oracle = Session(graph, engine="oracle").logits(pixels.numpy(), layout="nchw")
    assert np.array_equal(oracle, expected)
    for name in isa.available():
        assert np.array_equal(Session(graph, isa=name, threads=1).logits(pixels.numpy(), layout="nchw"), oracle), name
