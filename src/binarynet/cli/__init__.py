"""The command line: ``demo data recipes new train eval lower inspect report run serve play export …``."""

from binarynet.cli.main import main

__all__ = ["main"]
