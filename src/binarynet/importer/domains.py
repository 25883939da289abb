"""Whose operators an ONNX file may hold besides ONNX's own."""

QUANTIZERS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
LAST = "qonnx.custom_op.channels_last"  # ONNX's own, on images whose channels come last
