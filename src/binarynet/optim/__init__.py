"""Optimizer-side logic of binarized networks: how latent weights move.

| latent   | `latent_optimizer` (step scale and clip for any torch optimizer), `glorot_scale` |
| schedule | `geometric_decay`                                                                |
"""

from binarynet.optim.latent import glorot_scale, latent_optimizer
from binarynet.optim.schedule import geometric_decay

__all__ = ["geometric_decay", "glorot_scale", "latent_optimizer"]
