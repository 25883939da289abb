"""The page of `binarynet play` in Chromium: drawn digits are read, bits are the oracle's, files are only text."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from binarynet.data import load_split
from binarynet.format import load, save
from binarynet.graph.interpret import trace
from binarynet.models import find
from tests.graph.graphs import small_convnet
from tests.web.browser import answer, browser, page, served, until

SEVEN = ((60, 60), (215, 60), (190, 120), (150, 180), (125, 240))
ONE = ((145, 40), (140, 140), (135, 245))
EVIL = "<img src=x onerror=document.title='taken'>"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as made:
        yield made


def box(opened: Any) -> tuple[float, float, float]:
    found = opened.locator("#pad").bounding_box()
    return found["x"], found["y"], found["width"] / 280


def draw(opened: Any, points: tuple[tuple[int, int], ...]) -> None:
    opened.click("#clear")
    x, y, scale = box(opened)
    opened.mouse.move(x + points[0][0] * scale, y + points[0][1] * scale)
    opened.mouse.down()
    for px, py in points[1:]:
        opened.mouse.move(x + px * scale, y + py * scale, steps=6)
    opened.mouse.up()


def test_what_is_drawn_with_the_mouse_is_read(chrome: Any) -> None:
    with served() as address, page(chrome, address) as opened:
        for points, digit in ((ONE, "1"), (SEVEN, "7"), (ONE, "1")):
            draw(opened, points)
            until(lambda digit=digit: answer(opened) == digit, f"a {digit} is a {digit}", opened)
        until(lambda: opened.text_content("#said") == "The answer is 1", "a screen reader is told", opened)
        rows = opened.locator("#bars tr")
        assert [row.split("\t")[0].strip() for row in rows.all_inner_texts()] == [str(i) for i in range(10)]
        assert "91,512 bytes" in opened.text_content("#numbers")


def test_a_finger_on_a_narrow_dark_screen_draws_as_well(chrome: Any) -> None:
    options = {"has_touch": True, "color_scheme": "dark", "is_mobile": True}
    with served() as address, page(chrome, address, 360, 740, **options) as opened:
        opened.tap("#clear")
        tool = opened.context.new_cdp_session(opened)
        x, y, scale = box(opened)
        for kind, points in [
            ("touchStart", ONE[:1]),
            *(("touchMove", (point,)) for point in ONE[1:]),
            ("touchEnd", ()),
        ]:
            places = [{"x": x + px * scale, "y": y + py * scale} for px, py in points]
            tool.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
        until(lambda: answer(opened) == "1", "a 1 is a 1", opened)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        paper, ink = opened.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert sum(map(int, paper[4:-1].split(","))) < 200 < 500 < sum(map(int, ink[4:-1].split(",")))


def test_the_keyboard_draws_and_reaches_every_part(chrome: Any) -> None:
    with served() as address, page(chrome, address) as opened:
        opened.focus("#pad")
        opened.keyboard.press("Delete")
        for _ in range(3):
            opened.keyboard.press("ArrowUp")
        opened.keyboard.press(" ")
        for _ in range(24):
            opened.keyboard.press("ArrowDown")
        opened.keyboard.press(" ")
        until(lambda: answer(opened) == "1", "a line is a 1", opened)
        reached = set()
        for _ in range(60):
            opened.keyboard.press("Tab")
            reached.add(
                opened.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''")
            )
        assert {"clear", "example", "picture", "centre", "models", "model"} <= reached
        assert any(name.startswith("sign1:") for name in reached)
        names = opened.evaluate(
            "[...document.querySelectorAll('canvas')].map((each) => each.getAttribute('aria-label'))"
        )
        assert all(names)


def test_neurons_counted_by_hand_are_those_of_the_engine(chrome: Any) -> None:
    with served() as address, page(chrome, address) as opened:
        draws = opened.locator("#layers details canvas")
        until(lambda: draws.count() > 8 and draws.nth(8).get_attribute("aria-label"), "layers are drawn", opened)
        counted = 0
        for index in range(draws.count()):
            canvas = draws.nth(index)
            canvas.focus()
            for key in ("ArrowRight", "ArrowDown", "PageDown", "PageDown", "ArrowDown"):
                before = opened.text_content("#hand-text")
                canvas.press(key)
                until(lambda before=before: opened.text_content("#hand-text") != before, "the count follows", opened)
                said = opened.text_content("#hand-text")
                assert "but the engine says" not in said, said
                counted += said.endswith("as the engine says.")
        assert counted >= 35  # seven and more layers of thresholds
        draws.nth(1).focus()
        draws.nth(1).press("ArrowUp")
        draws.nth(1).press("ArrowUp")
        until(lambda: "outside the image" in opened.text_content("#hand-text"), "the padding counts nothing", opened)


def test_the_engine_in_chromium_sees_in_every_layer_what_the_oracle_sees(chrome: Any) -> None:
    graph = load(find("digits"))
    digits = load_split("digits", "test").images[:50]
    codes = np.ascontiguousarray(digits.reshape(len(digits), *graph.input.shape))
    expected = trace(graph, codes)
    ask = """async ([images, ops]) => {
        const { load } = await import("/npm/index.js");
        const bytes = new Uint8Array(await (await fetch("/models/digits.bnn")).arrayBuffer());
        const found = {};
        for (const output of ops) found[output] = [...(await load(bytes, { output })).run(Uint8Array.from(images))];
        return found;
    }"""
    with served() as address, page(chrome, address) as opened:
        found = opened.evaluate(ask, [codes.reshape(-1).tolist(), [op.name for op in graph.ops[1:]]])
    for name, numbers in found.items():
        assert np.array_equal(np.asarray(numbers, expected[name].dtype), expected[name].reshape(-1)), name


def test_text_of_a_file_is_text(chrome: Any, tmp_path: Path) -> None:
    graph = small_convnet()
    names = {op.name: f"{op.name}{EVIL}" for op in graph.ops}
    ops = tuple(
        replace(op, name=names[op.name], sources=tuple(names[source] for source in op.sources)) for op in graph.ops
    )
    count = trace(graph, np.zeros((1, *graph.input.shape), np.uint8))[graph.output.name].shape[-1]
    evil = replace(graph, ops=ops, meta={**graph.meta, "classes": "\n".join(f"{EVIL}{i}" for i in range(count))})
    save(evil, tmp_path / "evil.bnn")
    with served({f"evil{EVIL}": tmp_path / "evil.bnn"}) as address, page(chrome, address) as opened:
        assert answer(opened).startswith(EVIL)
        assert EVIL in opened.text_content("#layers")
        assert opened.locator("img").count() == 0
        assert opened.title() != "taken"


def test_files_are_taken_or_refused_in_a_line(chrome: Any, tmp_path: Path) -> None:
    damaged = bytearray(find("digits").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged.bnn").write_bytes(damaged)
    (tmp_path / "note.txt").write_text("no picture")
    with served() as address, page(chrome, address) as opened:
        for part, name, told in (("model", "damaged.bnn", "checksum"), ("picture", "note.txt", "is no picture")):
            opened.set_input_files(f"#{part}", tmp_path / name)
            until(lambda told=told: told in opened.text_content("#problem"), f"{name} is refused", opened)
        opened.set_input_files("#model", find("digits"))
        until(lambda: "78,848 bytes" in opened.text_content("#numbers"), "another model is taken", opened)
        assert opened.text_content("#problem") == ""
        opened.locator("#pad").screenshot(path=tmp_path / "seven.png")
        opened.select_option("#models", "mnist-small")
        opened.click("#clear")
        opened.set_input_files("#picture", tmp_path / "seven.png")
        opened.check("#centre")
        until(lambda: answer(opened) == "7", "a picture of a 7 is a 7", opened)


def test_the_server_gives_its_files_and_nothing_else() -> None:
    with served() as address:
        host = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)

        def ask(path: str, method: str = "GET") -> http.client.HTTPResponse:
            host.request(method, path)
            found = host.getresponse()
            found.text = found.read()  # type: ignore[attr-defined]
            return found

        assert ask("/").headers["Location"] == "/page/index.html"
        shown = ask("/page/index.html")
        assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        assert ask("/npm/binarynet.wasm", "HEAD").headers["Content-Type"] == "application/wasm"
        for path in (
            "/../pyproject.toml",
            "/page/../server.py",
            "/npm/%2e%2e/server.py",
            "/server.py",
            "//etc/passwd",
            "/npm",
        ):
            assert ask(path).status == 404, path
        host.request("POST", "/")
        assert host.getresponse().status == 501
        host.close()
