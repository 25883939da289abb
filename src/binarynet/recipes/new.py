"""The file that ``binarynet new recipe NAME`` writes: a recipe that trains, to be changed."""

from __future__ import annotations

from keyword import iskeyword
from pathlib import Path

from binarynet.errors import RecipeError

_TEMPLATE = '''"""NAME: in one sentence, what is new.

Train it:   binarynet train FILE.py:CLASS --data digits
Your data:  binarynet train FILE.py:CLASS --data FOLDER --shape 3x32x32
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import BinaryLinear, ByteInput, Sequential, SteSign, squared_hinge
from binarynet.optim import Adam, geometric_decay, latent_optimizer
from binarynet.recipes import Recipe
from binarynet.recipes.settings import Count, Positive


@dataclass(frozen=True, kw_only=True)
class CLASS(Recipe):
    """Each field is a setting: --set width=512."""

    paper: ClassVar[str] = "own"
    binarized: ClassVar[str] = "weights and activations"

    data: str = "digits"  # or --data
    epochs: Count = 20  # or --epochs
    batch_size: Count = 50
    width: Count = 256
    lr_start: Positive = 3e-3
    lr_end: Positive = 3e-5

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """For uint8 images (n, *shape): channels, height, width. ByteInput reads them as 2x − 255."""
        features = shape[0] * shape[1] * shape[2]
        return Sequential(
            nn.Flatten(),
            ByteInput(),
            BinaryLinear(features, self.width, bias=False),
            nn.BatchNorm1d(self.width),
            SteSign(),
            BinaryLinear(self.width, self.width, bias=False),
            nn.BatchNorm1d(self.width),
            SteSign(),
            BinaryLinear(self.width, classes, bias=False),
            nn.BatchNorm1d(classes),
        )

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return squared_hinge(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        """Latent weights are kept in [−1, 1]; the schedule is stepped once an epoch."""
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start)
        return optimizer, geometric_decay(optimizer, self.lr_start, self.lr_end, self.epochs)
'''


def recipe_file(name: str, folder: Path) -> tuple[Path, str, str]:
    """(where it goes, the class, the text) for a name such as ``my-net``. `RecipeError` for no name of a module."""
    stem = name.replace("-", "_").lower()
    kind = "".join(part.capitalize() for part in stem.split("_"))
    if not stem.isidentifier() or iskeyword(stem) or not kind.isidentifier():
        raise RecipeError(f"{name!r} cannot be the name of a recipe: take letters, digits and -, such as my-net")
    text = _TEMPLATE.replace("CLASS", kind).replace("FILE.py", f"{stem}.py").replace("NAME", name, 1)
    return folder / f"{stem}.py", kind, text
