"""The `.bnn` file: safetensors, with the graph as JSON under the one metadata key ``binarynet``. See docs/format.md.

Reading never trusts the file: the digest first, then names, shapes and encodings, then every tensor against the
op that owns it, then the rules of `binarynet.graph.verify`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import fields
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as save_tensors

from binarynet.errors import FormatError, GraphError
from binarynet.format.bits import pack, tail_is_zero, unpack, words_for
from binarynet.format.packed import Packed
from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import OPS, Conv2d, Graph, Linear, Op
from binarynet.graph.verify import verify
from binarynet.graph.weights import Weight, held
from binarynet.models import find, names

VERSION = 1
KEY = "binarynet"
_NO_DIGEST = "0" * 64
_DIGEST = re.compile(rb'\\"sha256\\":\\"([0-9a-f]{64})\\"')
_DTYPES = {"U64": "<u8", "I32": "<i4", "F32": "<f4"}


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph to ``path``. Same graph → same bytes. A crash leaves the old file or none, never half of one.

    Raises:
        GraphError: the graph is not well formed.
        OSError: the file cannot be written.
    """
    blob = to_bytes(graph)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> Graph:
    """Read and check a `.bnn` file, given by its path or by the name of a model of `binarynet.models`.

    Raises:
        FormatError: the file is missing, or anything in it is not as docs/format.md says; the text names the place.
    """
    try:
        blob = find(path).read_bytes()
    except OSError as error:
        also = "" if Path(path).suffix else f"; the models that come along are {', '.join(names())}"
        raise FormatError(f"{path}: cannot be read: {error.strerror}{also}") from None
    try:
        return from_bytes(blob)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None


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


def from_bytes(blob: bytes) -> Graph:
    """Check the bytes of a `.bnn` file and return its graph.

    Raises:
        FormatError: as `load`.
    """
    text, stored = _open(blob)
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the graph under {KEY!r} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise FormatError("the graph is not a JSON object")
    if document.get("version") != VERSION:
        raise FormatError(
            f"format version {document.get('version')!r}; this release reads version {VERSION}: "
            "write the file again, or upgrade binarynet"
        )
    _check_digest(blob, document.get("sha256"))
    if set(document) != {"version", "sha256", "meta", "ops"} or not isinstance(document["ops"], list):
        raise FormatError("the graph needs exactly the keys version, sha256, meta, ops")
    meta = document["meta"]
    if not isinstance(meta, dict) or not all(isinstance(value, str) for value in meta.values()):
        raise FormatError("meta must map names to texts")
    graph = Graph(tuple(_read_op(entry, stored) for entry in document["ops"]), meta)
    if stored:
        raise FormatError(f"tensors that no op owns: {', '.join(sorted(stored))}")
    try:
        verify(graph)
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
    try:
        tensors = deserialize(blob)  # type: ignore[no-untyped-call]
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise FormatError(f"not a safetensors file, or not whole ({len(blob)} bytes): {error}") from None
    metadata = header.get("__metadata__", {})
    if set(metadata) != {KEY}:
        raise FormatError(f"no binarynet model: the metadata must hold the one key {KEY!r}, it has {sorted(metadata)}")
    stored = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise FormatError(f"tensor {name!r} is {tensor['dtype']}; a .bnn holds {', '.join(_DTYPES)}")
        array = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]])
        stored[name] = array.reshape(tensor["shape"])
    return metadata[KEY], stored


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
    kind = entry.get("op") if isinstance(entry, dict) else entry
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
    return hint in (Weight, NDArray[np.bool_])


def _is_unpacked(hint: Any) -> bool:
    """Whether a field is a tensor of plain numbers."""
    return not _is_packed(hint) and "ndarray" in str(hint)


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
