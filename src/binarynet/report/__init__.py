"""Reports: what a model is made of, whether the engines agree, and how long it takes."""

from binarynet.report.agreement import Agreement, has_real_products, oracle_logits, with_native, with_torch
from binarynet.report.summary import Layer, Summary, summarise
from binarynet.report.timing import Timing, interleaved, machine

__all__ = [
    "Agreement",
    "Layer",
    "Summary",
    "Timing",
    "has_real_products",
    "interleaved",
    "machine",
    "oracle_logits",
    "summarise",
    "with_native",
    "with_torch",
]
