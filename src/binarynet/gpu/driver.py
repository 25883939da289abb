"""CUDA C++ at run time, through ctypes: compiled by NVRTC or nvcc, loaded and launched by the driver.

Nothing here is imported that torch for CUDA does not bring: NVRTC is one of its libraries, the driver is the machine's.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from binarynet.errors import RuntimeUnavailable

STANDARD = "-std=c++17"
_MOST_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_UINT8, _NO_INTERLEAVE, _SWIZZLE_128, _PROMOTE_256, _ZEROS_OUTSIDE = 0, 0, 3, 3, 0  # enumerators of CUtensorMap*


def compiled(source: str, headers: Mapping[str, str], architecture: str) -> bytes:
    """Machine code (a cubin) of CUDA C++ for an architecture like ``sm_90a``. ``headers`` are included by name.

    Raises:
        RuntimeUnavailable: there is no compiler, or it refuses the source.
    """
    nvrtc = library()
    if nvrtc is not None:
        return _by_nvrtc(nvrtc, source, headers, architecture)
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        return _by_nvcc(nvcc, source, headers, architecture)
    raise RuntimeUnavailable(f"CUDA C++ {why_not()}")


def why_not() -> str | None:
    """Why CUDA C++ cannot be compiled here, as the end of a sentence, or None."""
    if library() is not None or shutil.which("nvcc"):
        return None
    return "needs NVRTC, a library of torch for CUDA (pip install nvidia-cuda-nvrtc), or nvcc, and finds neither"


@functools.cache
def library() -> ctypes.CDLL | None:
    """NVRTC: of the CUDA that torch was built with, or of a package beside it, or of the system."""
    for name in _names():
        try:
            for part in Path(name).parent.glob("libnvrtc-builtins.so.*") if "/" in name else ():
                if ".alt." not in part.name:
                    ctypes.CDLL(str(part), mode=ctypes.RTLD_GLOBAL)  # NVRTC opens it by name alone
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _names() -> Iterator[str]:
    version = (torch.version.cuda or "13").split(".")[0]
    for root in sys.path:
        packages = Path(root, "nvidia")
        for found in (*packages.glob("*/lib/libnvrtc.so.*"), *packages.glob("*/bin/nvrtc64_*.dll")):
            if "builtins" not in found.name and ".alt." not in found.name:
                yield str(found)
    yield from (f"libnvrtc.so.{version}", "libnvrtc.so")


def _by_nvrtc(nvrtc: ctypes.CDLL, source: str, headers: Mapping[str, str], architecture: str) -> bytes:
    program = ctypes.c_void_p()

    def check(code: int) -> None:
        if code:
            size = ctypes.c_size_t()
            log = b""
            if program and not nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)):
                held = ctypes.create_string_buffer(size.value)
                nvrtc.nvrtcGetProgramLog(program, held)
                log = held.value
            raise RuntimeUnavailable(f"NVRTC refuses a kernel for {architecture} (error {code}): {_end(log)}")

    def strings(texts: Any) -> Any:
        return (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))

    check(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), b"kernel.cu", len(headers), strings(list(headers.values())),
            strings(list(headers)),
        )
    )  # fmt: skip
    try:
        options = [f"-arch={architecture}", STANDARD, "-default-device"]
        check(nvrtc.nvrtcCompileProgram(program, len(options), strings(options)))
        size = ctypes.c_size_t()
        check(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        cubin = ctypes.create_string_buffer(size.value)
        check(nvrtc.nvrtcGetCUBIN(program, cubin))
        return cubin.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _by_nvcc(nvcc: str, source: str, headers: Mapping[str, str], architecture: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**headers, "kernel.cu": source}.items():
            Path(folder, name).write_text(text)
        target = f"-gencode=arch={architecture.replace('sm', 'compute')},code={architecture}"
        command = [nvcc, STANDARD, "-O3", target, "-I.", "-cubin", "-o", "kernel.cubin", "kernel.cu"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeUnavailable(f"nvcc refuses a kernel for {architecture}: {_end(done.stderr)}")
        return Path(folder, "kernel.cubin").read_bytes()


def _end(log: bytes) -> str:
    """The first errors of a compiler's log, or its end."""
    lines = log.decode(errors="replace").strip("\0\n ").splitlines()
    return " / ".join([line.strip() for line in lines if "error" in line][:3] or lines[-3:])


@functools.cache
def cuda() -> ctypes.CDLL:
    """The driver's library.

    Raises:
        RuntimeUnavailable: this machine has none.
    """
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError as error:
        raise RuntimeUnavailable(f"this machine has no CUDA driver: {error}") from None


def _check(code: int, what: str) -> None:
    if code:
        text = ctypes.c_char_p()
        cuda().cuGetErrorString(code, ctypes.byref(text))
        raise RuntimeUnavailable(f"{what}: {(text.value or b'unknown error').decode()} (CUDA error {code})")


class TensorMap(ctypes.Structure):
    """CUtensorMap; `matrix` makes them, at addresses that are multiples of 64."""

    _fields_ = [("opaque", ctypes.c_ubyte * 128)]


class Module:
    """The kernels of one cubin, on the device that is current when it is made."""

    def __init__(self, cubin: bytes) -> None:
        self._module = ctypes.c_void_p()
        _check(cuda().cuModuleLoadData(ctypes.byref(self._module), cubin), "loading a kernel")
        self._kernels: dict[tuple[str, int], ctypes.c_void_p] = {}

    def kernel(self, name: str, shared: int) -> ctypes.c_void_p:
        if (name, shared) not in self._kernels:
            found = ctypes.c_void_p()
            _check(cuda().cuModuleGetFunction(ctypes.byref(found), self._module, name.encode()), f"finding {name}")
            _check(cuda().cuFuncSetAttribute(found, _MOST_SHARED, shared), f"{name}: {shared} bytes of shared memory")
            self._kernels[name, shared] = found
        return self._kernels[name, shared]

    def launch(self, name: str, blocks: int, threads: int, shared: int, *arguments: ctypes.Structure) -> None:
        """On torch's current stream. ``arguments`` are copied before this returns."""
        places = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(one) for one in arguments))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        grid = (blocks, 1, 1, threads, 1, 1)
        _check(
            cuda().cuLaunchKernel(self.kernel(name, shared), *grid, shared, stream, places, None), f"launching {name}"
        )


def matrix(x: Tensor, width: int, height: int) -> TensorMap:
    """A map by which the copy engine brings boxes of ``height`` rows × ``width`` bytes of x, and zeros from outside.

    Rows must be multiples of 16 bytes and begin at such an address.
    """
    place = ctypes.create_string_buffer(128 + 64)
    made = TensorMap.from_buffer(place, -ctypes.addressof(place) % 64)
    bytes_of_row = x.shape[1] * x.element_size()
    sizes = (ctypes.c_uint64 * 2)(bytes_of_row, x.shape[0])
    pitch = (ctypes.c_uint64 * 1)(x.stride(0) * x.element_size())
    box, steps = (ctypes.c_uint32 * 2)(width, height), (ctypes.c_uint32 * 2)(1, 1)
    code = cuda().cuTensorMapEncodeTiled(
        ctypes.byref(made), _UINT8, 2, ctypes.c_void_p(x.data_ptr()), sizes, pitch, box, steps, _NO_INTERLEAVE,
        _SWIZZLE_128, _PROMOTE_256, _ZEROS_OUTSIDE,
    )  # fmt: skip
    _check(code, f"a tensor map of {x.shape[0]} rows of {bytes_of_row} bytes")
    return made
