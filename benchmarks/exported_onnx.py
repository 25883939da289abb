"""The ONNX of a model in onnxruntime beside the native engine: bytes of the files, and time, in turn in one process.

    python benchmarks/exported_onnx.py MODEL.bnn --data mnist [--images N]

One thread each, one batch; the native engine with its portable kernel and with the best of this machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime

from binarynet.bench import interleaved, machine
from binarynet.data import load_split
from binarynet.errors import run_script
from binarynet.export import Options, write
from binarynet.export.onnx.dialect import to_onnx
from binarynet.format import load
from binarynet.graph import Encoding
from binarynet.runtime import Session
from binarynet.runtime.images import adapt


def main() -> None:
    parser = argparse.ArgumentParser(description="Exported ONNX in onnxruntime beside the native engine.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True, help="data set whose test split is run")
    parser.add_argument("--images", type=int, default=500)
    options = parser.parse_args()
    graph = load(options.model)
    images = load_split(options.data, "test").images[: options.images]
    batch = to_onnx(adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding)))
    calls: dict[str, Any] = {}
    for isa in ("portable", None):
        native = Session(graph, isa=isa, threads=1)
        calls[f"native {native.isa}"] = lambda native=native: native.logits(images)
    with tempfile.TemporaryDirectory() as folder:
        print(f"{options.model.name}: {options.model.stat().st_size:,} B")
        for target in ("onnx", "qonnx"):
            (file,) = write(graph, target, Path(folder), Options(target))
            print(f"{target}: {file.stat().st_size:,} B")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(Path(folder) / "onnx.onnx", settings, ["CPUExecutionProvider"])
        calls["onnxruntime"] = lambda: session.run(None, {"images": batch})
        found = interleaved(calls, 2.0)
    print(", ".join(machine().values()), f"onnxruntime {onnxruntime.__version__}")
    base = found["onnxruntime"].median
    for name, timing in found.items():
        print(
            f"{name:<18}{timing.median / len(images) * 1e6:>10,.1f} µs/image{base / timing.median:>8.2f} × onnxruntime"
        )


if __name__ == "__main__":
    run_script(main)
