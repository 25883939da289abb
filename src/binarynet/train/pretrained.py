"""A training net to keep and to share: its weights and the settings it is built from, in a folder or on the hub.

The folder is that of `PyTorchModelHubMixin`: config.json, model.safetensors, README.md. The config is laid out as that
of a run, so that ``binarynet train --config`` takes it too, and holds the SHA-256 of the weights. Nothing in a folder
is run: no pickle is read, and of recipes only those that are installed are built, or the one that the caller gives.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from binarynet import atomic, hub, recipes
from binarynet.errors import TrainingError, takes
from binarynet.recipes import Recipe, own
from binarynet.train.folder import RunFolder
from binarynet.train.load import built, empty_model, load_run, recipe_of

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


@dataclass(frozen=True)
class Pretrained:
    """A net as it is trained, real weights and all, with what it needs to be built again.

    recipe: its settings. model: for uint8 images (n, *shape), it answers (n, len(classes)) logits.
    shape: channels, height, width. data: the name of the set that it was trained on.
    """

    recipe: Recipe
    model: nn.Module
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    data: str = "unknown"

    @classmethod
    @takes(out=(str | os.PathLike, "the path of a run folder"), recipe=(Recipe | None, "a Recipe, or None"))
    def of_run(cls, out: Path | str, recipe: Recipe | None = None) -> Self:
        """The best epoch's net of a run folder, in evaluation mode. Arguments and errors as `load_run`."""
        found, model = load_run(out, recipe)
        data = RunFolder(out).read_config()["data"]
        return cls(found, model, tuple(data["shape"]), tuple(data["classes"]), data["name"])

    @takes(folder=(str | os.PathLike, "the path of a folder"))
    def save_pretrained(self, folder: Path | str) -> Path:
        """Write the three files into a folder, which is made if it is not there; returns it. A README.md there stays.

        The config is written last: a folder with one is whole. `TrainingError` where they cannot be written, or a run
        stands there.
        """
        place = Path(folder)
        if RunFolder(place).last.exists() or RunFolder(place).best.exists():
            raise TrainingError(f"{place} holds a run, whose config.json would be lost. Give another folder.")
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / CONFIG).unlink(missing_ok=True)
            for name, content in self._files(place.resolve().name).items():
                if name != CARD or not (place / name).exists():
                    atomic.write(place / name, content)
        except OSError as error:
            raise TrainingError(f"{place} cannot be written: {error.strerror or error}. Make room.") from error
        return place

    def push_to_hub(self, address: str, *, private: bool = False) -> str:
        """Put the three files on the hub at ``hf://user/name``, in one commit; returns where it is.

        Raises `HubError` where the hub refuses, such as without a token (``hf auth login``).
        """
        name = address.removeprefix("hf://").partition("@")[0]
        return hub.upload(self._files(name), address, private=private, message="Upload a training net")

    @classmethod
    @takes(
        place=(str | os.PathLike, "the path of a folder, or 'hf://user/name'"),
        recipe=(Recipe | None, "a Recipe, or None"),
    )
    def from_pretrained(cls, place: Path | str, recipe: Recipe | None = None) -> Self:
        """What `save_pretrained` wrote into a folder, or `push_to_hub` to ``hf://user/name@revision``, for evaluation.

        recipe: any instance of its class, needed where that is your own; the settings are those of the config.

        Raises:
            TrainingError: a folder without the files, damaged ones, or a recipe that is not installed.
            HubError: the hub has no such files.
        """
        address = hub.address_of(place)
        file, weights = (hub.fetch(address, name) if address else Path(place) / name for name in (CONFIG, WEIGHTS))
        config = RunFolder(file.parent).read_config(file)
        if recipe is None and own.is_reference(config["recipe"]):
            raise TrainingError(
                f"{place}: its recipe {config['recipe']!r} is a file of its author's, and none is run because a config "
                "names it. Give an instance of the class: from_pretrained(place, recipe)."
            )
        state = _read(weights, config.get("sha256"))
        found = recipe_of(config, file, recipe)
        with torch.device("meta"):  # settings that ask for more than the file holds are found before memory is taken
            _compare(empty_model(found, config, file), state, file, weights)
        model = built(found, config, state, file, weights)
        data = config["data"]
        return cls(found, model, tuple(data["shape"]), tuple(data["classes"]), data["name"])

    def _files(self, name: str) -> dict[str, bytes]:
        """By their names. Paths of this machine are left out."""
        state = self.model.state_dict()
        weights = save({key: value.detach().cpu().contiguous().clone() for key, value in state.items()})
        config = {
            "library_name": "binarynet",
            "recipe": own.short(recipes.name_of(self.recipe)),
            "settings": replace(self.recipe, teacher="").settings() | {"data": self.data},
            "data": {"name": self.data, "shape": self.shape, "classes": self.classes},
            "sessions": [],
            "sha256": hashlib.sha256(weights).hexdigest(),
        }
        card = _card(name, str(config["recipe"]), self)
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        return {WEIGHTS: weights, CARD: card.encode(), CONFIG: text.encode()}


def _card(name: str, recipe: str, net: Pretrained) -> str:
    """The page of a repository; between the dashes the hub's keys, for which JSON's texts are YAML's."""
    shape = " × ".join(map(str, net.shape))
    return (
        f"---\nlibrary_name: binarynet\ntags: [binarized, 1-bit, pytorch]\nmodel_name: {json.dumps(name)}\n---\n\n"
        f"# {hub.cell(name)}\n\nA net to train on, or to lower to 1 bit a weight: the recipe {hub.cell(recipe)} "
        f"({hub.cell(net.recipe.paper)}), {len(net.classes)} classes of images of {shape}, "
        f"trained on {hub.cell(net.data)}. These are its real weights.\n\n```python\n"
        "from binarynet.lower import lower\nfrom binarynet.train import Pretrained\n\n"
        f'net = Pretrained.from_pretrained("hf://{hub.cell(name)}")\ngraph = lower(net.model, net.shape)\n```\n'
    )


def _read(weights: Path, digest: Any) -> dict[str, Tensor]:
    try:
        content = weights.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise TrainingError(f"{weights}: its SHA-256 is not that of the config beside it. Get both files again.")
        return load(content)
    except OSError as error:
        raise TrainingError(f"{weights}: {error.strerror or error}. A folder of a net holds {WEIGHTS}.") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{weights} is damaged: {error}. Get it again.") from None


def _compare(model: nn.Module, state: dict[str, Tensor], file: Path, weights: Path) -> None:
    """`TrainingError` where a tensor of the model, by its name, has not the shape of the file's."""
    for name, value in model.state_dict().items():
        if name not in state or state[name].shape != value.shape:
            there = tuple(state[name].shape) if name in state else "missing"
            raise TrainingError(
                f"{weights} does not fit the model that {file} describes: {name} is {there}, needed is "
                f"{tuple(value.shape)}. Use the version that trained it."
            )
