"""Recurrent language models of quantized weights and states, unrolled over a fixed number of tokens.

I. Hubara et al., "Quantized Neural Networks", arXiv 1609.07061, section on Penn Treebank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.nn.channelwise import ChannelScale
from binarynet.nn.linear import BinaryLinear
from binarynet.nn.quantizers.byte_input import ByteInput
from binarynet.nn.quantizers.grid import GridQuantizer
from binarynet.nn.quantizers.kbit import LinearQuant
from binarynet.nn.quantizers.signs import SteSign


class Differences(GridQuantizer):
    """What each token's weights have more than those of the token before it: half of Q(w_v) − Q(w_v−1), of a
    `LinearQuant`.

    Σ_v over the tokens up to t of Q(w_v) − Q(w_v−1) is Q(w_t). So with s_v = +1 where t ≥ v and −1 elsewhere, the
    product of s and these numbers is the row of a table of weights, less half of its last row. Stored as `iK`, K one
    bit more than Q's. Weights (out, tokens). Gradient: none; training looks weights up.
    """

    name = "differences"

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.quantizer, self.bits, self.encoding = LinearQuant(bits), bits + 1, f"i{bits + 1 + (bits == 1)}"

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        numbers, scale = self.quantizer.integers(x)
        return torch.diff(numbers, dim=1, prepend=torch.zeros_like(numbers[:, :1])), scale / 2

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


class TokenTable(nn.Module):
    """Token t → column t of a table of quantized weights, (n, digits) → (n, features); the last column for what is no
    token.

    A token's digits are bytes x as `ByteInput` reads them, 2x − 255. Evaluation computes a token of one byte as a
    product.
    """

    bounds: Tensor

    def __init__(self, tokens: int, features: int, bits: int) -> None:
        super().__init__()
        self.table = BinaryLinear(tokens, features, bias=False, weight_quantizer=Differences(bits))
        self.quantizer, self.sign = LinearQuant(bits), SteSign()
        self.register_buffer("bounds", 2.0 * torch.arange(tokens) - 256, persistent=False)

    def forward(self, digits: Tensor) -> Tensor:
        if self.training or digits.shape[1] > 1:
            numbers = (digits.detach() + 255).long() // 2
            token = numbers[:, 0] if digits.shape[1] == 1 else 256 * numbers[:, 0] + numbers[:, 1]
            return F.embedding(token.clamp(max=len(self.bounds) - 1), self.quantizer(self.table.weight).t())
        reached = self.sign(digits.expand(-1, len(self.bounds)) - self.bounds)  # (n, 1) → (n, tokens)
        last = self.quantizer(self.table.weight)[:, -1]
        y: Tensor = self.table(reached) + last / 2
        return y


class RecurrentModel(nn.Module):
    """``steps`` tokens → the scores of the token behind them; of all of them in training, (n, tokens, steps).

    x: (n, digits, 1, steps) uint8: a token is one byte, or two, the high one first. state: "rnn", h ← Q_A(a), or
    "lstm", c ← σ(f) c + σ(i) tanh(g), h ← Q_A(σ(o) tanh(c)), where a, or i f g o, are s · (Q_W(W_x)[token] + Q_W(W_h)
    h) + b with a learnt number s and b a neuron.
    """

    def __init__(
        self, tokens: int, hidden: int, state: Literal["rnn", "lstm"], weight_bits: int, activation_bits: int
    ) -> None:
        super().__init__()
        gates = hidden * (4 if state == "lstm" else 1)
        self.state, self.hidden = state, hidden
        self.bytes, self.tokens = ByteInput(), TokenTable(tokens, gates, weight_bits)
        self.recurrent = BinaryLinear(hidden, gates, bias=False, weight_quantizer=LinearQuant(weight_bits))
        self.scale, self.bias = ChannelScale(gates), nn.Parameter(torch.zeros(gates))
        self.quantize = LinearQuant(activation_bits)
        self.answer = BinaryLinear(hidden, tokens, bias=False, weight_quantizer=LinearQuant(weight_bits))
        self.answer_scale, self.answer_bias = ChannelScale(tokens), nn.Parameter(torch.zeros(tokens))
        nn.init.constant_(self.scale.scale, hidden**-0.5)
        nn.init.constant_(self.answer_scale.scale, hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        digits = self.bytes(x)
        h: Tensor | None = None
        c: Tensor | None = None
        answers = []
        step: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]
        step = self._lstm if self.state == "lstm" else self._rnn
        for t in range(x.shape[-1]):
            a = self.tokens(digits[:, :, 0, t])  # (n, digits) → (n, gates)
            if h is not None:
                a = a + self.recurrent(h)
            h, c = step(self.scale(a) + self.bias, c)
            if self.training:
                answers.append(self._answer(h))
        assert h is not None
        return torch.stack(answers, 2) if self.training else self._answer(h)

    def _rnn(self, a: Tensor, c: Tensor | None) -> tuple[Tensor, None]:
        return self.quantize(a), None

    def _lstm(self, a: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        i, f, g, o = a.chunk(4, 1)
        new = i.sigmoid() * g.tanh()
        c = new if c is None else f.sigmoid() * c + new
        return self.quantize(o.sigmoid() * c.tanh()), c

    def _answer(self, h: Tensor) -> Tensor:
        y: Tensor = self.answer_scale(self.answer(h)) + self.answer_bias
        return y
