"""Files and graphs that nobody wrote: whatever they hold, the answer is right, or an error of this package.

``python -m tests.fuzz --seconds 600`` (``make fuzz SECONDS=600``) runs every target for its share of the time; the
tests run each a fixed number of times. A *target* makes an input from a seed, bytes that stand for themselves, and
tries it. What once failed is kept in ``corpus/TARGET`` and tried by the tests on every commit.
"""

import importlib.util
import os
import sys
from pathlib import Path

if folder := os.environ.get("BINARYNET_NATIVE"):  # a folder with the engine as another build made it: see the Makefile
    (file,) = Path(folder).glob("_native.*.so")
    spec = importlib.util.spec_from_file_location("binarynet._native", file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["binarynet._native"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["binarynet._native"])
