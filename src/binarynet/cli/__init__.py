"""The command line: ``demo recipes train eval lower inspect tune run verify export import bench doctor``."""

from binarynet.cli.main import main

__all__ = ["main"]
