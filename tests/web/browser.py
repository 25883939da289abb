"""The page in headless Chromium, served as `binarynet play` serves it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from binarynet.web import server

PATIENCE = 60  # seconds: a busy machine


def chromium() -> str | None:
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def lacking() -> str:
    """Why the page cannot be tried here; empty if it can."""
    missing = [] if chromium() else ["no chromium (Debian package chromium)"]
    if find_spec("playwright") is None:
        missing.append("no playwright (pip install playwright)")
    return "; ".join(missing)


@contextmanager
def browser() -> Iterator[Any]:
    """A running Chromium. Skips where there is none."""
    if reason := lacking():
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield made
        made.close()


@contextmanager
def served(given: dict[str, Path] | None = None) -> Iterator[str]:
    """The address of the page."""
    with server(given=given) as pages:
        thread = threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{pages.server_address[1]}"
        pages.shutdown()
        thread.join()


@contextmanager
def page(browser: Any, address: str, width: int = 1200, height: int = 900, **options: Any) -> Iterator[Any]:
    """The page as it stands once it has answered; whatever it logs, throws or asks elsewhere fails the test."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    opened = context.new_page()
    opened.wrong = []
    opened.on("pageerror", lambda error: opened.wrong.append(f"thrown: {error}"))
    opened.on("console", lambda said: opened.wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith((address, "data:")) else opened.wrong.append(f"asks {asked.url}"),
    )
    opened.goto(address)
    until(lambda: answer(opened) not in ("", "…"), "the page answers", opened)
    yield opened
    assert opened.wrong == []
    context.close()


def answer(page: Any) -> str:
    return str(page.text_content("#answer"))


def until(true: Callable[[], object], what: str, page: Any) -> None:
    """Waits, since the page's policy lets nobody evaluate text in it, not even to wait there."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s. {page.text_content('#problem')} {page.wrong}"
        page.wait_for_timeout(30)
