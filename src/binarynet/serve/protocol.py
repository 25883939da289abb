"""The Open Inference Protocol, version 2: a request's bytes → images, and answers → a response's bytes.

Tensors are JSON, or raw bytes behind the JSON (its "binary tensor data extension"). Nothing here knows of HTTP but the
length of the JSON. https://kserve.github.io/website/latest/modelserving/data_plane/v2_protocol/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import InputError, printable
from binarynet.graph import Encoding
from binarynet.runtime import Session
from binarynet.runtime.images import adapt

INPUT, LOGITS, CLASS = "images", "logits", "class"
LENGTH = "Inference-Header-Content-Length"
VERSION = "1"
# What may come in. FP32 is what Session.predict takes: codes, or intensities in [0, 1]; of an f32 model, reals.
DATATYPES = {"BOOL": "?", "UINT8": "<u1", "INT8": "<i1", "INT32": "<i4", "INT64": "<i8", "FP32": "<f4", "FP64": "<f8"}
_OUT = {np.dtype(np.int32): "INT32", np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}
_MOST_TEXT = 256  # characters of an id


@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    megabytes: float = 16.0  # of its body
    images: int = 4096
    seconds: float = 30.0  # from its first byte to its answer
    waiting: int = 1024  # requests at once, of all models together

    @property
    def bytes(self) -> int:
        return int(self.megabytes * (1 << 20))


class Refused(Exception):
    """A request that is not answered: the HTTP status, and a line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(printable(text)[:1000])
        self.status = status


@dataclass(frozen=True)
class Question:
    """What a request asks: codes (n, *shape), ready for the engine, and the outputs that it wants, name → in binary."""

    codes: NDArray[Any]
    outputs: dict[str, bool]
    id: str | None = None


@dataclass(frozen=True)
class Model:
    """What the protocol says of a model, and how a request for it is read."""

    name: str
    shape: tuple[int, ...]
    encoding: str
    output_shape: tuple[int, ...]
    real: bool  # are its answers float32?
    classes: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, name: str, session: Session) -> Model:
        encoding = session.graph.input.encoding
        real = session.logits(np.zeros((0, *session.input_shape), np.float32 if encoding == "f32" else np.uint8)).dtype
        return cls(name, session.input_shape, encoding, session.output_shape, real == np.float32, session.classes)

    def metadata(self) -> dict[str, Any]:
        """The answer to GET /v2/models/NAME."""
        given = "FP32" if self.encoding == "f32" else "UINT8"
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "binarynet",
            "inputs": [{"name": INPUT, "datatype": given, "shape": [-1, *self.shape]}],
            "outputs": [
                {"name": LOGITS, "datatype": "FP32" if self.real else "INT32", "shape": [-1, *self.output_shape]},
                {"name": CLASS, "datatype": "INT64", "shape": [-1]},
            ],
            "parameters": {"encoding": self.encoding, "classes": list(self.classes)},
        }

    def read(self, body: bytes, json_length: int | None, limits: Limits) -> Question:
        """What a request asks. Raises `Refused` (400, or 413 for too many images)."""
        document, raw = _document(body, json_length)
        inputs = _listed(document, "inputs")
        if len(inputs) != 1 or inputs[0].get("name") != INPUT:
            raise Refused(400, f"inputs: {self.name} takes exactly one, named {INPUT!r}")
        array = _tensor(inputs[0], raw, limits)
        try:
            codes = adapt(
                array,
                self.shape,
                Encoding.parse(self.encoding),
                "nhwc" if len(self.shape) == 3 and array.shape[1:] == self.shape else None,
            )
        except InputError as error:
            raise Refused(400, f"inputs[0]: {error}") from None
        return Question(np.ascontiguousarray(codes), self._outputs(document), _id(document))

    def _outputs(self, document: Mapping[str, Any]) -> dict[str, bool]:
        parameters = _parameters(document)
        binary = bool(parameters.get("binary_data_output", False))
        asked = _listed(document, "outputs") if document.get("outputs") else [{"name": LOGITS}, {"name": CLASS}]
        found = {}
        for entry in asked:
            if entry.get("name") not in (LOGITS, CLASS):
                raise Refused(
                    400, f"outputs: there are {LOGITS!r} and {CLASS!r}, and none called {entry.get('name')!r}"
                )
            found[entry["name"]] = bool(_parameters(entry).get("binary_data", binary))
        return found

    def answer(self, question: Question, logits: NDArray[Any]) -> tuple[bytes, dict[str, str]]:
        """The body of a response, and its headers."""
        values = {LOGITS: logits, CLASS: logits.reshape(len(logits), -1).argmax(axis=1).astype(np.int64)}
        outputs, raw = [], []
        for name, binary in question.outputs.items():
            value = values[name]
            entry: dict[str, Any] = {"name": name, "datatype": _OUT[value.dtype], "shape": list(value.shape)}
            if binary:
                raw.append(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes())
                entry["parameters"] = {"binary_data_size": len(raw[-1])}
            else:
                entry["data"] = value.reshape(-1).tolist()
            outputs.append(entry)
        document: dict[str, Any] = {"model_name": self.name, "model_version": VERSION, "outputs": outputs}
        if question.id is not None:
            document["id"] = question.id
        text = json.dumps(document).encode()
        if not raw:
            return text, {"Content-Type": "application/json"}
        return b"".join((text, *raw)), {"Content-Type": "application/octet-stream", LENGTH: str(len(text))}


