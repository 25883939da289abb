"""Quantized Neural Networks on text: language models with one recurrent layer of quantized weights and states.

I. Hubara, M. Courbariaux, D. Soudry, R. El-Yaniv, Y. Bengio, 2016 (arXiv 1609.07061; JMLR 2018), on Penn Treebank.

**Binarized**: all weights to ``weight_bits``, the state h to ``activation_bits``, linearly. Inputs are characters
(``tokens=characters``) or words. Real: the latent weights, the sums behind their scale, the LSTM's c, the answers.

**Forward**   a = s · (Q_W(W_x)[token] + Q_W(W_h) h) + b; ``state=rnn``: h = Q_A(a); ``state=lstm``: i, f, g, o = a,
c = σ(f) c + σ(i) tanh(g), h = Q_A(σ(o) tanh(c)). Scores = s' · Q_W(W) h + b'; loss: cross-entropy of every token.
**Backward**  clipped straight-through, where |x| ≤ 1; W ← clip(W − step, −1, 1).

======= ===========
recipe  reported
======= ===========
qnn-ptb (see below)
======= ===========

The paper reports that 4 bits come close to float on Penn Treebank; its numbers were not at hand. What counts is
the perplexity of the token behind a window, exp of the mean loss; for characters, log2 of it is bits a character.

    binarynet train qnn-ptb --data FOLDER                                a folder with train.txt, valid.txt, test.txt
    binarynet train qnn-ptb --data FILE.txt --set tokens=words --set state=rnn

**Departures.** Penn Treebank may not be passed on; any text does. The state begins with nothing in every window of
``steps`` tokens, and evaluation asks for the token behind a window. s and b of each neuron are learnt: the paper's
ranges of the quantizers were not at hand, and without them sums of W in [−1, 1] are far out of range. Adam, rates,
sizes are ours. With up to 256 tokens the net lowers, unrolled over its steps, with its weights once for each;
with more it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.data.text import Tokens
from binarynet.errors import RecipeError
from binarynet.nn.papers.language_model import RecurrentModel
from binarynet.optim import Adam, geometric_decay, latent_optimizer
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive, Range

Bits = Annotated[int, Range("1 to 7", minimum=1, maximum=7)]


@dataclass(frozen=True, kw_only=True)
class QnnLanguage(Recipe):
    """``hidden`` neurons; ``vocabulary``: words that are told apart."""

    paper: ClassVar[str] = "Hubara et al. 2016, arXiv 1609.07061"
    binarized: ClassVar[str] = "weights and states to k bits, linear"
    chosen_by: ClassVar[str] = "validation_loss"

    state: Literal["lstm", "rnn"] = "lstm"
    tokens: Literal["characters", "words"] = "characters"
    steps: Count = 50
    vocabulary: Count = 10_000
    hidden: Count = 512
    weight_bits: Bits = 4
    activation_bits: Bits = 4
    lr_start: Positive = 2e-3
    lr_end: Positive = 1e-4

    def reading(self) -> Mapping[str, Any]:
        return {"text": Tokens(self.tokens, self.steps, self.vocabulary)}

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        if shape[0] > 2 or shape[1] != 1:
            raise RecipeError(
                f"{shape[0]} × {shape[1]} × {shape[2]} are images; this recipe reads text: --data FILE.txt"
            )
        return RecurrentModel(classes, self.hidden, self.state, self.weight_bits, self.activation_bits)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target)

    def training_loss(self, logits: Tensor, target: Tensor, images: Tensor) -> Tensor:
        """Of all tokens: ``logits`` (n, tokens, steps), the last of which are asked for ``target``."""
        digits = images[:, :, 0, 1:].long()
        inside = digits[:, 0] if digits.shape[1] == 1 else 256 * digits[:, 0] + digits[:, 1]  # (n, steps − 1)
        return F.cross_entropy(logits, torch.cat([inside, target[:, None]], 1))

    def measures(self, loss: float) -> dict[str, float]:
        return {"perplexity": math.exp(min(loss, 700.0))}

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start, step_scale=False)
        return optimizer, geometric_decay(optimizer, self.lr_start, self.lr_end, self.epochs)


RECIPES: dict[str, Recipe] = {"qnn-ptb": QnnLanguage(data="ptb", epochs=40, batch_size=64, gradient_clip=1.0)}
