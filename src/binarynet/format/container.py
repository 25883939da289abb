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
from dataclasses import fields
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as save_tensors

from binarynet.atomic import write
from binarynet.errors import FormatError, GraphError, closest, takes
from binarynet.format.bits import pack, tail_is_zero, unpack, words_for
from binarynet.format.packed import Packed
from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import OPS, Conv2d, Graph, Linear, Op
from binarynet.graph.limits import Limits
from binarynet.graph.verify import verify
from binarynet.graph.weights import Weight, held
from binarynet.models import find, names

VERSION = 1
KEY = "binarynet"
_NO_DIGEST = "0" * 64
_DIGEST = re.compile(rb'\\"sha256\\":\\"([0-9a-f]{64})\\"')
_DTYPES = {"U64": "<u8", "I32": "<i4", "F32": "<f4"}
_HEADER = 1 << 23  # bytes; as Python objects JSON takes up to twenty times its size
_YES_NO = NDArray[np.bool_]
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
        known = f".{closest(str(path), names())} Models that come along: {', '.join(names())}"
        why = getattr(error, "strerror", None) or error
        raise FormatError(f"{path}: cannot be read: {why}{'' if Path(path).suffix else known}") from None
    except (FormatError, GraphError) as error:
        raise FormatError(f"{path}: {error}") from None


