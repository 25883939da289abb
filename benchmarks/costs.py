"""Fit the prices of native/kernels/costs to this machine, and say how well they predict what was measured.

    python benchmarks/costs.py [--write] [instruction set …]

What `binarynet tune` does in seconds, in minutes: more batches, longer (`binarynet.runtime.tune`). With --write the
numbers go into native/kernels/costs/<instruction set>.inc or, on a processor of Intel and where there is that file,
<instruction set>-intel.inc; then build again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from binarynet import _native
from binarynet.errors import run_script
from binarynet.runtime.prices import processor, spread
from binarynet.runtime.tune import tune

COSTS = Path(__file__).parents[1] / "native" / "kernels" / "costs"
HEAD = """\
// PRICE(count of counts.inc, nanoseconds of one thread; 0: not used, or too cheap to see)
// Written by `python benchmarks/costs.py`, which fits the prices to the measured times of many small networks.
"""
BATCHES = (1, 2, 4, 8, 16, 24, 48, 100, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the prices into native/kernels/costs")
    parser.add_argument("--worst", type=int, default=0, help="how many of the steps to show that are predicted worst")
    parser.add_argument("isa", nargs="*", help="default: all that this CPU has")
    options = parser.parse_args()
    for isa in options.isa or _native.available():
        prices, steps = tune(isa, milliseconds=3, batches=BATCHES, most=20e9)
        middle, low, high = spread([ratio for ratio, _, _ in steps])
        print(f"{isa}: {len(steps)} steps; expected ÷ measured {middle:.2f}, of 80 % {low:.2f} … {high:.2f}")
        for ratio, seconds, step in sorted(steps, key=lambda each: -abs(np.log(each[0])))[: options.worst]:
            print(f"    {ratio:5.2f}  {seconds * 1e6:9.1f} µs  {step}")
        lines = HEAD + "".join(f"PRICE({name}, {price:.3g})\n" for name, price in prices.items())
        print(lines)
        if options.write:
            of_intel = COSTS / f"{isa}-intel.inc"
            ours = of_intel if "Intel" in processor() and of_intel.exists() else COSTS / f"{isa}.inc"
            ours.write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    run_script(main)
