"""Everything that a GPU is asked, in one command of at most 485 s: make gpu-check

Each part is a process with a time limit of its own, so that one that hangs or crashes costs the others nothing; parts
write their files while they measure, and the folder is gathered anew after every part, so that a kill loses nothing.
No network is needed. Without a GPU each part says why it did nothing, and the exit code is 0; with one it is 1 if a
part failed.

    python benchmarks/gpu/check.py [--out FOLDER] [--seconds 485] [--only install,rate,…]

The folder (``$OUT``, else runs/gpu) then holds summary.txt, tables.md, rate.jsonl and parts.tgz with every log.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
UNAVAILABLE = 2  # how binarynet ends where what is asked cannot be done here
# The measurements that become one page, in this order.
PAGES = ("square", "few", "mlp", "convnet", "train")


@dataclass(frozen=True)
class Part:
    """``optional`` parts run only while their limit still fits into what is left of the whole time."""

    name: str
    limit: int
    command: tuple[str, ...]
    optional: bool = False


def parts(folder: Path) -> list[Part]:
    """What is run, in order: what decides most comes first."""

    def bench(name: str, limit: int, *options: str) -> Part:
        none = {"--sizes": "none", "--rows": "none", "--networks": "none"}
        for option, value in zip(options[::2], options[1::2], strict=True):
            none[option] = value
        flat = [text for pair in none.items() for text in pair]
        return Part(
            name, limit, (sys.executable, "-m", "binarynet.cli", "bench", "gpu", "--out", str(folder / name), *flat)
        )

    return [
        Part("install", 70, (sys.executable, str(HERE / "install.py"))),
        Part("rate", 25, (sys.executable, str(HERE / "rate.py"), str(folder / "rate.jsonl"))),
        bench("square", 85, "--sizes", "8192,4096,2048"),
        bench("few", 60, "--rows", "1,16,4"),
        bench("mlp", 70, "--networks", "mlp", "--batches", "1,256,4096,16"),
        bench("convnet", 80, "--networks", "convnet", "--batches", "1,64,1024"),
        Part(
            "tests",
            95,
            (
                sys.executable,
                "-m",
                "pytest",
                "-m",
                "gpu",
                "tests/gpu/test_hardware.py",
                "-q",
                "-rs",
                *_pytest_options(),
            ),
        ),
        Part("train", 90, (sys.executable, str(HERE / "train.py"), str(folder / "train.json")), optional=True),
    ]


def _pytest_options() -> list[str]:
    """Without plug-ins that write or time; what another version of torch warns about is no failure here."""
    options = ["-p", "no:benchmark", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]
    found = subprocess.run([sys.executable, "-c", "import xdist"], capture_output=True, check=False)
    return [*options, *(["-n", str(min(8, os.cpu_count() or 1))] if found.returncode == 0 else [])]


def has_gpu(environment: dict[str, str]) -> bool:
    ask = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    return (
        subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, check=False).returncode == 0
    )


def run(part: Part, folder: Path, environment: dict[str, str]) -> tuple[int | None, float]:
    """Exit code, or None where the limit ended it; and seconds."""
    start = time.monotonic()
    with (folder / f"{part.name}.log").open("w") as log:
        child = subprocess.Popen(
            part.command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code: int | None = child.wait(part.limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(child)
    return code, time.monotonic() - start


def _end(child: subprocess.Popen[bytes]) -> None:
    """The process and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def told(part: Part, code: int | None, seconds: float, folder: Path, gpu: bool) -> tuple[str, bool]:
    """One line on how a part went, and whether it failed."""
    lines = [line.strip() for line in (folder / f"{part.name}.log").read_text(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "it printed nothing")
    if code is None:
        return f"{part.name}: stopped after {part.limit} s; {last}", True
    if code == UNAVAILABLE and not gpu:
        return f"{part.name}: did nothing: {last}", False
    if code == 0 and part.name == "install":
        return f"{part.name}: {last}, {seconds:.0f} s of {part.limit}", False
    if code == 0 and part.name == "tests" and not gpu:
        skipped = next((line for line in lines if line.startswith("SKIPPED")), last)
        return f"{part.name}: did nothing: {skipped}", False
    state = "done" if code == 0 else f"failed (exit code {code}); {last}"
    return f"{part.name}: {state}, {seconds:.0f} s of {part.limit}", code != 0


def gather(folder: Path, out: Path, summary: list[str]) -> None:
    """The files that a reader wants first, and everything in one archive."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.txt").write_text("\n".join(summary) + "\n")
    pages = [page for name in PAGES for page in (sorted((folder / name).glob("*.md")) or [folder / f"{name}.md"])]
    (out / "tables.md").write_text("\n".join(page.read_text() for page in pages if page.exists()))
    rate = folder / "rate.jsonl"
    (out / "rate.jsonl").write_text(rate.read_text() if rate.exists() else "")
    with tarfile.open(out / "parts.tgz", "w:gz") as archive:
        archive.add(folder, "parts", filter=lambda one: None if "triton" in one.name.split("/") else one)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or ROOT / "runs" / "gpu"))
    parser.add_argument("--seconds", type=int, default=485, help="time for all parts; optional ones run while it lasts")
    parser.add_argument("--only", default="", help="names of parts, separated by commas")
    given = parser.parse_args(arguments)
    folder = (ROOT / "runs" / "gpu-parts").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TRITON_CACHE_DIR": str(folder / "triton")}
    environment.pop("TRITON_INTERPRET", None)
    # Before anything is installed, and where that fails, the sources serve: kernels are compiled when they are called.
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    start, summary, failed = time.monotonic(), [], False
    gpu = has_gpu(environment)
    chosen = [one.strip() for one in given.only.split(",") if one.strip()]
    for part in parts(folder):
        if chosen and part.name not in chosen:
            continue
        left = given.seconds - (time.monotonic() - start)
        if gpu and part.optional and left < part.limit:
            line, bad = f"{part.name}: left out: {left:.0f} s are left, and it may take {part.limit}", False
        else:
            line, bad = told(part, *run(part, folder, environment), folder, gpu)
        failed |= bad
        summary.append(line)
        print(line, flush=True)
        gather(folder, given.out, summary)
    summary.append(f"{time.monotonic() - start:.0f} s in all; {'a GPU' if gpu else 'no GPU'}")
    gather(folder, given.out, summary)
    print(summary[-1], f"→ {given.out}", flush=True)
    tables = (given.out / "tables.md").read_text()
    if tables:
        print(tables)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
