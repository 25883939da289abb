"""The `.bnn` file: safetensors, with the graph as JSON under the one metadata key ``binarynet``. See docs/format.md.

Reading never trusts the file: the digest first, then names, shapes and encodings, then every tensor against the
op that owns it, then the rules of `binarynet.graph.verify`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as save_tensors

from binarynet.atomic import write
from binarynet.errors import FormatError, GraphError, closest, takes
from binarynet.format.bits import pack
from binarynet.format.fields import hints_of, is_packed, is_unpacked, plain, read_op, stored_words
from binarynet.format.strict_json import parsed
from binarynet.graph.ir import Conv2d, Graph, Linear
from binarynet.graph.limits import Limits
from binarynet.graph.outputs import Output
from binarynet.graph.verify import verify
from binarynet.graph.weights import Weight
from binarynet.models import find, names, zoo

VERSION, SEVERAL = 1, 2  # of files with one answer, and with several
KEY = "binarynet"
_NO_DIGEST = "0" * 64
_DIGEST = re.compile(rb'\\"sha256\\":\\"([0-9a-f]{64})\\"')
_DTYPES = {"U64": "<u8", "I32": "<i4", "F32": "<f4"}
_HEADER = 1 << 23  # bytes; as Python objects JSON takes up to twenty times its size
_RANK = 4  # sizes of a tensor at most


@takes(
    graph=(Graph, "a Graph, such as binarynet.lower.lower(model, shape) makes of a trained model"),
    path=(str | os.PathLike, "the path of a file"),
)
def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph to ``path``. Same graph → same bytes. A crash leaves the old file or none, never half of one.

    Raises:
        GraphError: the graph is not well formed.
        OSError: the file cannot be written.
    """
    write(Path(path), to_bytes(graph))


@takes(path=(str | os.PathLike, "the path of a .bnn file or the name of a model that comes along"))
def load(path: str | os.PathLike[str], *, sha256: str | None = None, limits: Limits | None = None) -> Graph:
    """Read and check a `.bnn` file, given by its path or by the name of a model of `binarynet.models`.

    Args:
        path: the file.
        sha256: what ``sha256sum FILE`` prints for the file that is meant, 64 hexadecimal digits; any other file is
            refused before anything in it is looked at.
        limits: how much the model may ask of this machine; None takes `Limits.of_environment`, which is safe for a
            server.

    Raises:
        FormatError: the file is missing or not the one that is meant, anything in it is not as docs/format.md says, or
            it asks for more than ``limits``; the text names the place.
    """
    try:
        limits = limits or Limits.of_environment()
        found = find(path)
        if found.is_dir():
            raise FormatError(f"is a folder without a model.bnn: `binarynet lower {path}` makes one of a run")
        blob = _read(found, limits.memory)
        if sha256 is not None:
            _check_whole(blob, sha256)
        return from_bytes(blob, limits)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        known = f".{closest(str(path), zoo.entries())} Models that come along: {', '.join(names())}"
        why = getattr(error, "strerror", None) or error
        raise FormatError(f"{path}: cannot be read: {why}{'' if Path(path).suffix else known}") from None
    except (FormatError, GraphError) as error:
        raise FormatError(f"{path}: {error}", error.kind) from None


