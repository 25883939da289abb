"""All targets by name."""

from tests.fuzz import bnn, engines, files, onnx_files
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {one.name: one for one in (bnn.TARGET, engines.TARGET, *files.TARGETS, onnx_files.TARGET)}
