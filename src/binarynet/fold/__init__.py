"""The fold: what a network computes, step by step → the integer graph. Torch modules and ONNX files share it.

| place      | where a step stands in the network: what a message names, and how it refuses     |
| link       | one elementwise layer that is not an op yet                                      |
| pending    | a graph value and the links applied to it since                                  |
| quantizer  | numbers → few whole numbers                                                      |
| folder     | the ops made so far; a pending value becomes codes or reals                      |
| operand    | what a product reads of a pending value                                          |
| weights    | weights as whole numbers and what one of them is worth                           |
| pairs      | filters of two numbers; borders of a 0 that lies between two codes               |
| products   | linear and convolutional layers: weights become integers, what scales them links |
| pools      | largest and sums under a window                                                  |
| shapes     | flatten, and the views that change no number                                     |
| moves      | slices, permutations, repetitions, paddings: where each number comes from        |
| transposed | transposed convolutions                                                          |
| joins      | several pending values become one                                                |
| answers    | what the network answers becomes the last op                                     |
| proof      | the finished graph against what the network itself computed, step by step        |

A door (`binarynet.lower`, `binarynet.importer`) records what its network does, and has a table from its operators to
the functions of this package. Numpy only.
"""

from binarynet.fold.folder import Folder
from binarynet.fold.link import Link
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.fold.proof import Proof
from binarynet.fold.quantizer import Quantizer
from binarynet.fold.weights import Weight

__all__ = ["Folder", "Link", "Pending", "Place", "Proof", "Quantizer", "Weight"]