def _read(path: Path, most: int) -> bytes:
    """All of a file, if it is one, and no longer than it may be: not a pipe, nor /dev/zero, which never ends."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FormatError("is not a regular file")
        if found.st_size > most:
            raise FormatError(f"has {found.st_size:,} bytes, the limit is {most:,}; see Limits(memory=…)", "limits")
        return file.read(found.st_size)


def _check_whole(blob: bytes, sha256: str) -> None:
    wanted = sha256.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise FormatError(f"sha256 is {sha256!r}; it takes 64 hexadecimal digits, as sha256sum prints them")
    actual = hashlib.sha256(blob).hexdigest()
    if actual != wanted:
        raise FormatError(f"is another file than the one that is meant: its SHA-256 is {actual}, not {wanted}")


@takes(graph=(Graph, "a Graph"))
def to_bytes(graph: Graph) -> bytes:
    """The bytes of the `.bnn` file."""
    verify(graph)
    tensors: dict[str, NDArray[Any]] = {}
    listed = []
    for op in graph.ops:
        entry: dict[str, Any] = {"op": type(op).__name__}
        for name, hint in hints_of(type(op).__name__).items():
            if hint is Weight:
                assert isinstance(op, Linear | Conv2d)
                entry[f"{name}_shape"] = op.weight_shape
                tensors[f"{op.name}.{name}"] = stored_words(op)
                continue
            value = getattr(op, name)
            if is_packed(hint):
                entry[f"{name}_shape"] = value.shape
                tensors[f"{op.name}.{name}"] = pack(value)
            elif is_unpacked(hint):
                tensors[f"{op.name}.{name}"] = np.ascontiguousarray(value)
            else:
                entry[name] = value
        listed.append(entry)
    document: dict[str, Any] = {
        "version": SEVERAL if graph.outputs else VERSION,
        "sha256": _NO_DIGEST,
        "meta": dict(sorted(graph.meta.items())),
        "ops": listed,
    }
    if graph.outputs:
        document["outputs"] = [{"name": one.name, "shape": one.shape} for one in graph.outputs]
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    blob = save_tensors(tensors, {KEY: text})
    return hashlib.sha256(blob).hexdigest().encode().join(_around_digest(blob))


@takes(blob=(bytes | bytearray | memoryview, "the bytes of a .bnn file"))
def from_bytes(blob: bytes, limits: Limits | None = None) -> Graph:
    """Check the bytes of a `.bnn` file and return its graph.

    Raises:
        FormatError: as `load`, and nothing else whatever the bytes are.
    """
    text, stored = _open(blob)
    document = parsed(text, f"the graph under {KEY!r}")
    if not isinstance(document, dict):
        raise FormatError("the graph is not a JSON object", "fields")
    version = document.get("version")
    if type(version) is not int or version not in (VERSION, SEVERAL):
        raise FormatError(
            f"format version {version!r}; this release reads versions {VERSION} and {SEVERAL}: "
            "write the file again, or upgrade binarynet",
            "version",
        )
    _check_digest(blob, document.get("sha256"))
    keys = ["version", "sha256", "meta", "ops", *(["outputs"] if version == SEVERAL else [])]
    if set(document) != set(keys) or not isinstance(document["ops"], list):
        raise FormatError(f"the graph needs exactly the keys {', '.join(keys)}", "fields")
    meta = document["meta"]
    if not isinstance(meta, dict) or not all(isinstance(value, str) for value in meta.values()):
        raise FormatError("meta must map names to texts", "fields")
    outputs = _outputs(document["outputs"]) if version == SEVERAL else ()
    try:
        limits = limits or Limits.of_environment()
        limits.check_ops(len(document["ops"]))
        ops = tuple(read_op(entry, stored) for entry in document["ops"])
        graph = Graph(ops, meta, outputs)
        if stored:
            raise FormatError(f"tensors that no op owns: {', '.join(sorted(stored))}", "tensors")
        limits.check(graph, verify(graph))
    except GraphError as error:
        raise FormatError(str(error), error.kind) from None
    return graph


def _outputs(listed: Any) -> tuple[Output, ...]:
    """What a file with several answers says of each."""
    if not isinstance(listed, list) or len(listed) < 2:
        raise FormatError("outputs must be a list of two or more; version 1 has one answer", "fields")
    for entry in listed:
        if not isinstance(entry, dict) or set(entry) != {"name", "shape"}:
            raise FormatError("outputs: each needs exactly the keys name, shape", "fields")
    return tuple(
        Output(plain(entry["name"], str, "outputs: name"), plain(entry["shape"], tuple[int, ...], "outputs: shape"))
        for entry in listed
    )


def _open(blob: bytes) -> tuple[str, dict[str, NDArray[Any]]]:
    """The JSON text, and the tensors by name."""
    length = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or not 0 < length <= len(blob) - 8:
        raise _no_safetensors(f"or not whole ({len(blob)} bytes)")
    if length > _HEADER:
        raise FormatError(f"the header has {length:,} bytes, the limit is {_HEADER:,}", "safetensors")
    header = parsed(bytes(blob[8 : 8 + length]), "not a safetensors file, or damaged: the header", "safetensors")
    if not isinstance(header, dict) or blob[8:9] != b"{":
        raise _no_safetensors("the header is not a JSON object that begins at once")
    for name, entry in header.items():
        if name != "__metadata__":
            _check_entry(name, entry)
    try:
        tensors = deserialize(bytes(blob))  # type: ignore[no-untyped-call]
    except (SafetensorError, ValueError) as error:
        raise _no_safetensors(f"or not whole ({len(blob)} bytes): {error}") from None
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or set(metadata) != {KEY}:
        has = sorted(metadata) if isinstance(metadata, dict) else metadata
        raise FormatError(
            f"no binarynet model: the metadata must hold the one key {KEY!r}, it has {has}", "safetensors"
        )
    stored = {}
    for name, tensor in tensors:
        stored[name] = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return metadata[KEY], stored


def _no_safetensors(why: str) -> FormatError:
    return FormatError(f"not a safetensors file, {why}", "safetensors")


def _check_entry(name: str, entry: Any) -> None:
    """The parts of a tensor in the header are there, of the right types. Whether they fit, safetensors says."""
    keys = ["data_offsets", "dtype", "shape"]
    if not isinstance(entry, dict) or sorted(entry) != keys:
        raise _no_safetensors(f"tensor {name!r} needs exactly the keys {', '.join(keys)}")
    for key in ("shape", "data_offsets"):
        if not isinstance(entry[key], list) or not all(type(size) is int and size >= 0 for size in entry[key]):
            raise _no_safetensors(f"tensor {name!r}: {key} is {entry[key]!r}, no list of whole numbers from 0 on")
    if entry["dtype"] not in tuple(_DTYPES):
        raise FormatError(f"tensor {name!r} is {entry['dtype']}; a .bnn holds {', '.join(_DTYPES)}", "safetensors")
    if not 0 < len(entry["shape"]) <= _RANK or min(entry["shape"]) < 1:
        raise FormatError(
            f"tensor {name!r} has the shape {entry['shape']}; it takes 1 to {_RANK} positive sizes", "safetensors"
        )


def _around_digest(blob: bytes) -> tuple[memoryview, memoryview]:
    """What stands before and behind the 64 digits in the header."""
    place = _DIGEST.search(blob, 0, 8 + int.from_bytes(blob[:8], "little"))
    if place is None:
        raise FormatError("the header has no sha256 of 64 hexadecimal digits", "checksum")
    return memoryview(blob)[: place.start(1)], memoryview(blob)[place.end(1) :]


def _check_digest(blob: bytes, digest: Any) -> None:
    before, behind = _around_digest(blob)
    content = hashlib.sha256(before)
    content.update(_NO_DIGEST.encode())
    content.update(behind)
    actual = content.hexdigest()
    if digest != actual:
        raise FormatError(
            f"the checksum does not match (file says {digest}, content is {actual}): it was damaged or edited",
            "checksum",
        )
