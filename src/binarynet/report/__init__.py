"""Reports: what a model is made of, and whether the engines agree."""

from binarynet.report.agreement import Agreement, compared, has_real_products, oracle_logits, with_native, with_torch
from binarynet.report.summary import Expected, Layer, Summary, summarise

__all__ = [
    "Agreement",
    "Expected",
    "Layer",
    "Summary",
    "compared",
    "has_real_products",
    "oracle_logits",
    "summarise",
    "with_native",
    "with_torch",
]
