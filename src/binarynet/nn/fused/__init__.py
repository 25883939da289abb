"""What a training step of binary layers does on a CPU beside torch's own way: the same numbers, in fewer passes.

| products       | the product of a binary layer, forwards and backwards; which way it goes               |
| packed_input   | the input as bits or bytes, for the product and for the backward pass                  |
| packed_product | operands as bits                                                                       |
| matrix_unit    | operands as bf16 tiles, on CPUs with a matrix unit                                     |
| norm, pool     | BatchNorm, with the sign behind it, and MaxPool2d(2)                                   |
| sequential     | `Sequential`, `fused`: these and dropout taken together                                |
| arena          | the memory of large tensors that live no longer than a step                            |
| record         | what ran each product, and how long                                                    |

`nn/native.py` is the gate to the native code that they call.
"""
