"""`convert(module)`: a plain torch model made binary in place.

| config   | what it is asked for, and what it reports                   |
| dataflow | who feeds whom in the model                                 |
| plan     | what becomes of each module                                 |
| convert  | the change itself                                           |
"""

from binarynet.nn.convert.config import Change, ConvertConfig, ConvertReport
from binarynet.nn.convert.convert import convert

__all__ = ["Change", "ConvertConfig", "ConvertReport", "convert"]
