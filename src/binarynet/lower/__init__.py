"""Lowering: a trained torch module → the integer graph.

| record      | run the module and write down every operator of torch, with all arguments |
| step        | one of them                                                                |
| rules       | operator → rule                                                            |
| elementwise | rules of arithmetic, norms, clips, quantizers                              |
| structure   | rules of products, pools, views, pads                                      |
| lower       | record, fold, prove: the order of the lines in `lower` is the design       |
"""

from binarynet.lower.lower import lower

__all__ = ["lower"]
