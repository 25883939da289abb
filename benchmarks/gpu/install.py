"""Make `import binarynet` work with the Python that runs this, without a network: python install.py

Where the native engine is at hand, nothing is done. Else the package is installed with the build tools that are there,
or, where that fails, the two native modules are built beside the sources.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIP = ("-m", "pip", "install", "-q", "--no-index", "--no-build-isolation", "--no-deps", "-e", ".")


def ready() -> bool:
    """Asked of a new process: this one would not see what has just been installed."""
    return subprocess.run([sys.executable, "-c", "import binarynet._native"], cwd=ROOT, check=False).returncode == 0


def build() -> bool:
    """The modules by CMake alone."""
    nanobind = subprocess.run(
        [sys.executable, "-m", "nanobind", "--cmake_dir"], capture_output=True, text=True, check=False
    )
    folder = ROOT / "build" / "gpu-check"
    options = [
        "-DBINARYNET_PYTHON=ON",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dnanobind_DIR={nanobind.stdout.strip()}",
    ]
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(folder), *options],
        ["cmake", "--build", str(folder), "-j"],
    ):
        if subprocess.run(command, check=False).returncode:
            return False
    for made in [*folder.glob("_*.so"), *folder.glob("libbinarynet*.so")]:
        (ROOT / "src" / "binarynet" / made.name).write_bytes(made.read_bytes())
    return True


if __name__ == "__main__":
    if importlib.util.find_spec("binarynet") and ready():
        sys.exit(print("installed already") or 0)
    print("pip", *PIP[2:], flush=True)
    done = subprocess.run([sys.executable, *PIP], cwd=ROOT, check=False).returncode == 0 or build()
    works = done and ready()
    print("installed" if works else "no native engine, and without it the package cannot be imported")
    sys.exit(not works)
