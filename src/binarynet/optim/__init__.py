"""Optimizer-side logic of binarized networks: how latent weights move.

| adam     | `Adam`, torch's, which clips latent weights in the pass over memory in which it steps them |
| latent   | `latent_optimizer` (step scale and clip for any torch optimizer), `glorot_scale` |
| schedule | `geometric_decay`                                                                |
"""

from binarynet.optim.adam import Adam
from binarynet.optim.latent import glorot_scale, latent_optimizer
from binarynet.optim.schedule import geometric_decay

__all__ = ["Adam", "geometric_decay", "glorot_scale", "latent_optimizer"]
