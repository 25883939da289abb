"""Models on the Hugging Face hub: ``binarynet push RUN hf://user/name``, and ``load("hf://user/name")``.

An address is ``hf://user/name``, perhaps with ``@revision`` behind it. A repository holds ``model.bnn`` and a card.
The file is checked as every file is, its own SHA-256 included; nothing that is fetched is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from binarynet.errors import BinarynetError, RuntimeUnavailable

FILE = "model.bnn"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")


class HubError(BinarynetError):
    """An address is none, or the hub did not give or take what was asked."""


def address_of(model: object) -> str:
    """The address that is meant, or an empty text. A `Path` has lost one of the two slashes."""
    text = str(model)
    return f"hf://{text[3:].lstrip('/')}" if text.startswith("hf:/") else ""


def fetch(address: str, file: str = FILE) -> Path:
    """A file of a repository, from the cache if it is there. `HubError` where the hub has none."""
    repository, revision = _parsed(address)
    hub = _hub()
    try:
        return Path(hub.hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # the hub's client has a dozen kinds, of HTTP, of its cache, of the network
        raise HubError(f"{address}: {_first_line(error)}") from error


def push(file: Path, address: str, card: str, *, private: bool = False, message: str = "Upload a model") -> str:
    """Put a model file and its card into a repository, which is made if it is not there; returns where it is.

    Raises `HubError` where the hub refuses, such as without a token (``hf auth login``).
    """
    return upload({FILE: file.read_bytes(), "README.md": card.encode()}, address, private=private, message=message)


def upload(files: Mapping[str, bytes], address: str, *, private: bool = False, message: str = "Upload files") -> str:
    """Put files into a repository, by their names there, in one commit. Otherwise as `push`."""
    repository, revision = _parsed(address)
    hub = _hub()
    try:
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        added = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=held) for name, held in files.items()]
        done = api.create_commit(repository, added, commit_message=message, revision=revision)
    except Exception as error:
        raise HubError(f"{address}: {_first_line(error)}") from error
    return str(done.commit_url)


def card_of(name: str, meta: Mapping[str, str], accuracy: float | None, size: int) -> str:
    """The page of a repository: what the model is, in words and, between the dashes, in the hub's own keys.

    accuracy: in percent, of the test images; None where nobody measured it.
    """
    hub = _hub()
    results = None
    if accuracy is not None:
        data = meta.get("data", "unknown")
        results = [
            hub.EvalResult(
                task_type="image-classification",
                dataset_type=data,
                dataset_name=data,
                metric_type="accuracy",
                metric_value=round(accuracy / 100, 4),
            )
        ]
    keys = hub.ModelCardData(
        library_name="binarynet", tags=["binarized", "1-bit"], model_name=name, eval_results=results
    )
    rows = "\n".join(f"| {key} | {cell(text)} |" for key, text in sorted(meta.items()))
    said = f" It is right on {accuracy:.2f} % of the test images." if accuracy is not None else ""
    return (
        f"---\n{keys.to_yaml()}\n---\n\n# {cell(name)}\n\n"
        f"A network of weights and activations of ±1, {size:,} bytes.{said}\n\n"
        f'| | |\n|---|---|\n{rows}\n\n```python\nimport binarynet\n\nbinarynet.load("hf://{name}").predict(images)\n```\n'
    )


def cell(text: str) -> str:
    """A text of a file for a card: on one line, and neither a table's end nor HTML."""
    return re.sub(r"[|<>`\r\n]", " ", text)


def _parsed(address: str) -> tuple[str, str | None]:
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise HubError(f"{address!r} is no address: write hf://user/name, or hf://user/name@revision")
    return found.group(1), found.group(2)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise RuntimeUnavailable("the hub needs huggingface_hub: pip install 'binarynet[hub]'") from error
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}".rstrip(": ")
