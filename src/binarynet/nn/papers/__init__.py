"""Layers and losses that one paper needs, one paper a file.

| expectation_backprop | layers of random weights, and the probit loss                                 |
| sampled_networks     | networks drawn from those weights, and their mean answer                      |
| bitwise              | the layer and the network that go through two stages                          |
| few_multiplications  | layers whose weight gradients are shifts                                      |
| k_map                | XNOR-Net's K                                                                  |
| gradient             | DoReFa-Net's and XNOR-Net's gradients of few bits                             |
| rewards              | the unbiased gradient of neurons that are drawn                               |
| shift_norm           | batch normalisation by shifts                                                 |
| connections          | neurons of few inputs, and thermometers; no paper's                           |
"""
