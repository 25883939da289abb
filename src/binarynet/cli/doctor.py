"""``binarynet doctor``: what this install has, whether it works, and for what it lacks the command that brings it."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import typer

from binarynet.cli.app import app
from binarynet.cli.options import AsJson
from binarynet.cli.printing import console, show_json
from binarynet.cli.table import Table

# Programs that exports are checked by: name → what it is for, and the Debian package.
PROGRAMS = {
    "cc": ("export --to c --check", "gcc"),
    "make": ("export --to c --check", "make"),
    "iverilog": ("export --to verilog --check", "iverilog"),
    "verilator": ("export --to verilog --check", "verilator"),
    "yosys": ("export --to verilog: cells of the circuit", "yosys"),
}
# Extras for developers, which nobody misses.
_APART = ("dev", "peers")
_IMAGES = 64


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed and what works here: versions, CPU, instruction sets, engines, extras, programs.

    Exit code 1 if something that is installed does not work.
    """
    found: dict[str, Any] = {
        "binarynet": _about(),
        "engine": _engine(),
        "training": _training(),
        "gpu": _gpu(),
        "extras": list(_extras()),
        "programs": list(_programs()),
    }
    if as_json:
        show_json(found)
    else:
        _show(found)
    if not all(row.get("works", True) for row in (found["engine"], found["training"])):
        raise typer.Exit(1)


def _about() -> dict[str, Any]:
    from binarynet import __file__ as place
    from binarynet import __version__
    from binarynet.bench import machine
    from binarynet.environment import VARIABLES

    return {
        "version": __version__,
        "folder": str(Path(place).parent),
        "system": platform.platform(),
        **machine(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _engine() -> dict[str, Any]:
    """The native engine on each instruction set of this CPU, held to the oracle on a model that comes along."""
    try:
        import numpy as np

        from binarynet.data import load_split
        from binarynet.format import load
        from binarynet.graph import interpret
        from binarynet.runtime import Session, isa

        graph = load("digits")
        images = load_split("digits", "test").images[:_IMAGES]
        codes = images.transpose(0, 2, 3, 1).reshape(len(images), *graph.input.shape)
        expected = interpret(graph, codes)
        right = {
            name: bool(np.array_equal(Session(graph, isa=name).logits(images), expected)) for name in isa.available()
        }
        return {
            "works": all(right.values()),
            "used": isa.active(),
            "available": right,
            "not on this CPU": [name for name in isa.compiled() if name not in right],
            "threads": Session(graph).threads,
        }
    except Exception as error:  # whatever it is, the user is to see it here
        return {"works": False, "error": f"{type(error).__name__}: {error}"}


def _training() -> dict[str, Any]:
    """Products of training steps without floats: an extension of its own."""
    try:
        from binarynet import _training

        return {"works": True, "kernels": list(_training.kernels())}
    except ImportError as error:
        return {"works": False, "error": str(error)}


def _gpu() -> dict[str, Any]:
    """Whether the engine on GPUs can run, as far as that is known without a second of torch's import."""
    try:
        build = version("torch")
        version("triton")
    except PackageNotFoundError as error:
        return {"available": False, "why": f"no {error.name}: pip install 'binarynet[gpu]'"}
    if "+cpu" in build:
        return {"available": False, "why": f"torch {build} is a build for CPUs: pytorch.org has those for GPUs"}
    if not Path("/dev/nvidiactl").exists():
        return {"available": False, "why": "no GPU of NVIDIA, or no driver"}
    return {"available": True, "why": ""}


def _extras() -> Iterator[dict[str, Any]]:
    """Each package that an extra asks for, in the order of pyproject.toml."""
    for line in requires("binarynet") or ():
        match = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?([^;]*)(?:;(.*))?", line)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if match is None or (extra and extra[1] in _APART) or match[1] == "binarynet" or not _here(match[4] or ""):
            continue
        wanted = match[3].strip(" ()")
        name = extra[1] if extra else "base"
        try:
            has: str | None = version(match[1])
        except PackageNotFoundError:
            has = None
        fits = has is not None and _fits(has, wanted)
        mend = f"pip install 'binarynet[{name}]'" if extra else f"pip install '{match[1]}{wanted}'"
        if match[1] == "torch" and platform.system() == "Linux" and has is None:
            mend = "torch's CPU build first (pytorch.org), then " + mend
        elif has is not None:
            mend = f"pip install --upgrade '{match[1]}{wanted}'"
        yield {
            "extra": name,
            "package": match[1],
            "wanted": wanted,
            "found": has,
            "fits": fits,
            "mend": None if fits else mend,
        }


def _here(marker: str) -> bool:
    """Whether a requirement is meant for this system, of the markers that pyproject.toml has."""
    system = re.search(r"platform_system == ['\"](\w+)['\"]", marker)
    return system is None or system[1] == platform.system()


def _fits(has: str, wanted: str) -> bool:
    """Whether a version is within bounds such as ``>=1.16,<1.23``."""

    def numbers(text: str) -> list[int]:
        release = re.match(r"\d+(?:\.\d+)*", text)
        found = [int(part) for part in release[0].split(".")] if release else [0]
        return found + [0] * (6 - len(found))

    for sign, bound in re.findall(r"(>=|<)\s*([\d.]+)", wanted):
        if (numbers(has) >= numbers(bound)) != (sign == ">="):
            return False
    return True


def _programs() -> Iterator[dict[str, Any]]:
    for name, (use, package) in PROGRAMS.items():
        place = shutil.which(name)
        yield {"program": name, "use": use, "found": place, "mend": None if place else f"apt install {package}"}


def _show(found: dict[str, Any]) -> None:
    about, engine, training = found["binarynet"], found["engine"], found["training"]
    console.print(f"binarynet {about['version']} in {about['folder']}")
    console.print(f"Python {about['python']}, numpy {about['numpy']}, {about['system']}")
    console.print(f"{about['processor']}, {about['cores']} CPUs for this process")
    for name, value in about["variables"].items():
        console.print(f"{name}={value}")
    console.print()
    if engine.get("error"):
        console.print(f"native engine: FAILS: {engine['error']}")
    else:
        sets = ", ".join(f"{name}{'' if right else ' (WRONG)'}" for name, right in engine["available"].items())
        verdict = "equal to the oracle" if engine["works"] else "NOT equal to the oracle"
        console.print(f"native engine: {sets}; {verdict}. Used: {engine['used']}, {engine['threads']} threads")
        if engine["not on this CPU"]:
            console.print(f"not on this CPU: {', '.join(engine['not on this CPU'])}")
    kernels = ", ".join(training.get("kernels", ()))
    console.print(f"training kernels: {kernels or 'FAIL: ' + str(training.get('error', 'none on this CPU'))}")
    console.print(f"GPU engine: {'there' if found['gpu']['available'] else found['gpu']['why']}")
    console.print()
    table = Table("extra", "package", "wanted", "found", "how to get it", keys=2)
    for row in found["extras"]:
        table.add_row(row["extra"], row["package"], row["wanted"], row["found"] or "missing", row["mend"] or "")
    console.print(table)
    console.print()
    table = Table("program", "for", "found", "how to get it")
    for row in found["programs"]:
        table.add_row(row["program"], row["use"], row["found"] or "missing", row["mend"] or "")
    console.print(table)
