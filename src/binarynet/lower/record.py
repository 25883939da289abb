"""Record what a module does in eval mode: every ATen operator that it runs, with all arguments, as pure functions.

The module runs as it is, on real images, and torch's dispatcher says what happens: hooks, subclasses, functions,
keyword arguments and aliases look alike from there. What does not depend on the image is a constant. An operation in
place becomes the function of the same name, and whoever reads that memory afterwards, by whatever name, reads the new
value.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

from binarynet.errors import InputError, LoweringError
from binarynet.lower.returned import returned
from binarynet.lower.step import Ref, Step, storage
from binarynet.nn import Quantizer
from binarynet.nn.quantizers import watched

# They read the shape of a tensor and none of its numbers.
_FACTORIES = ("empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like")
Key = tuple[Any, ...]  # where a tensor lies, and how

# Functions of torch that hand numbers to Python, where no dispatcher sees them.
_LEAVING = {
    getattr(Tensor, name)
    for name in (
        *("numpy", "tolist", "item", "__array__", "__bool__", "__float__", "__int__", "__index__", "__complex__"),
        *("data_ptr", "__dlpack__", "untyped_storage", "storage", "__contains__", "__reversed__"),
    )
    if hasattr(Tensor, name)
}


@dataclass
class Recording:
    """``steps`` in order, the first of which is the input; ``answers`` are those that the module returns, by name."""

    steps: list[Step]
    answers: dict[str, int]
    units: dict[Any, Tensor]  # of memory that a quantizer of weights has filled: what an integer is worth


def record(model: nn.Module, images: Tensor) -> Recording:
    """What ``model``, which is in eval mode, does with a batch of images.

    Raises:
        LoweringError: the forward pass fails, branches on the image, draws at random or changes the module.
    """
    recorder = _Recorder(model, images)
    try:
        with recorder.active():
            answer = model(images)
    except LoweringError:
        raise
    except Exception as error:  # whatever a user's forward raises
        line = str(error).strip().split("\n")[0]
        shape = tuple(images.shape[1:])
        raise LoweringError(
            f"{type(model).__name__}: its forward pass fails on {images.dtype} images of shape {shape}: {line}"
        ) from error
    answers = {}
    for name, one in returned(model, answer).items():
        ref = recorder.ref(one)
        if ref is None or ref.part:
            raise LoweringError(f"{type(model).__name__}: the answer {name!r} does not depend on the image.")
        answers[name] = ref.step
    return Recording(recorder.steps, answers, recorder.units)


@dataclass
class _Memory:
    """One storage that depends on the image: which step each tensor in it is, since the last write."""

    made: dict[Key, Ref] = field(default_factory=dict)
    whole: tuple[Tensor, Ref] | None = None  # what was written last, if it fills the storage
    lost: str = ""  # which step has written into a part of it


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.names = {id(module): name for name, module in model.named_modules()}
        self.kept = {storage(one) for one in (*model.parameters(), *model.buffers())}
        self.used: set[Any] = set()  # constants that a step has taken
        self.alive: list[Any] = [images]  # so that no storage is given to another tensor while recording
        self.stack: list[tuple[str, nn.Module]] = []
        self.units: dict[Any, Tensor] = {}
        self.steps = [Step("input", "input", None, {}, {}, images)]
        self.holders: dict[Any, list[int]] = {storage(images): [0]}  # steps whose value lies in a storage
        self.memory = {storage(images): _Memory({_key(images): Ref(0)})}

    @contextmanager
    def active(self) -> Iterator[None]:
        with torch.no_grad(), watched(self._quantized), _calls(self), _Leaving(self), self:
            yield

    # --- what torch tells -------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        schema, bound = func._schema, _bound(func._schema, args, kwargs or {})
        written = [
            bound[one.name] for one in schema.arguments if one.alias_info is not None and one.alias_info.is_write
        ]
        written = [one for one in written if isinstance(one, Tensor)]
        tensors = [one for one in tree_flatten(bound)[0] if isinstance(one, Tensor)]
        reads = [one for one in tensors if storage(one) in self.memory]
        name, where = self._name(schema.name.removeprefix("aten::").rstrip("_"))
        for one in written:
            if storage(one) in self.kept:
                raise LoweringError(
                    f"{where}: changes a parameter or buffer of the module when it is called, so its answer depends on "
                    "earlier calls. Keep such state out of eval mode."
                )
            if storage(one) in self.used and storage(one) not in self.memory:
                raise LoweringError(f"{where}: changes a constant that an earlier step has read. Make a new one.")
        op = _function(schema)
        refs = {id(one): self.ref(one, where) for one in reads}
        arguments = tree_map(lambda one: self._argument(one, refs, written), bound) if reads else {}
        self._keep_values(written)
        made = func(*args, **(kwargs or {}))
        self.alive.append((made, tensors))
        if torch.Tag.nondeterministic_seeded in func.tags:
            self._note(name, "random", {}, {}, made, written)
        elif reads and op not in _FACTORIES:
            if not any(isinstance(one, Tensor) for one in tree_flatten(made)[0]):
                if made is not None:
                    raise LoweringError(
                        f"{where}: its forward pass cannot be recorded: it looks at values that depend on the image. "
                        "Branches and loops must not depend on tensor values."
                    )
                return made
            defaults = {one.name: one.default_value for one in schema.arguments if one.has_default_value()}
            self._note(name, op, arguments, defaults, made, written)
        return made

    def _argument(self, one: Any, refs: dict[int, Ref | None], written: list[Tensor]) -> Any:
        if not isinstance(one, Tensor):
            return one
        if (ref := refs.get(id(one))) is not None:
            return ref
        if any(one is other for other in written):
            return one.clone()
        self.used.add(storage(one))
        return one

    def _keep_values(self, written: list[Tensor]) -> None:
        """Copies what earlier steps have made, where an operation in place is about to change it."""
        for memory in {storage(one) for one in written}:
            for number in self.holders.pop(memory, ()):
                self.steps[number].value = self.steps[number].value.clone()

    def _note(
        self, name: str, op: str, arguments: dict[str, Any], defaults: dict[str, Any], made: Any, written: list[Tensor]
    ) -> int:
        if isinstance(made, list) and all(isinstance(one, Tensor) for one in made) and not written:
            for part, one in enumerate(made):
                self.steps[self._note(name, op, arguments, defaults, one, written)].part = part
            return len(self.steps) - 1
        number = len(self.steps)
        parts = [one for one in tree_flatten(made)[0] if isinstance(one, Tensor)] or written
        layer = self.stack[-1][1] if self.stack else None
        self.steps.append(Step(name, op, layer, arguments, defaults, parts[0]))
        self.holders.setdefault(storage(parts[0]), []).append(number)
        for part, tensor in enumerate(parts):
            ref = Ref(number, part)
            if any(tensor is one for one in written):
                self._write(tensor, ref, name)
            else:
                self.memory.setdefault(storage(tensor), _Memory()).made[_key(tensor)] = ref
        return number

    def _write(self, tensor: Tensor, ref: Ref, name: str) -> None:
        # A view of a storage that nothing has recorded yet may be a part of it.
        filled = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
        self.memory[storage(tensor)] = _Memory(
            {_key(tensor): ref}, (tensor, ref) if filled and tensor.is_contiguous() else None, "" if filled else name
        )

    def ref(self, tensor: Tensor, where: str = "") -> Ref | None:
        """The step whose result a tensor is just now; None for a constant."""
        memory = self.memory.get(storage(tensor))
        if memory is None:
            return None
        if (found := memory.made.get(_key(tensor))) is not None:
            return found
        if memory.whole is not None and tensor.is_contiguous() and tensor.numel() == memory.whole[0].numel():
            source = memory.whole[1]
            self.steps.append(
                Step(where or "view", "view", None, {"self": source, "size": list(tensor.shape)}, {}, tensor.clone())
            )
            ref = memory.made[_key(tensor)] = Ref(len(self.steps) - 1)
            return ref
        raise LoweringError(
            f"{where or type(self.model).__name__}: reads memory that {memory.lost or 'an operation'!r} has changed in "
            "place, in another shape or in part. Use the operation that returns a new tensor."
        )

    def _quantized(self, quantizer: Quantizer, x: Tensor, made: Tensor) -> None:
        """A quantizer says that it has made ``made`` of ``x``: one step, whatever it computed in between."""
        if (source := self.ref(x)) is not None:
            name, _ = self._name("quantize")
            number = self._note(name, "quantize", {"self": source, "quantizer": quantizer}, {}, made, [])
            self.steps[number].layer = quantizer
        else:
            self.alive.append(made)
            with _disable_current_modes(), suppress(InputError):  # it may hold real values just now
                self.units[storage(made)] = quantizer.integers(x)[1]

    # --- names ------------------------------------------------------------------------------------------------------

    def _name(self, op: str) -> tuple[str, str]:
        """What a step is called, and how a message says where it is."""
        if not self.stack:
            return op, op
        name, module = self.stack[-1]
        leaf = not any(True for _ in module.children()) or type(module).__module__.startswith(("torch.nn", "binarynet"))
        called = name if leaf and name else f"{name}.{op}".lstrip(".")
        return called, f"{called} ({type(module).__name__})"


class _Leaving(TorchFunctionMode):
    """Refuses what would take numbers of the image out of torch's sight."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _LEAVING and args and isinstance(args[0], Tensor) and storage(args[0]) in self.recorder.memory:
            _, where = self.recorder._name(getattr(func, "__name__", "call"))
            raise LoweringError(
                f"{where}: its forward pass cannot be recorded: {func.__name__} takes values that depend on the image "
                "out of torch. Branches and loops must not depend on tensor values; compute with tensors."
            )
        return func(*args, **(kwargs or {}))


@contextmanager
def _calls(recorder: _Recorder) -> Iterator[None]:
    """Keeps the stack of modules that are running, hooks included."""
    plain = nn.Module.__call__

    def called(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if id(module) not in recorder.names:
            return plain(module, *args, **kwargs)
        recorder.stack.append((recorder.names[id(module)], module))
        try:
            return plain(module, *args, **kwargs)
        finally:
            recorder.stack.pop()

    nn.Module.__call__ = called  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = plain  # type: ignore[method-assign]


def _key(tensor: Tensor) -> Key:
    return (tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset())


def _bound(schema: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """All arguments by name."""
    names = [one.name for one in schema.arguments]
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _function(schema: Any) -> str:
    """ "add" for aten::add.Tensor and for aten::add_."""
    name = str(schema.name).removeprefix("aten::")
    writes = any(one.alias_info is not None and one.alias_info.is_write for one in schema.arguments)
    return name.rstrip("_") if writes else name
