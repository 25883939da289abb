"""Put finished runs into the zoo: run folder → zoo/NAME/{model.bnn, card.md} → src/binarynet/models/zoo.json.

    python benchmarks/zoo.py RUN NAME "One sentence of what it is." [--along]
    python benchmarks/zoo.py                    only write zoo.json and zoo/README.md anew, of the files that are there

The card has the command, seed, epochs, the epoch that was chosen, the digest, and the errors on the test set, counted
anew by the engine. ``--along``: the model comes with the package (500 kB at most); zoo/NAME then holds links to it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

import record

import binarynet
from binarynet.data import load_split
from binarynet.errors import InputError, run_script
from binarynet.models.zoo import CARD, FILE
from binarynet.train import RunFolder

ROOT = Path(__file__).parents[1]
ZOO, ALONG = ROOT / "zoo", ROOT / "src/binarynet/models"
LARGEST = 500_000  # bytes of a model that comes along
SAME, ROUNDED = 0.005, 0.02  # points by which the file's error may differ from that of training


def add(folder: Path, name: str, sentence: str, along: bool) -> None:
    """One run's model and its card."""
    run, row = RunFolder(folder), record.read(folder)
    config = run.read_config()
    model = (folder / FILE).read_bytes()
    data = config["data"]["name"]
    test = load_split(data, "test")
    wrong = int((binarynet.load(folder / FILE).predict(test.images) != test.labels).sum())
    error = 100 * wrong / len(test)
    # Of weights of several bits training makes real products, whose rounding decides a few signs otherwise.
    graph = binarynet.load_graph(folder / FILE)
    several = any(getattr(op, "weight_encoding", "b1") not in ("b1", "t2", "f32") for op in graph.ops)
    if abs(error - row.test_error) > (ROUNDED if several else SAME):
        raise InputError(f"{folder}: the engine makes {wrong} mistakes, the run says {row.test_error} %")
    if along and len(model) > LARGEST:
        raise InputError(f"{folder}: {len(model):,} bytes do not come along; {LARGEST:,} do")
    curve = Path(f"{record.curve_of(row)}.png")
    images = config["data"]["images"]
    split = f"{images['train']:,} images to train, {images['validation']:,} to validate, {len(test):,} for the test"
    table = {
        "recipe": f"`{row.recipe}`",
        "data": f"{data}: {split}",
        "command": f"`{row.command} --threads {row.threads}`",
        "seed, epochs": f"{row.seed}, {row.epochs}",
        "chosen by": f"validation error {row.validation_error:.2f} %, epoch {row.best_epoch} of {row.epochs}",
        "test error": f"{error:.2f} % ({wrong:,} of {len(test):,})"
        + (f"; {row.test_error:.2f} % in the float32 of training" if abs(error - row.test_error) > SAME else ""),
        **({"curve": f"docs/results/{curve.name}"} if curve.is_file() else {}),
        "bytes, SHA-256": f"{len(model):,}, `{hashlib.sha256(model).hexdigest()}`",
        "licence": "that of this package; the images have their own",
    }
    lines = [
        f"# {name}",
        "",
        sentence,
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {text} |" for key, text in table.items()),
    ]
    (ZOO / name).mkdir(parents=True, exist_ok=True)
    for file, blob, kept in (
        (ZOO / name / FILE, model, ALONG / f"{name}.bnn"),
        (ZOO / name / CARD, ("\n".join(lines) + "\n").encode(), ALONG / f"{name}.md"),
    ):
        file.unlink(missing_ok=True)
        if along:
            kept.write_bytes(blob)
            link(file, kept)
        else:
            file.write_bytes(blob)


def link(file: Path, to: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_symlink():
        file.symlink_to(Path("../..") / to.relative_to(ROOT))


def index() -> None:
    """zoo.json and zoo/README.md, of the files and cards that are there."""
    for model in sorted(ALONG.glob("*.bnn")):
        link(ZOO / model.stem / FILE, model)
        link(ZOO / model.stem / CARD, model.with_suffix(".md"))
    entries = []
    for folder in sorted(path.parent for path in ZOO.glob(f"*/{FILE}")):
        card, blob = (folder / CARD).read_text(encoding="utf-8"), (folder / FILE).read_bytes()
        rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", card, re.MULTILINE))
        wrong, images = map(int, re.findall(r"\(([\d,]+) of ([\d,]+)\)", rows["test error"].replace(",", ""))[0])
        entries.append(
            {
                "name": folder.name,
                "sha256": hashlib.sha256(blob).hexdigest(),
                "bytes": len(blob),
                "data": binarynet.load_graph(folder / FILE).meta["data"],
                "error": round(100 * wrong / images, 4),
                "command": rows["command"].strip("`").split("`")[0],
            }
        )
    record.write(ALONG / "zoo.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    lines = ["| model | data | test error | bytes |", "|---|---|---|---|"]
    lines += [
        f"| [{e['name']}]({e['name']}/{CARD}) | {e['data']} | {e['error']:.2f} % | {e['bytes']:,} |" for e in entries
    ]
    record.write(ZOO / "README.md", HEAD + "\n".join(lines) + "\n")


HEAD = """# The zoo

Trained models, each with its card. `binarynet.load("NAME")` and every verb of the command line take the names;
`binarynet zoo` lists them. The error is that of the whole test set: `binarynet eval NAME --data DATA` prints it again.
Those that are links come with the package. `python benchmarks/zoo.py` writes this page.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("name", nargs="?")
    parser.add_argument("sentence", nargs="?")
    parser.add_argument("--along", action="store_true")
    arguments = parser.parse_args()
    if arguments.run is not None:
        if not arguments.sentence or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", arguments.name):
            raise InputError("RUN NAME SENTENCE: a name of small letters, digits and hyphens, and a sentence")
        add(arguments.run, arguments.name, arguments.sentence, arguments.along)
    index()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_script(main)
