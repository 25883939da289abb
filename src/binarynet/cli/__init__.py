"""The command line: ``binarynet demo · recipes · train · eval · lower · inspect · run · verify · export · bench``."""

from binarynet.cli.app import main

__all__ = ["main"]