def server_metadata() -> dict[str, Any]:
    """The answer to GET /v2."""
    return {"name": "binarynet", "version": version("binarynet"), "extensions": ["binary_tensor_data"]}


def _document(body: bytes, json_length: int | None) -> tuple[dict[str, Any], bytes]:
    """The JSON of a request, and the bytes behind it."""
    if json_length is not None and not 0 <= json_length <= len(body):
        raise Refused(400, f"{LENGTH} is {json_length}, the body has {len(body)} bytes")
    text, raw = (body, b"") if json_length is None else (body[:json_length], body[json_length:])
    try:
        document = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise Refused(400, "the body is no JSON that anyone means: it is nested too deep") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Refused(400, "the body is not a JSON object")
    return document, raw


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _listed(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(entry, dict) for entry in found):
        raise Refused(400, f"{name} is not a list of objects")
    return found


def _parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document.get("parameters", {})
    if not isinstance(found, dict):
        raise Refused(400, "parameters is not an object")
    return found


def _id(document: Mapping[str, Any]) -> str | None:
    found = document.get("id")
    if found is not None and not (isinstance(found, str) and len(found) <= _MOST_TEXT):
        raise Refused(400, f"id is not a text of at most {_MOST_TEXT} characters")
    return found


def _tensor(entry: dict[str, Any], raw: bytes, limits: Limits) -> NDArray[Any]:
    """The array of an input, in its shape."""
    shape, datatype = entry.get("shape"), entry.get("datatype")
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size >= 0 for size in shape):
        raise Refused(400, "inputs[0]: shape is not a list of whole numbers")
    if shape[0] > limits.images:
        raise Refused(413, f"inputs[0]: {shape[0]} images, and a request may have {limits.images}: send several")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise Refused(400, f"inputs[0]: datatype is {datatype!r}; it may be {', '.join(DATATYPES)}")
    dtype, count = np.dtype(DATATYPES[datatype]), prod(shape)
    size = _parameters(entry).get("binary_data_size")
    if size is not None:
        if type(size) is not int or size != len(raw) or size != count * dtype.itemsize:
            raise Refused(
                400,
                f"inputs[0]: binary_data_size is {size!r}; {shape} of {datatype} are {count * dtype.itemsize} bytes, "
                f"and {len(raw)} stand behind the JSON",
            )
        return np.frombuffer(raw, dtype).reshape(shape)
    if raw:
        raise Refused(400, f"{len(raw)} bytes stand behind the JSON, and no input has a binary_data_size")
    return _from_json(entry.get("data"), dtype, shape, count)


def _from_json(data: Any, dtype: np.dtype[Any], shape: list[int], count: int) -> NDArray[Any]:
    try:
        array = np.asarray(data)
    except ValueError:
        raise Refused(400, "inputs[0]: data is a list of lists of different lengths") from None
    if array.size == 0 and isinstance(data, list):
        array = array.astype(dtype)
    if not isinstance(data, list) or array.dtype.kind not in "buif" or array.size != count:
        raise Refused(400, f"inputs[0]: data is not a list of {count} numbers, which {shape} wants")
    with np.errstate(all="ignore"):
        made = array.astype(dtype)
    if dtype.kind in "iub" and not np.array_equal(made, array):
        raise Refused(400, f"inputs[0]: data holds a number that is none of {dtype.name}")
    return made.reshape(shape)
