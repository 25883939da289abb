"""Reports: what a model is made of, whether the engines agree, and how long it takes."""

from binarynet.report.agreement import Agreement, compared, has_real_products, oracle_logits, with_native, with_torch
from binarynet.report.layers import TimedStep, timed_steps
from binarynet.report.summary import Expected, Layer, Summary, summarise
from binarynet.report.timing import Timing, interleaved, machine

__all__ = [
    "Agreement",
    "Expected",
    "Layer",
    "Summary",
    "TimedStep",
    "Timing",
    "compared",
    "has_real_products",
    "interleaved",
    "machine",
    "oracle_logits",
    "summarise",
    "timed_steps",
    "with_native",
    "with_torch",
]
