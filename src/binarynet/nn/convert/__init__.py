"""`convert(module)`: a plain torch model made binary in place.

| convert  | which layers become binary, what is inserted, what is reported |
| dataflow | who feeds whom in the model                                    |
"""

from binarynet.nn.convert.convert import Change, ConvertConfig, ConvertReport, convert

__all__ = ["Change", "ConvertConfig", "ConvertReport", "convert"]
