"""All targets by name."""

from tests.fuzz import bnn, engines, files, onnx_files, reader
from tests.fuzz.target import Target

_ALL = (bnn.TARGET, reader.TARGET, engines.TARGET, *files.TARGETS, onnx_files.TARGET)
TARGETS: dict[str, Target] = {one.name: one for one in _ALL}
