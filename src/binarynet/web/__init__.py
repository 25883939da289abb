"""The page of ``binarynet play``: draw a digit, see the bits. Files alone; the network runs in the browser.

``npm`` is the package `binarynet` of npm (the engine as WebAssembly), ``page`` is the page. `copy` writes both with the
models beside them, as a site needs them; `server` serves them. See docs/browser.md.
"""

from binarynet.web.files import WASM, copy, package_version
from binarynet.web.server import server

__all__ = ["WASM", "copy", "package_version", "server"]
