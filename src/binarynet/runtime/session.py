"""A session: one graph, ready to answer, from any number of threads at once, and copied to other processes."""

from __future__ import annotations

from functools import partial
from html import escape
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from binarynet.errors import InputError, RuntimeUnavailable, closest, expect
from binarynet.format.packed import packed
from binarynet.graph import LOGITS, Encoding, Graph, apart, interpret, verify
from binarynet.runtime.images import Layout, adapt, is_ready
from binarynet.runtime.plan import Planned, build, planned

_ENGINES = ("native", "oracle", "triton")
_ORACLE_BATCH, _ORACLE_NUMBERS = 64, 1 << 26  # images at a time, and numbers: the oracle holds every value as int32
_MOST_THREADS = 4096  # what is said more than the engine can use is clipped; what nobody can have is refused
_FEW, _MANY = 64, 4096  # images: a call of the engine may have so few, and has no more
_PATIENCE = 0.1  # seconds, by the plan's prices, until Ctrl-C is heard
_LINE, _LARGE = 64, 1 << 16  # bytes of a line of the cache, and of an array that may not find room there


class Session:
    """Answers for one graph.

    Integer answers are the oracle's, bit for bit. Where an operand of a product is real (f32), the sums are float32
    in an order that depends on the instruction set or the GPU: they agree within 1e-5 of Σ |x · w|.

    Args:
        graph: what to run; it is verified first.
        isa: an instruction set of `binarynet.runtime.isa.available`; None takes `isa.active`. Fixed for the session.
        threads: how many threads one call may use; None or 0 takes ``BINARYNET_NUM_THREADS``, else
            ``OMP_NUM_THREADS``, else the CPUs this process may use.
        kernel: what every Linear and Conv2d must run on: ``popcount``, ``tiles``, ``vertical``, ``bitsliced``,
            ``counters``, ``lookup`` or ``multiply``. None takes ``BINARYNET_KERNEL``, else for each the cheapest
            (docs/kernels.md).
        engine: ``"native"``; ``"oracle"`` for the plain integer arithmetic that every engine must equal; ``"triton"``
            for the GPU's kernels. None takes what the device has: native on ``"cpu"``, triton on ``"cuda"``.
        device: ``"cpu"``, or ``"cuda"``, ``"cuda:1"`` … with the extra ``gpu``. With engine triton, ``"cpu"`` is
            Triton's interpreter: the GPU's kernels, slowly, for tests (it wants ``TRITON_INTERPRET=1``).

    Raises:
        GraphError: the graph breaks a rule.
        RuntimeUnavailable: unknown engine, device, instruction set or kernel, an op that cannot run on that kernel, a
            negative number of threads, or a graph that the device cannot run.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        isa: str | None = None,
        threads: int | None = None,
        kernel: str | None = None,
        engine: str | None = None,
        device: str = "cpu",
    ) -> None:
        expect(
            "Session: graph",
            graph,
            Graph,
            "a Graph; binarynet.load(…) makes a Session of a file or of a model's name",
        )
        for name, value, kind in (("isa", isa, str), ("kernel", kernel, str), ("engine", engine, str)):
            expect(f"Session: {name}", value, kind | None, "a name, or None")
        expect("Session: threads", threads, int | None, "a whole number, or None")
        expect("Session: device", device, str, "'cpu' or 'cuda'")
        values = verify(graph)
        self._graph = packed(graph)  # bits: for copies, and for the oracle
        self._options: dict[str, Any] = {
            "isa": isa,
            "threads": threads,
            "kernel": kernel,
            "engine": engine,
            "device": device,
        }
        engine = engine or ("native" if device == "cpu" else "triton")
        self.engine, self.device = engine, device
        self.classes = graph.classes
        self.input_shape = graph.input.shape
        self._whole = values[graph.output.name].shape  # of all answers together
        self.outputs = {one.name: one.shape for one in graph.outputs} or {LOGITS: self._whole}
        self.output_shape = next(iter(self.outputs.values()))
        numbers = sum(prod(value.shape) for value in values.values())
        self._oracle_batch = max(1, min(_ORACLE_BATCH, _ORACLE_NUMBERS // numbers))
        self._encoding = Encoding.parse(graph.input.encoding)
        self._dtype = np.float32 if values[graph.output.name].encoding.is_float else np.int32
        if threads is not None and not 0 <= threads <= _MOST_THREADS:
            raise RuntimeUnavailable(f"threads is {threads}; give 1 to {_MOST_THREADS}, or 0 for the default")
        if engine not in _ENGINES:
            raise RuntimeUnavailable(
                f"unknown engine {engine!r}.{closest(engine, _ENGINES)} There are 'native', 'oracle' and 'triton'."
            )
        if engine != "native" and not (isa is None and kernel is None):
            raise RuntimeUnavailable(
                f"the engine {engine!r} has no instruction sets; leave out isa={isa!r} and kernel={kernel!r}"
            )
        if engine != "triton" and device != "cpu":
            raise RuntimeUnavailable(f"the engine {engine!r} runs on 'cpu', not on {device!r}; leave one of them out")
        self._most: int | None = None  # images of one call, once it is asked for
        if engine == "native":
            self._network = build(self._graph, isa, threads, kernel)
        elif engine == "triton":
            from binarynet.gpu import Runner  # here, because it needs torch and triton

            self._runner = Runner(graph, device)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the graph, its weights as bits, and the arguments given; they build the engine anew.

        So another process gets its own threads, and another machine the best of its own instruction sets.
        """
        return partial(Session, **self._options), (self._graph,)

    @property
    def graph(self) -> Graph:
        """The graph that is run, its weights as bits."""
        return self._graph

    @property
    def isa(self) -> str | None:
        """The instruction set in use; None for other engines than native."""
        return self._network.isa if self.engine == "native" else None

    @property
    def threads(self) -> int:
        return self._network.threads if self.engine == "native" else 1

    @property
    def kernels(self) -> dict[str, str]:
        """What runs each op on one image: op name → text. Ops that cost nothing (Flatten, Input) are left out."""
        if self.engine == "triton":
            return self._runner.kernels()
        if self.engine == "oracle":
            return {op.name: "oracle" for op in self._graph.ops[1:]}
        found = {}
        for step in self.plan():
            found[step.op] = step.kernel
            found.update(dict.fromkeys(step.fused, f"part of {step.op}"))
        return found

    def plan(self, images: int = 1) -> tuple[Planned, ...]:
        """What the native engine will run for a batch of so many images, and how long that is expected to take.

        Raises:
            RuntimeUnavailable: another engine, which has no plan.
        """
        self._only_native("plan")
        return planned(self._network, images)

    def timed(self, images: ArrayLike, *, layout: Layout | None = None) -> tuple[float, ...]:
        """Run the ``images`` and return the seconds that each step of `plan` took.

        Raises:
            InputError: as `logits`.
            RuntimeUnavailable: another engine, which has no such steps.
        """
        self._only_native("steps")
        codes = adapt(images, self.input_shape, self._encoding, layout)
        answers = self._room(len(codes))
        return tuple(self._network.run_timed(codes, answers))

    def _room(self, images: int) -> NDArray[Any]:
        """Memory for so many answers. If large, it begins with a line of the cache: kernels then pass the caches."""
        shape = (images, *self._whole)
        size = prod(shape) * 4
        if size < _LARGE:
            return np.empty(shape, self._dtype)
        memory = np.empty(size + _LINE, np.uint8)
        begin = -memory.ctypes.data % _LINE
        return memory[begin : begin + size].view(self._dtype).reshape(shape)

    def _only_native(self, what: str) -> None:
        if self.engine != "native":
            raise RuntimeUnavailable(f"the engine {self.engine!r} has no {what}; take engine='native'")

    def logits(
        self, images: ArrayLike, *, layout: Layout | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The graph's answers, (n, *output_shape): float32 reals, or the int32 numbers that integer answers mean.

        Of a graph with several answers, the first (`outputs` says their names and shapes, `run` answers them all).
        Images are answered as (height, width, channels); ``layout`` is only that of the ``images`` handed in.

        `binarynet.runtime.images.adapt` says which ``images`` are taken. ``out``, a contiguous array of that shape and
        type, takes the answers and is returned: large answers cost more to allocate than to write. Large ones are
        written fastest where ``out`` begins at a multiple of 64 bytes, as the arrays returned here do.

        Raises:
            InputError: shape, type or values do not fit; NaN is named with its index.
        """
        if not self._graph.outputs:
            return self._answers(images, layout, out)
        first = apart(self._graph.outputs, self._answers(images, layout))[next(iter(self.outputs))]
        if out is None:
            return first
        self._checked(out, len(first))[...] = first
        return out

    def run(self, images: ArrayLike, *, layout: Layout | None = None) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """All answers: an array (n, *output_shape) of one answer, a dict name → array of several, in `outputs`' order.

        ``layout`` is the order of images that are handed in and of images that are answered: "nchw" for (n, channels,
        height, width), "nhwc" for (n, height, width, channels). Without it, images are taken as
        `binarynet.runtime.images.adapt` says, and answered in the order "nhwc".

        Raises:
            InputError: as `logits`; an unknown ``layout``.
        """
        parts = apart(self._graph.outputs, self._answers(images, layout))
        if layout == "nchw":
            parts = {
                name: np.ascontiguousarray(part.transpose(0, 3, 1, 2)) if part.ndim == 4 else part
                for name, part in parts.items()
            }
        return parts if self._graph.outputs else parts[LOGITS]

    def _answers(
        self, images: ArrayLike, layout: Layout | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """All answers one behind the other, as the engine writes them."""
        if self.engine == "native" and is_ready(images, self.input_shape, self._encoding, layout):
            codes = images
        else:
            codes = adapt(images, self.input_shape, self._encoding, layout)
        count = len(codes)
        answers = self._room(count) if out is None else self._checked(out, count)
        step = self._step(count)
        for start in range(0, count, step):
            part = slice(start, start + step) if count > step else slice(None)
            if not self._answer(codes[part], answers[part]):
                adapt(images, self.input_shape, self._encoding, layout)  # refuses, and says which value
        return answers

    def _checked(self, out: NDArray[Any], count: int) -> NDArray[Any]:
        """``out``, if it can hold the answers for so many images."""
        shape = (count, *self.output_shape)
        if not isinstance(out, np.ndarray):
            raise InputError(f"out is a {type(out).__name__}; pass a numpy array, which takes the answers")
        if out.shape != shape or out.dtype != self._dtype:
            raise InputError(
                f"out is {out.dtype} of shape {out.shape}; these answers are {self._dtype.__name__} of shape {shape}"
            )
        if not out.flags.carray:
            raise InputError("out must be contiguous and writeable, and begin at a multiple of 4 bytes")
        return out

    def _step(self, count: int) -> int:
        """How many of so many images are answered before Python looks for Ctrl-C; memory, too, is that of a step."""
        if self.engine == "oracle":
            return self._oracle_batch
        if self.engine == "triton" or count <= _FEW:
            return _MANY
        if self._most is None:
            seconds = sum(step.seconds for step in planned(self._network, _FEW))
            self._most = max(_FEW, min(_MANY, int(_FEW * _PATIENCE / max(seconds, 1e-9))))
        return self._most

    def _answer(self, codes: NDArray[Any], answers: NDArray[Any]) -> bool:
        """Fill the ``answers`` for the ``codes``; False if one of these is none, which only the native engine finds."""
        if self.engine == "native":
            return bool(self._network.run(codes, answers))
        if self.engine == "triton":
            self._runner.run(codes, answers)
        else:
            answers[...] = interpret(self._graph, codes)
        return True

    def predict(self, images: ArrayLike, *, layout: Layout | None = None) -> NDArray[np.int64]:
        """The class of each image, (n,) int64: where its logit is largest, the first of equals."""
        logits = self.logits(images, layout=layout)
        return logits.reshape(len(logits), -1).argmax(axis=1) if len(logits) else np.empty(0, np.int64)

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>{self.graph._repr_html_()}"

    def __repr__(self) -> str:
        native = f"{self.isa}, {self.threads} threads" if self.engine == "native" else ""
        where = {"native": native, "oracle": "plain integers", "triton": self.device}[self.engine]
        shape = "×".join(map(str, self.input_shape))
        several = [f"{name} " for name in self.outputs] if self._graph.outputs else [""]
        made = (f"{a}{'×'.join(map(str, b))}" for a, b in zip(several, self.outputs.values(), strict=True))
        return f"Session({shape} {self._encoding} → {', '.join(made)}; {self.engine}: {where})"
