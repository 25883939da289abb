"""Import: an ONNX file with the quantizers of QONNX → the integer graph. See docs/export.md.

Reads what `binarynet export --to qonnx` writes and what Brevitas exports, in the arithmetic of the file: thresholds are
read off its own nodes, run by onnxruntime one by one. Needs no torch.

| model       | the file as plain data                           |
| run         | every value of the file, on a few images         |
| quantizers  | nodes of QONNX as whole numbers                  |
| rules       | operator → rule, of `elementwise` and `structure` |
| convert     | `import_onnx`: read, run, fold, prove            |
"""

from binarynet.importer.convert import PIXELS, import_onnx, shown

__all__ = ["PIXELS", "import_onnx", "shown"]
