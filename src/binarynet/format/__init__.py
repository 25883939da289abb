"""The file and the packing: `.bnn` = safetensors + a JSON graph (docs/format.md)."""

from binarynet.format.container import from_bytes, load, save, to_bytes

__all__ = ["from_bytes", "load", "save", "to_bytes"]
