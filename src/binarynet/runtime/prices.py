"""Whose prices a plan is made with: this machine's, where ``binarynet tune`` has measured them, or those built in.

A price is what one count of native/kernels/counts.inc takes, in nanoseconds of one thread. From prices follow the
kernel of each layer and the times that ``binarynet inspect`` expects. Answers never depend on them.

The file is JSON, in the user's cache, and is written whole or not at all. One that is damaged, of another processor or
of another version's counts is left aside, and `source` says so.
"""

from __future__ import annotations

import json
import math
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

from binarynet import _native
from binarynet.atomic import write

_INTEL, _OTHERS = "an Intel Xeon (Sapphire Rapids)", "an AMD EPYC (Zen 5)"
_MOST_BYTES = 1 << 20


def file() -> Path:
    """Where the prices of this machine are kept: ``binarynet/prices.json`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "binarynet" / "prices.json"


def processor() -> str:
    """The name of this machine's processor."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def keep(prices: dict[str, dict[str, float]], when: str) -> Path:
    """Write prices (instruction set → count → nanoseconds) measured at a date, and use them from now on.

    Raises:
        OSError: the file cannot be written.
    """
    target = file()
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {"processor": processor(), "measured": when, "prices": prices}
    write(target, json.dumps(content, indent=1) + "\n")
    use.cache_clear()
    use()
    return target


@cache
def use() -> tuple[dict[str, str], str]:
    """Give the engine the prices of `file`, once a process: (instruction set → date, why the file is left aside)."""
    path = file()
    try:
        if not path.is_file():
            return {}, ""
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        found, when = _checked(content)
    except (OSError, ValueError, RecursionError) as error:
        return {}, f"{path} is left aside: {str(error) or type(error).__name__}; `binarynet tune` writes it anew"
    for isa, prices in found.items():
        _native.use_prices(isa, prices)
    return dict.fromkeys(found, when), ""


def _checked(content: Any) -> tuple[dict[str, dict[str, float]], str]:
    """The prices in a file, of instruction sets that this CPU has, and their date. ValueError for anything else."""
    if not isinstance(content, dict) or not isinstance(content.get("prices"), dict):
        raise ValueError("it holds no prices")
    if content.get("processor") != processor():
        raise ValueError("its prices are of another processor")
    when = content.get("measured")
    if not isinstance(when, str) or len(when) > 40 or not when.isprintable():
        raise ValueError("it does not say when they were measured")
    found: dict[str, dict[str, float]] = {}
    for isa, prices in content["prices"].items():
        if isa not in _native.available():
            continue
        if not isinstance(prices, dict) or set(prices) != set(_native.prices(isa)):
            raise ValueError("its prices are of other counts, as another version of binarynet writes them")
        for price in prices.values():
            if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < 1e12:
                raise ValueError("one of its prices is none")
        found[isa] = {name: float(price) for name, price in prices.items()}
    return found, when


def source(isa: str | None) -> str:
    """One line for people: whose prices the plans of an instruction set are made with."""
    tuned, aside = use()
    if isa is None:
        return "no prices: another engine"
    if isa in tuned:
        return f"prices of this machine, measured {tuned[isa]}"
    of_intel = isa == "amx" or (isa in ("avx512", "avx2") and "Intel" in processor())
    built_in = f"prices of {_INTEL if of_intel else _OTHERS}; `binarynet tune` measures this machine's"
    return f"{built_in} ({aside})" if aside else built_in


def spread(ratios: list[float]) -> tuple[float, float, float]:
    """Of expected ÷ measured: the median, and between what 80 % of the steps lie."""
    ordered = sorted(ratios)
    at = [ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))] for share in (0.1, 0.5, 0.9)]
    return at[1], at[0], at[2]
