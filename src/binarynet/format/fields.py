"""The fields of an op in a file: as JSON, as a tensor of numbers, or as bits; written, and read back without trust."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from math import prod
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import FormatError
from binarynet.format.bits import tail_is_zero, unpack, words_for
from binarynet.format.packed import Packed
from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import OPS, Conv2d, Linear, Op
from binarynet.graph.weights import Weight, held

_YES_NO = NDArray[np.bool_]


def read_op(entry: Any, stored: dict[str, NDArray[Any]]) -> Op:
    """One op from its JSON object; takes its tensors out of ``stored``."""
    if not isinstance(entry, dict):
        raise FormatError(f"an op is a JSON object, not {entry!r}", "fields")
    kind = entry.get("op")
    if not isinstance(kind, str) or kind not in OPS:
        raise FormatError(f"unknown op {kind!r}; known: {', '.join(OPS)}", "fields")
    where = f"{entry.get('name')} ({kind})"
    hints = hints_of(kind)
    keys = {f"{name}_shape" if is_packed(hint) else name for name, hint in hints.items() if not is_unpacked(hint)}
    if set(entry) != keys | {"op"}:
        raise FormatError(f"{where}: has the keys {sorted(entry)}, needs {sorted(keys | {'op'})}", "fields")
    values: dict[str, Any] = {
        name: plain(entry[name], hint, f"{where}: {name}")
        for name, hint in hints.items()
        if not (is_packed(hint) or is_unpacked(hint))
    }
    for name, hint in hints.items():
        tensor = f"{values['name']}.{name}"
        if (is_packed(hint) or is_unpacked(hint)) and tensor not in stored:
            raise FormatError(f"{where}: tensor {tensor!r} is missing", "tensors")
        if is_unpacked(hint):
            values[name] = stored.pop(tensor)
            if values[name].dtype == np.uint64:
                raise FormatError(f"{where}: tensor {tensor!r} holds words, needs I32 or F32", "tensors")
        elif is_packed(hint):
            shape = plain(entry[f"{name}_shape"], tuple[int, ...], f"{where}: {name}_shape")
            if hint is Weight:
                values[name] = _weight(
                    stored.pop(tensor), shape, values["weight_encoding"], f"{where}: tensor {tensor!r}"
                )
            else:
                _check_words(stored[tensor], shape, Encoding("b", 1), f"{where}: tensor {tensor!r}")
                values[name] = unpack(stored.pop(tensor), shape[-1]) > 0
    return OPS[kind](**values)


@cache
def hints_of(kind: str) -> dict[str, Any]:
    """Field → type, for an op by name."""
    cls = OPS[kind]
    return {field.name: get_type_hints(cls)[field.name] for field in fields(cls)}


def is_packed(hint: Any) -> bool:
    """Whether a field is stored as bits: weights, unless they are f32, and yes / no."""
    return hint in (Weight, _YES_NO)


# By equality, never by what a type's text or origin is: numpy 2.5 made `NDArray` a name of its own.
_NUMBERS = (NDArray[np.int32], NDArray[np.float32], NDArray[np.int32] | NDArray[np.float32])


def is_unpacked(hint: Any) -> bool:
    """Whether a field is a tensor of plain numbers."""
    return hint in _NUMBERS


def plain(value: Any, hint: Any, where: str) -> Any:
    """A JSON value as its field's type: a name, a whole number, or a tuple of such."""
    if hint in (str, int):
        if type(value) is not hint:
            raise FormatError(f"{where}: {value!r} is not a {'text' if hint is str else 'whole number'}", "fields")
        return value
    inner = get_args(hint)
    if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
        count = "" if inner[-1] is ... else f" of {len(inner)}"
        raise FormatError(f"{where}: {value!r} is not a list{count}", "fields")
    return tuple(plain(item, inner[0], where) for item in value)


def _weight(words: NDArray[Any], shape: tuple[int, ...], encoding: str, where: str) -> Packed | NDArray[Any]:
    """Words of the file → weights of ``shape``, checked but still packed; the inverse of `stored_words`."""
    try:
        code = Encoding.parse(encoding)
    except ValueError as error:
        raise FormatError(f"{where}: {error}", "fields") from None
    _check_words(words, shape, code, where)
    if code.is_float:
        return words
    if len(shape) < 2:
        raise FormatError(f"{where}: shape {shape} of a weight needs two sizes or more", "tensors")
    packed = Packed(words.reshape(code.bits, shape[0], -1), shape, encoding)
    if not packed.are_weights():
        raise FormatError(
            f"{where}: holds a weight that {encoding} does not have, or that is outside −128 … 127", "tensors"
        )
    return packed


def _check_words(words: NDArray[Any], shape: tuple[int, ...], code: Encoding, where: str) -> None:
    """Type and shape of a stored tensor that is ``shape`` of an encoding, and the bits behind its last value."""
    if not shape or min(shape) < 1 or prod(shape) >= 2**40:
        raise FormatError(f"{where}: shape {shape} needs positive sizes", "tensors")
    if code.is_float:
        if words.dtype != np.float32 or words.shape != shape:
            raise FormatError(f"{where}: {words.dtype} {words.shape}, but it is F32 {shape}", "tensors")
        return
    rows, depth = (shape[:1], prod(shape[1:])) if len(shape) > 1 else ((), shape[0])
    digits = () if code.bits == 1 else (code.bits,)
    expected = (*digits, *rows, words_for(depth))
    if words.dtype != np.uint64 or words.shape != expected:
        raise FormatError(f"{where}: {words.dtype} {words.shape}, but {shape} of {code} is U64 {expected}", "tensors")
    if not tail_is_zero(words, depth):
        raise FormatError(f"{where}: a bit behind the last value is not 0", "tensors")


def stored_words(op: Linear | Conv2d) -> NDArray[Any]:
    """One row of words for each output, (out, words); with K > 1 bits, a plane each: (K, out, words). f32 as it is."""
    weight = held(op)
    if op.weight_encoding == "f32":
        return np.ascontiguousarray(op.weight)
    packed = weight if isinstance(weight, Packed) else Packed.of(op.weight, op.weight_encoding)
    return packed.words if len(packed.words) > 1 else packed.words[0]
