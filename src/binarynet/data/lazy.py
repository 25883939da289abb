"""Packages that only some data sets need, imported when one asks, so that importing this package is quick."""

from __future__ import annotations

import importlib
from typing import Any

from binarynet.errors import DataError


def need(module: str, package: str, purpose: str) -> Any:
    """The imported `module`; or a `DataError` that says how to get its `package`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{purpose} needs {package}: pip install {package}") from error
