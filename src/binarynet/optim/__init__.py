"""Optimizer-side logic of binarized networks: how latent weights move.

| adam     | `Adam`, `AdamW`, torch's, which clip latent weights in the pass over memory that steps them |
| sgd      | `SGD`, alike                                                                     |
| one_pass | what both share                                                                  |
| latent   | `latent_optimizer` (step scale and clip for any torch optimizer), `glorot_scale` |
| schedule | `geometric_decay`, `cosine_decay`                                                |
"""

from binarynet.optim.adam import Adam, AdamW
from binarynet.optim.latent import glorot_scale, latent_optimizer
from binarynet.optim.schedule import cosine_decay, geometric_decay
from binarynet.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "cosine_decay", "geometric_decay", "glorot_scale", "latent_optimizer"]
