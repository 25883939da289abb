"""``binarynet serve``: models behind HTTP, by the Open Inference Protocol v2, on LitServe. See docs/server.md."""

from binarynet.serve.protocol import Limits
from binarynet.serve.server import serve

__all__ = ["Limits", "serve"]
