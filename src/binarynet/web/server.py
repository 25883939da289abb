"""Serves the page on this machine: the files of `contents` and nothing else, whatever path is asked for."""

from __future__ import annotations

from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from binarynet.web.files import TYPES, contents

START = "page/index.html"
# What the page may do: run its own scripts and the engine, and ask this server; no other host, no plug-ins, no frames.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "binarynet", ""
    timeout = 30

    def __init__(self, table: dict[str, Path | bytes], *arguments: Any) -> None:
        self.table = table
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        if path in ("", "page", "page/"):
            return self._send(302, b"", {"Location": f"/{START}"}, with_body)
        content = self.table.get(path)
        try:
            body = content.read_bytes() if isinstance(content, Path) else content
        except OSError:
            body = None
        if body is None:
            return self._send(404, b"There is no such file.\n", {"Content-Type": "text/plain"}, with_body)
        return self._send(200, body, {"Content-Type": TYPES[Path(path).suffix]}, with_body)

    def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in (HEADERS | headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: what a page asks for is of no interest."""


def server(host: str = "127.0.0.1", port: int = 0, given: dict[str, Path] | None = None) -> ThreadingHTTPServer:
    """A server of the page, not yet running; port 0 takes a free one (``server_address``).

    ``given``: further models, name → file. Raises OSError where the address cannot be had.
    """
    made = ThreadingHTTPServer((host, port), partial(_Handler, contents(given)))
    made.daemon_threads = True
    return made
