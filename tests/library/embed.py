"""``make embed-check``: the library installed to a prefix, and programs of users built against it.

Both examples, by CMake and by pkg-config, with every compiler that is here: each must give the answers of the Python
session to all images, as bytes. Then the time and memory of a load and a first answer.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import binarynet
from binarynet.data import load_split
from binarynet.errors import DataError
from binarynet.format import load as load_graph
from binarynet.graph import interpret
from binarynet.models import find
from tests.library.building import ROOT, built

EXAMPLES = ROOT / "examples"
COMPILERS = (("gcc", "g++"), ("clang", "clang++"))
LOADS = 21


def install(prefix: Path) -> Path:
    """The library under a prefix."""
    _run("cmake", "--install", built(), "--prefix", prefix)
    return prefix


def built_by_cmake(example: str, compilers: tuple[str, str], prefix: Path, folder: Path) -> Path:
    """An example as its CMakeLists.txt builds it."""
    options = [f"-DCMAKE_C_COMPILER={compilers[0]}", f"-DCMAKE_CXX_COMPILER={compilers[1]}"]
    _run("cmake", "-S", EXAMPLES / example, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", *options)
    _run("cmake", "--build", folder)
    return folder / example


def built_by_pkg_config(compiler: str, prefix: Path, folder: Path) -> Path:
    """The C example with nothing but a compiler, strictly, and what pkg-config says."""
    (package,) = prefix.rglob("binarynet.pc")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(package.parent)}
    asked = ["pkg-config", "--cflags", "--libs", "binarynet"]
    flags = subprocess.run(asked, env=environment, check=True, capture_output=True, text=True).stdout.split()
    folder.mkdir(parents=True, exist_ok=True)
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-Wl,-rpath,{package.parents[1]}"]
    _run(compiler, *strict, EXAMPLES / "embed_c" / "main.c", "-o", folder / "embed_c", *flags)
    return folder / "embed_c"


def answers(program: Path, model: Path, images: np.ndarray, folder: Path) -> bytes:
    """What an example writes for these images."""
    (folder / "images").write_bytes(b"16 bytes of head" + images.tobytes())
    _run(program, model, folder / "images", "16", folder / "answers")
    return (folder / "answers").read_bytes()


def _run(*command: str | Path) -> str:
    words = [str(word) for word in command]
    if words[0] == "cmake":
        words[0] = str(Path(sys.executable).parent / "cmake")
    done = subprocess.run(words, capture_output=True, text=True)
    assert not done.returncode, f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def main() -> int:
    folder = ROOT / "build" / "embed"
    shutil.rmtree(folder, ignore_errors=True)
    prefix = install(folder / "prefix")
    name, images = _images()
    where, graph = find(name), load_graph(name)
    images = np.ascontiguousarray(images.reshape(len(images), *graph.input.shape))
    expected = binarynet.load(name).logits(images, layout="nhwc" if images.ndim == 4 else None)
    sample = slice(0, 1000)
    assert np.array_equal(expected[sample], interpret(graph, images[sample])), "the oracle differs"
    wrong = 0
    for compilers in COMPILERS:
        if not all(map(shutil.which, compilers)):
            print(f"skipped  {' and '.join(compilers)}: not here")
            continue
        made = {
            f"{name} by CMake": built_by_cmake(name, compilers, prefix, folder / f"{compilers[0]}-{name}")
            for name in ("embed_c", "embed_cpp")
        }
        if shutil.which("pkg-config"):
            made["embed_c by pkg-config"] = built_by_pkg_config(compilers[0], prefix, folder / f"{compilers[0]}-pc")
        for how, program in made.items():
            found = np.frombuffer(answers(program, where, images, folder), np.float32).reshape(expected.shape)
            equal = int(np.all(found.view(np.int32) == expected.view(np.int32), axis=1).sum())
            wrong += equal != len(images)
            print(f"{compilers[0]}: {how}: {equal:,} of {len(images):,} images of {name} have equal logits")
    _first_answer(prefix, where, images[:1], folder)
    return 1 if wrong else 0


def _images() -> tuple[str, np.ndarray]:
    """A model that comes along, and the test images of its data set, one channel each."""
    try:
        return "mnist-small", load_split("mnist", "test").images
    except DataError as error:
        print(f"digits instead of mnist-small: {error}")
        return "digits", load_split("digits", "test").images


def _first_answer(prefix: Path, model: Path, image: np.ndarray, folder: Path) -> None:
    """Seconds and memory of load and first answer, by a program of its own."""
    source = Path(__file__).with_name("first_answer.c")
    libraries = next(prefix.rglob("libbinarynet.a")).parent
    (folder / "image").write_bytes(image.tobytes())
    for how, flags in {
        "shared": [f"-L{libraries}", "-lbinarynet", f"-Wl,-rpath,{libraries}"],
        "static": ["-static", libraries / "libbinarynet.a", "-lstdc++", "-lm", "-pthread"],
    }.items():
        with tempfile.TemporaryDirectory() as scratch:
            program = Path(scratch) / "first_answer"
            _run("gcc", "-O2", source, "-o", program, f"-I{prefix / 'include'}", *flags)
            rows = [[float(word) for word in _run(program, model, folder / "image").split()] for _ in range(LOADS)]
        times = sorted(row[0] for row in rows)
        grown, whole = (statistics.median(row[column] for row in rows) / 1024 for column in (1, 2))
        print(
            f"{how}: load and first answer of {model.stem}, median of {LOADS} processes: "
            f"{statistics.median(times):.2f} ms ({times[0]:.2f} to {times[-1]:.2f}), {grown:.2f} MB more than before, "
            f"{whole:.2f} MB in all"
        )


if __name__ == "__main__":
    sys.exit(main())
