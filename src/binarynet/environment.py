"""Every variable of the environment that means something to this package, in one place.

Python reads them through `read`; the native code reads its own by ``getenv``, and a test holds both to this table and
docs/environment.md to it.
"""

from __future__ import annotations

import os

VARIABLES: dict[str, str] = {
    "BINARYNET_DATA": "the folder where data sets are; without it they are downloaded, if that is possible",
    "BINARYNET_ZOO": "where the models of the zoo are, a folder or an address; without it the zoo/ of a checkout",
    "BINARYNET_ISA": "the instruction set of the engine, such as avx2; without it the best that the CPU has",
    "BINARYNET_KERNEL": "what every Linear and Conv2d must run on, such as popcount; without it the cheapest for each",
    "BINARYNET_NUM_THREADS": "threads of the engine; without it OMP_NUM_THREADS, else the CPUs of the process",
    "BINARYNET_LIMITS": "what a file may ask for, such as macs=1e12,memory=8e9; see docs/format.md",
    "BINARYNET_TRAINING": "what multiplies in training, an instruction set or torch; without it the best",
    "BINARYNET_GRADIENTS": "how gradients enter products in training: float32, bf16, int8, or 1 to 8 bits",
}


def read(name: str) -> str:
    """The text of a variable of `VARIABLES`, empty where it is not set. `KeyError` for one that is not listed."""
    if name not in VARIABLES:
        raise KeyError(f"{name} is not in binarynet.environment.VARIABLES")
    return os.environ.get(name, "")


def page() -> str:
    """The table of docs/environment.md."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    return "\n".join(["| variable | what it says |", "|---|---|", *rows])
