"""The zoo: all trained models that have a name; zoo.json lists them, each with its SHA-256.

A model that does not come with the package is looked for in the folder ``zoo/`` of a checkout, then under
``BINARYNET_ZOO``, a folder or an address that has ``NAME/model.bnn``; what is fetched lands in the user's cache. A file
whose SHA-256 is another is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from binarynet import environment
from binarynet.errors import FormatError, RuntimeUnavailable

FILE, CARD = "model.bnn", "card.md"
PACKAGE = Path(str(files("binarynet.models")))


@dataclass(frozen=True)
class Entry:
    """What zoo.json says of a model. ``error`` is that of the whole test set of ``data``, in percent."""

    name: str
    sha256: str
    bytes: int
    data: str
    error: float
    command: str

    def text(self) -> str:
        """What is known of it without its card, which lies beside the file in the zoo."""
        return f"# {self.name}\n\n`{self.command}`: {self.error:.2f} % of the test images of {self.data} are wrong.\n"


@cache
def entries() -> dict[str, Entry]:
    """The models of the zoo by name."""
    text = (PACKAGE / "zoo.json").read_text(encoding="utf-8")
    return {entry["name"]: Entry(**entry) for entry in json.loads(text)}


def checkout() -> Path | None:
    """The folder ``zoo/`` of the checkout that this package is run from; None where it was installed."""
    folder = Path(__file__).parents[3] / "zoo"
    return folder if (folder.parent / "pyproject.toml").is_file() and folder.is_dir() else None


def where(name: str) -> str:
    """Where the file of a model is, or what brings it, in a few words."""
    if (PACKAGE / f"{name}.bnn").is_file():
        return "comes along"
    place = _place(name)
    if place is not None:
        return str(place)
    base = environment.read("BINARYNET_ZOO")
    return f"{base.rstrip('/')}/{name}/{FILE}" if "://" in base else "not here: BINARYNET_ZOO says where"


def locate(name: str) -> Path:
    """The file of a model of `entries`, its SHA-256 checked.

    Raises:
        RuntimeUnavailable: there is no place to take it from, or the place did not give it.
        FormatError: a file of that name with other bytes.
    """
    entry, base = entries()[name], environment.read("BINARYNET_ZOO")
    if (PACKAGE / f"{name}.bnn").is_file():
        return PACKAGE / f"{name}.bnn"
    place = _place(name)
    if place is not None:
        return _checked(place, entry)
    if "://" in base:
        return _fetched(f"{base.rstrip('/')}/{name}/{FILE}", entry)
    looked = f" It is not in {base}." if base else ""
    raise RuntimeUnavailable(
        f"{name} ({entry.bytes / 1e6:.1f} MB) is a model of the zoo, which does not come with the package.{looked} "
        f"Set BINARYNET_ZOO to the folder zoo/ of a checkout, or to an address that has {name}/{FILE}; "
        f"or train it: {entry.command}"
    )


def _place(name: str) -> Path | None:
    """The file on this machine, of a checkout or of a folder in BINARYNET_ZOO."""
    base = environment.read("BINARYNET_ZOO")
    folders = [checkout(), Path(base) if base and "://" not in base else None]
    return next((folder / name / FILE for folder in folders if folder and (folder / name / FILE).is_file()), None)


def _checked(file: Path, entry: Entry) -> Path:
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != entry.sha256:
        raise FormatError(f"{file}: SHA-256 {found[:12]}…, but {entry.name} of the zoo has {entry.sha256[:12]}…")
    return file


def _fetched(address: str, entry: Entry) -> Path:
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(f"fetching {entry.name} needs pooch: pip install 'binarynet[data]'") from error
    folder: Any = pooch.os_cache("binarynet") / "zoo" / entry.name
    try:
        return Path(pooch.retrieve(address, f"sha256:{entry.sha256}", FILE, folder, progressbar=False))
    except Exception as error:  # of the network, of the server, of the cache, or another SHA-256
        reason = (str(error).splitlines() or [""])[0][:300]
        raise RuntimeUnavailable(f"{entry.name}: {address}: {type(error).__name__}: {reason}") from error
