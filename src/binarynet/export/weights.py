"""The numbers of a model without its code: NAME.npz for Python, NAME.bin with NAME.json for anything, C arrays.

The three hold the same tensors in the same order. NAME.npz has them as numbers; NAME.bin as NAME.json says, one behind
the other; NAME_weights.c as arrays of just these words. See docs/export.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.emit import Names, comment, harmless, pack_words, provenance, put, table
from binarynet.export.options import WordOptions as Options
from binarynet.format.bits import planes
from binarynet.graph import Encoding, Graph
from binarynet.graph.ir import Conv2d, Linear

_TYPES = {"word": "uint{}_t", "i32": "int32_t", "f32": "float"}

_BITS = (
    "All is little-endian, without gaps. Value i of a row is bit i % {word} of word i / {word}; bits behind the last "
    "value are 0. A weight is stored as [output][plane][word], a row being the rest of its shape in order. b1: bit 1 "
    "is +1, bit 0 is -1. bK: K planes of such digits, plane n counts 2^n. uK: planes of digits 0 and 1. iK: the same, "
    "the last counts -2^(K-1). t2: plane 0 is not 0, plane 1 is +1. yes/no: bit 1 is yes."
)


@dataclass(frozen=True)
class Tensor:
    """One tensor: ``numbers`` as they mean, ``stored`` as they lie in the file."""

    name: str
    encoding: str
    kind: str  # word, i32 or f32
    numbers: NDArray[Any]
    stored: NDArray[Any]


def tensors(graph: Graph, word: int) -> list[Tensor]:
    """Every array of the graph in running order, named OP.FIELD."""
    found = []
    for op in graph.ops:
        for field, array in op.arrays():
            name = f"{op.name}.{field}"
            if array.dtype == np.bool_:
                found.append(Tensor(name, "yes/no", "word", array, pack_words(array, word)))
            elif array.dtype == np.int8 and isinstance(op, Linear | Conv2d):
                encoding = Encoding.parse(op.weight_encoding)
                digits = np.moveaxis(planes(array.reshape(len(array), -1), encoding), 0, 1)
                found.append(Tensor(name, str(encoding), "word", array, pack_words(digits, word)))
            else:
                kind = "i32" if array.dtype == np.int32 else "f32"
                found.append(Tensor(name, kind, kind, array, array))
    return found


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write NAME.npz, NAME.bin, NAME.json, NAME_weights.h and NAME_weights.c."""
    found = tensors(graph, options.word)
    archive = folder / f"{options.api}.npz"
    arrays: dict[str, Any] = {tensor.name: tensor.numbers for tensor in found}
    np.savez_compressed(archive, **arrays)
    blob = folder / f"{options.api}.bin"
    blob.write_bytes(b"".join(_little(tensor.stored).tobytes() for tensor in found))
    layout = put(folder, f"{options.api}.json", json.dumps(_layout(graph, options, found), indent=1) + "\n")
    return [archive, blob, layout, *_arrays(graph, options, found, folder)]


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _layout(graph: Graph, options: Options, found: list[Tensor]) -> dict[str, Any]:
    """Where each tensor lies, and what its bits mean."""
    entries, offset = [], 0
    for tensor in found:
        entry = {
            "name": tensor.name,
            "encoding": tensor.encoding,
            "shape": list(tensor.numbers.shape),
            "stored as": _TYPES[tensor.kind].format(options.word),
            "stored shape": list(tensor.stored.shape),
            "offset": offset,
            "bytes": tensor.stored.nbytes,
        }
        entries.append(entry)
        offset += tensor.stored.nbytes
    return {
        "about": provenance(graph, options),
        "bits": _BITS.format(word=options.word),
        "bytes": offset,
        "tensors": entries,
    }


def _arrays(graph: Graph, options: Options, found: list[Tensor], folder: Path) -> list[Path]:
    names = Names()
    head = comment([*provenance(graph, options), "", f"The bits are as {options.api}.json says."])
    declarations, contents = [], []
    for tensor in found:
        sizes = "".join(f"[{size}]" for size in tensor.stored.shape)
        kind = _TYPES[tensor.kind].format(options.word)
        declared = f"const {kind} {names.unique(f'{options.api}_{tensor.name}')}{sizes}"
        shape = "x".join(map(str, tensor.numbers.shape))
        note = harmless(tensor.name)
        declarations.append(f"extern {declared}; /* {note}: {shape} {tensor.encoding} */\n")
        literal = f"word{options.word}" if tensor.kind == "word" else {"i32": "int32_t", "f32": "float"}[tensor.kind]
        contents.append(f"\n{declared} =\n{table(tensor.stored, literal)};\n")
    guard = f"{options.api.upper()}_WEIGHTS_H"
    header = f"{head}\n#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n{''.join(declarations)}\n#endif\n"
    infinite = any(tensor.kind == "f32" and np.isinf(tensor.stored).any() for tensor in found)
    include = f'#include "{options.api}_weights.h"\n' + ("\n#include <math.h> /* INFINITY */\n" if infinite else "")
    return [
        put(folder, f"{options.api}_weights.h", header),
        put(folder, f"{options.api}_weights.c", include + "".join(contents)),
    ]
