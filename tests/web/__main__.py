"""All of `make web-check` that is not built: every test image in node and in Chromium, sizes, the page, ratios.

    python -m tests.web [--pictures]        with --pictures the screenshots of docs/images are made anew

The MNIST test images are read from BINARYNET_DATA; without it the digits that come along are taken. What cannot be had
here is named and counted as skipped. Exit code 1 if an answer differs.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from binarynet.data import load_split
from binarynet.errors import DataError
from binarynet.format import load
from binarynet.graph import interpret
from binarynet.models import find
from binarynet.web import WASM
from tests.web import browser, node

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "wasm" / "binarynet.wasm"
ASK = """async ([name, count]) => {
    const { load } = await import("/npm/index.js");
    const model = await load(`/models/${name}.bnn`);
    const images = new Uint8Array(await (await fetch("/images")).arrayBuffer());
    return [...model.run(images)];
}"""
failed: list[str] = []
skipped: list[str] = []


def task() -> tuple[str, np.ndarray, np.ndarray]:
    """A model's name, its test images as codes, and what the oracle answers."""
    name, data = "mnist-small", "mnist"
    try:
        if not os.environ.get("BINARYNET_DATA"):
            raise DataError
        images = load_split(data, "test").images
    except DataError:
        skipped.append("MNIST: BINARYNET_DATA names no folder with it; the digits that come along were taken")
        name = data = "digits"
        images = load_split(data, "test").images
    graph = load(find(name))
    codes = np.ascontiguousarray(images.reshape(len(images), *graph.input.shape))
    expected = np.concatenate([interpret(graph, codes[first : first + 250]) for first in range(0, len(codes), 250)])
    return name, codes, expected


def compared(where: str, found: np.ndarray, expected: np.ndarray) -> None:
    equal = int((found.reshape(expected.shape) == expected).reshape(len(expected), -1).all(axis=1).sum())
    print(f"{where}: {equal:,} of {len(expected):,} answers equal the oracle's")
    if equal != len(expected):
        failed.append(where)


def sizes() -> None:
    files = json.loads((WASM.parent / "package.json").read_text(encoding="utf-8"))["files"]
    plain = sum((WASM.parent / name).stat().st_size for name in files)
    small = sum(len(gzip.compress((WASM.parent / name).read_bytes(), 9)) for name in files)
    print(f"the npm package: {plain:,} bytes, {small:,} compressed; the engine {WASM.stat().st_size:,}")
    if not BUILT.exists():
        skipped.append("the engine is not built here (make check-wasm): whether it is what lies in the package")
    elif BUILT.read_bytes() != WASM.read_bytes():
        failed.append("the engine in the package is not the one built of these sources: make wasm, and commit it")


def in_node(name: str, codes: np.ndarray, expected: np.ndarray) -> None:
    if reason := node.lacking():
        skipped.append(f"node: {reason}")
        return
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(codes.tobytes())
        opened = node.Node()
        found, _ = opened.ask(find(name), Path(file.name))
        opened.close()
    compared("node", found, expected)


def in_chromium(name: str, codes: np.ndarray, expected: np.ndarray, pictures: bool) -> None:
    if reason := browser.lacking():
        skipped.append(f"Chromium: {reason}")
        return
    with browser.browser() as chrome, browser.served() as address:
        with browser.page(chrome, address) as page:
            page.route("**/images", lambda route: route.fulfill(body=codes.tobytes()))
            found = np.asarray(page.evaluate(ASK, [name, len(codes)]), expected.dtype)
        compared(f"Chromium {chrome.version}", found, expected)
        if pictures:
            shoot(chrome, address)


def shoot(chrome: Any, address: str) -> None:
    for name, width, height, scheme in (
        ("play-wide", 1100, 1700, "light"),
        ("play-dark", 1100, 1700, "dark"),
        ("play-narrow", 360, 1500, "light"),
    ):
        with browser.page(chrome, address, width, height, color_scheme=scheme) as page:
            canvas = page.locator("#layers details canvas").nth(4)
            browser.until(lambda canvas=canvas: canvas.get_attribute("aria-label"), "layers are drawn", page)
            canvas.focus()
            for _ in range(5):
                canvas.press("ArrowDown")
            page.wait_for_timeout(700)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=ROOT / "docs" / "images" / f"{name}.png")


def ratios(name: str, codes: np.ndarray) -> None:
    lacks = node.lacking() or ("" if shutil.which("npm") else "no npm (Debian package npm)")
    if name != "mnist-small" or lacks:
        skipped.append(f"the ratio to onnxruntime-web and tfjs: {lacks or 'wants MNIST'}")
        return
    bench, modules = ROOT / "benchmarks" / "web", ROOT / "build" / "web"
    modules.mkdir(parents=True, exist_ok=True)
    shutil.copy(bench / "package.json", modules)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(modules)]
    if (done := subprocess.run(install, capture_output=True, text=True, check=False)).returncode:
        skipped.append(f"the ratio to onnxruntime-web and tfjs: npm has them not: {done.stderr.strip()[-200:]}")
        return
    subprocess.run([sys.executable, bench / "float_net.py", find(name), modules / "float.onnx"], check=True)
    (modules / "images").write_bytes(codes[:16].tobytes())
    command = ["node", bench / "compare.mjs", modules, find(name), modules / "float.onnx", modules / "images"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    print("\nmicroseconds an image, from bytes to logits, one thread of node; × beside binarynet, medians and lowest")
    for row in rows:
        print(
            f"  {row['images']:3} at once  {row['engine']:16} {row['median']:10,.0f}  ({row['lowest']:,.0f} … "
            f"{row['ninety']:,.0f})  {row['ratio']:6.1f} ×  {row['ratioOfLowest']:6.1f} ×"
        )


def main() -> int:
    sizes()
    name, codes, expected = task()
    in_node(name, codes, expected)
    in_chromium(name, codes, expected, "--pictures" in sys.argv[1:])
    ratios(name, codes)
    for reason in skipped:
        print(f"web-check: 1 skipped: {reason}")
    for reason in failed:
        print(f"web-check: FAILED: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
