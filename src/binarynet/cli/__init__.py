"""The command line: ``demo · recipes · train · eval · lower · inspect · run · verify · export · import · bench``."""

from binarynet.cli.streams import main

__all__ = ["main"]
