"""``binarynet verify``: what is wrong with a model file, and where."""

from __future__ import annotations

from binarynet.cli.app import app
from binarynet.cli.options import AsJson, ModelFile
from binarynet.cli.printing import console, human_bytes, show_json


@app.command()
def verify(file: ModelFile, as_json: AsJson = False) -> None:
    """Check a model file: checksum, structure, shapes, encodings, sizes. Exit code 2 says what is wrong and where."""
    from binarynet.format import load

    graph = load(file)
    if as_json:
        show_json({"file": str(file), "valid": True, "ops": len(graph.ops)})
    else:
        console.print(f"{file}: valid, {len(graph.ops)} ops, {human_bytes(file.stat().st_size)}")