def _read(path: Path, most: int) -> bytes:
    """All of a file, if it is one, and no longer than it may be: not a pipe, nor /dev/zero, which never ends."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FormatError("is not a regular file")
        if found.st_size > most:
            raise FormatError(f"has {found.st_size:,} bytes, the limit is {most:,}; see Limits(memory=…)")
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
        for name, hint in _hints(type(op).__name__).items():
            if hint is Weight:
                assert isinstance(op, Linear | Conv2d)
                entry[f"{name}_shape"] = op.weight_shape
                tensors[f"{op.name}.{name}"] = _stored(op)
                continue
            value = getattr(op, name)
            if _is_packed(hint):
                entry[f"{name}_shape"] = value.shape
                tensors[f"{op.name}.{name}"] = pack(value)
            elif _is_unpacked(hint):
                tensors[f"{op.name}.{name}"] = np.ascontiguousarray(value)
            else:
                entry[name] = value
        listed.append(entry)
    document = {
        "version": VERSION,
        "sha256": _NO_DIGEST,
        "meta": dict(sorted(graph.meta.items())),
        "ops": listed,
    }
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
    document = _parsed(text, f"the graph under {KEY!r}")
    if not isinstance(document, dict):
        raise FormatError("the graph is not a JSON object")
    version = document.get("version")
    if type(version) is not int or version != VERSION:
        raise FormatError(
            f"format version {version!r}; this release reads version {VERSION}: "
            "write the file again, or upgrade binarynet"
        )
    _check_digest(blob, document.get("sha256"))
    if set(document) != {"version", "sha256", "meta", "ops"} or not isinstance(document["ops"], list):
        raise FormatError("the graph needs exactly the keys version, sha256, meta, ops")
    meta = document["meta"]
    if not isinstance(meta, dict) or not all(isinstance(value, str) for value in meta.values()):
        raise FormatError("meta must map names to texts")
    try:
        limits = limits or Limits.of_environment()
        limits.check_ops(len(document["ops"]))
        graph = Graph(tuple(_read_op(entry, stored) for entry in document["ops"]), meta)
        if stored:
            raise FormatError(f"tensors that no op owns: {', '.join(sorted(stored))}")
        limits.check(graph, verify(graph))
    except GraphError as error:
        raise FormatError(str(error)) from None
    return graph


def _stored(op: Linear | Conv2d) -> NDArray[Any]:
    """One row of words for each output, (out, words); with K > 1 bits, a plane each: (K, out, words). f32 as it is."""
    weight = held(op)
    if op.weight_encoding == "f32":
        return np.ascontiguousarray(op.weight)
    packed = weight if isinstance(weight, Packed) else Packed.of(op.weight, op.weight_encoding)
    return packed.words if len(packed.words) > 1 else packed.words[0]


def _open(blob: bytes) -> tuple[str, dict[str, NDArray[Any]]]:
    """The JSON text, and the tensors by name."""
    length = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or not 0 < length <= len(blob) - 8:
        raise FormatError(f"not a safetensors file, or not whole ({len(blob)} bytes)")
    if length > _HEADER:
        raise FormatError(f"the header has {length:,} bytes, the limit is {_HEADER:,}")
    header = _parsed(bytes(blob[8 : 8 + length]), "not a safetensors file, or damaged: the header")
    try:
        tensors = deserialize(bytes(blob))  # type: ignore[no-untyped-call]
    except (SafetensorError, ValueError) as error:
        raise FormatError(f"not a safetensors file, or not whole ({len(blob)} bytes): {error}") from None
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or set(metadata) != {KEY}:
        has = sorted(metadata) if isinstance(metadata, dict) else metadata
        raise FormatError(f"no binarynet model: the metadata must hold the one key {KEY!r}, it has {has}")
    stored = {}
    for name, tensor in tensors:
        shape = tensor["shape"]
        if tensor["dtype"] not in _DTYPES:
            raise FormatError(f"tensor {name!r} is {tensor['dtype']}; a .bnn holds {', '.join(_DTYPES)}")
        if not 0 < len(shape) <= _RANK or min(shape) < 1:
            raise FormatError(f"tensor {name!r} has the shape {shape}; it takes 1 to {_RANK} positive sizes")
        stored[name] = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]]).reshape(shape)
    return metadata[KEY], stored


def _parsed(text: str | bytes, what: str) -> Any:
    """JSON as it is read by everyone alike: a key stands once in an object, numbers are numbers, text is UTF-8."""
    try:
        return json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_constant=_refuse_constant,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in an object")
        found[key] = value
    return found


def _around_digest(blob: bytes) -> tuple[memoryview, memoryview]:
    """What stands before and behind the 64 digits in the header."""
    place = _DIGEST.search(blob, 0, 8 + int.from_bytes(blob[:8], "little"))
    if place is None:
        raise FormatError("the header has no sha256 of 64 hexadecimal digits")
    return memoryview(blob)[: place.start(1)], memoryview(blob)[place.end(1) :]


def _check_digest(blob: bytes, digest: Any) -> None:
    before, behind = _around_digest(blob)
    content = hashlib.sha256(before)
    content.update(_NO_DIGEST.encode())
    content.update(behind)
    actual = content.hexdigest()
    if digest != actual:
        raise FormatError(
            f"the checksum does not match (file says {digest}, content is {actual}): it was damaged or edited"
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON knows")


def _read_op(entry: Any, stored: dict[str, NDArray[Any]]) -> Op:
    """One op from its JSON object; takes its tensors out of ``stored``."""
    if not isinstance(entry, dict):
        raise FormatError(f"an op is a JSON object, not {entry!r}")
    kind = entry.get("op")
    if not isinstance(kind, str) or kind not in OPS:
        raise FormatError(f"unknown op {kind!r}; known: {', '.join(OPS)}")
    where = f"{entry.get('name')} ({kind})"
    hints = _hints(kind)
    keys = {f"{name}_shape" if _is_packed(hint) else name for name, hint in hints.items() if not _is_unpacked(hint)}
    if set(entry) != keys | {"op"}:
        raise FormatError(f"{where}: has the keys {sorted(entry)}, needs {sorted(keys | {'op'})}")
    values: dict[str, Any] = {
        name: _plain(entry[name], hint, f"{where}: {name}")
        for name, hint in hints.items()
        if not (_is_packed(hint) or _is_unpacked(hint))
    }
    for name, hint in hints.items():
        tensor = f"{values['name']}.{name}"
        if (_is_packed(hint) or _is_unpacked(hint)) and tensor not in stored:
            raise FormatError(f"{where}: tensor {tensor!r} is missing")
        if _is_unpacked(hint):
            values[name] = stored.pop(tensor)
            if values[name].dtype == np.uint64:
                raise FormatError(f"{where}: tensor {tensor!r} holds words, needs I32 or F32")
        elif _is_packed(hint):
            shape = _plain(entry[f"{name}_shape"], tuple[int, ...], f"{where}: {name}_shape")
            if hint is Weight:
                values[name] = _weight(
                    stored.pop(tensor), shape, values["weight_encoding"], f"{where}: tensor {tensor!r}"
                )
            else:
                _check_words(stored[tensor], shape, Encoding("b", 1), f"{where}: tensor {tensor!r}")
                values[name] = unpack(stored.pop(tensor), shape[-1]) > 0
    return OPS[kind](**values)


@cache
def _hints(kind: str) -> dict[str, Any]:
    """Field → type, for an op by name."""
    cls = OPS[kind]
    return {field.name: get_type_hints(cls)[field.name] for field in fields(cls)}


def _is_packed(hint: Any) -> bool:
    """Whether a field is stored as bits: weights, unless they are f32, and yes / no."""
    return hint in (Weight, _YES_NO)


# By equality, never by what a type's text or origin is: numpy 2.5 made `NDArray` a name of its own.
_NUMBERS = (NDArray[np.int32], NDArray[np.float32], NDArray[np.int32] | NDArray[np.float32])


def _is_unpacked(hint: Any) -> bool:
    """Whether a field is a tensor of plain numbers."""
    return hint in _NUMBERS


def _plain(value: Any, hint: Any, where: str) -> Any:
    """A JSON value as its field's type: a name, a whole number, or a tuple of such."""
    if hint in (str, int):
        if type(value) is not hint:
            raise FormatError(f"{where}: {value!r} is not a {'text' if hint is str else 'whole number'}")
        return value
    inner = get_args(hint)
    if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
        raise FormatError(f"{where}: {value!r} is not a list" + ("" if inner[-1] is ... else f" of {len(inner)}"))
    return tuple(_plain(item, inner[0], where) for item in value)


