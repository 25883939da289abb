"""Pictures of what is trained and run: quantizers, filters, histories, and what every layer sees, as bits.

Each function returns a matplotlib `Figure`, which a notebook shows and ``figure.savefig`` writes.
"""

from binarynet.plot.bits import bits as bits
from binarynet.plot.filters import filters as filters
from binarynet.plot.history import history as history
from binarynet.plot.quantizer import quantizer as quantizer

__all__ = ["bits", "filters", "history", "quantizer"]
