"""GPU: the papers' binary matrix kernel, done again in Triton for today's chips. ``Session(graph, device="cuda")``.

===================== =====================================================================================
`network.Network`     a graph on a device, tensors in and out
`runner.Runner`       arrays in and out, batches, CUDA graphs: what `binarynet.Session` uses
`product.Product`     one Linear or Conv2d: packed weights, borders, methods ``xnor``, ``dot``, ``int8``, ``wgmma``
`ops`                 ``torch.ops.binarynet.*``: pack, xnor_gemm, bit_gemm_dot, flat_gemm_dot, pool_bits, …
`xnor`                kernels on the CUDA cores: xor and popcount
`dot`, `flat`         kernels on the tensor cores: bits become int8 in registers, or were made so before
`one_bit`             the kernel on Hopper's one-bit tensor cores, CUDA C++ that `driver` compiles and launches
`pointwise`           kernels that make no products
`baseline`            the float kernels that the papers compared with
===================== =====================================================================================

It needs torch and triton: ``pip install 'binarynet[gpu]'``; on Linux, torch builds for CUDA bring triton.
"""

from __future__ import annotations

from binarynet.errors import RuntimeUnavailable

try:
    import torch  # noqa: F401
    import triton  # noqa: F401
except ModuleNotFoundError as error:
    raise RuntimeUnavailable(
        f"the GPU engine needs the package {error.name!r}: pip install 'binarynet[gpu]' "
        "(torch builds for CUDA bring triton)"
    ) from None

from binarynet.gpu.network import Network
from binarynet.gpu.product import Finish, Product
from binarynet.gpu.runner import Runner

__all__ = ["Finish", "Network", "Product", "Runner"]