def _weight(words: NDArray[Any], shape: tuple[int, ...], encoding: str, where: str) -> Packed | NDArray[Any]:
    """Words of the file → weights of ``shape``, checked but still packed; the inverse of `_stored`."""
    try:
        code = Encoding.parse(encoding)
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None
    _check_words(words, shape, code, where)
    if code.is_float:
        return words
    if len(shape) < 2:
        raise FormatError(f"{where}: shape {shape} of a weight needs two sizes or more")
    packed = Packed(words.reshape(code.bits, shape[0], -1), shape, encoding)
    if not packed.are_weights():
        raise FormatError(f"{where}: holds a weight that {encoding} does not have, or that is outside −128 … 127")
    return packed


def _check_words(words: NDArray[Any], shape: tuple[int, ...], code: Encoding, where: str) -> None:
    """Type and shape of a stored tensor that is ``shape`` of an encoding, and the bits behind its last value."""
    if not shape or min(shape) < 1 or prod(shape) >= 2**40:
        raise FormatError(f"{where}: shape {shape} needs positive sizes")
    if code.is_float:
        if words.dtype != np.float32 or words.shape != shape:
            raise FormatError(f"{where}: {words.dtype} {words.shape}, but it is F32 {shape}")
        return
    rows, depth = (shape[:1], prod(shape[1:])) if len(shape) > 1 else ((), shape[0])
    digits = () if code.bits == 1 else (code.bits,)
    expected = (*digits, *rows, words_for(depth))
    if words.dtype != np.uint64 or words.shape != expected:
        raise FormatError(f"{where}: {words.dtype} {words.shape}, but {shape} of {code} is U64 {expected}")
    if not tail_is_zero(words, depth):
        raise FormatError(f"{where}: a bit behind the last value is not 0")
