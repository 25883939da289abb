"""The command line: ``demo data recipes new train eval lower inspect report run serve play export import bench doctor …``."""

from binarynet.cli.main import main

__all__ = ["main"]
