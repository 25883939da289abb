"""What every recipe is: a network of a paper, with its settings as the fields of a frozen dataclass."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, get_type_hints

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.data import pad_crop_flip
from binarynet.errors import RecipeError, closest
from binarynet.recipes.settings import Count, NotNegative, Positive, Range, as_text, check, schema, take


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """One paper's network and how it is trained. The fields are the settings that ``--set name=value`` changes.

    ``reported`` holds the paper's test errors in percent by data set; ``binarized`` says which tensors are ±1.
    """

    paper: ClassVar[str]
    binarized: ClassVar[str]
    reported: ClassVar[Mapping[str, float]] = {}
    chosen_by: ClassVar[str] = "validation_error"  # what the best epoch has the least of: that, or validation_loss

    data: str
    epochs: Count
    batch_size: Count
    gradient_clip: NotNegative = 0.0  # the largest norm of all gradients together; 0: as they are
    teacher: str = ""  # a run folder whose answers are learnt beside the labels (binarynet/train/teacher.py)
    teacher_share: Annotated[float, Range("a share, from 0 to 1", minimum=0, maximum=1)] = 0.5
    temperature: Positive = 4.0
    weights_from: str = ""  # a run folder whose best weights training starts from: a second stage, or fine-tuning

    def __post_init__(self) -> None:
        """`ValueError` for a number outside the range of its type; what rules out more calls this first."""
        hints = get_type_hints(type(self), include_extras=True)
        for name, value in self.settings().items():
            check(name, value, hints[name])

    @abstractmethod
    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """The network for uint8 images of ``shape`` (channels, height, width); it answers (n, classes) logits."""

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """The scalar that training minimises; ``logits`` (n, classes), ``target`` (n,) int64."""

    def training_loss(self, logits: Tensor, target: Tensor, images: Tensor) -> Tensor:
        """What training steps minimise, where it is not `loss`: it may look at the ``images`` (n, *shape) uint8."""
        return self.loss(logits, target)

    @abstractmethod
    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        """The optimizer, and the schedule that is stepped once an epoch."""

    def prepare(self, model: nn.Module, images: np.ndarray) -> None:  # noqa: B027  (a hook that few recipes need)
        """Called once, before the first epoch of a new run, for what the model takes from the training images
        (n, channels, height, width) uint8 themselves, such as their principal components."""

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:  # noqa: B027  (a hook that few recipes need)
        """Called before each training epoch (counted from 0), for what changes with it.

        It must depend on the model's state and the epoch alone, so that a resumed run goes the same way.
        """

    def selectable(self, epoch: int) -> bool:
        """Whether the epoch's weights may be chosen as the best; False for the early stages of a longer way."""
        return True

    def norm_batches(self) -> int:
        """Training batches on which the norms' statistics are measured anew before each validation, with the weights
        of evaluation; 0 where those are the weights of training."""
        return 0

    def augment(self, images: Any, rng: Any) -> Any:
        """A training batch of uint8 images (n, c, h, w), changed: padded by 4, cropped and flipped where the recipe has
        a setting ``augmented`` that is on, else as it is."""
        return pad_crop_flip(images, rng) if getattr(self, "augmented", False) else images

    def reading(self) -> Mapping[str, Any]:
        """How data of the user's own is read, as arguments of `binarynet.data.load`: ``crops`` for photographs that
        stay
        on disk, ``text`` for tokens. Nothing: images of one size, in memory."""
        return {}

    def measures(self, loss: float) -> dict[str, float]:
        """What else is told of a mean loss in evaluation, by name, such as its perplexity."""
        return {}

    def settings(self) -> dict[str, Any]:
        """All settings by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the settings, as config.json holds them; the defaults are those of this recipe.

        Raises:
            RecipeError: a setting of a type that no command line could read.
        """
        hints = get_type_hints(type(self), include_extras=True)
        properties = {}
        for name, value in self.settings().items():
            try:
                properties[name] = schema(hints[name]) | {"default": list(value) if type(value) is tuple else value}
            except TypeError as error:
                raise RecipeError(
                    f"setting {name}: {error}. Give it int, float, bool, str, Literal or tuple."
                ) from None
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"Settings of {type(self).__name__}",
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """A copy with settings given as texts, as they come from a command line, or as values out of a config.json.

        Raises:
            RecipeError: a name that is no setting (with the closest one), or a text or a value that is not its type's.
        """
        hints = get_type_hints(type(self), include_extras=True)
        fields = [field.name for field in dataclasses.fields(self)]
        values = {}
        for name, value in settings.items():
            if name not in fields:
                raise RecipeError(f"no setting {name!r}.{closest(name, fields)} This recipe has {', '.join(fields)}.")
            try:
                values[name] = take(value, hints[name])
            except ValueError as error:
                raise RecipeError(f"setting {name}={as_text(value)}: {error}") from None
        try:
            return dataclasses.replace(self, **values)
        except ValueError as error:
            raise RecipeError(str(error)) from None
