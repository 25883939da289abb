"""What Ctrl-C and SIGTERM do to a run: it stops, keeps its last full epoch, and says how to go on."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from lightning.pytorch.utilities.exceptions import SIGTERMException

from binarynet.train.checkpoint import read
from binarynet.train.folder import RunFolder


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C (`exit_code` 130) or SIGTERM (143). The text says how to go on."""

    def __init__(self, text: str, exit_code: int = 128 + signal.SIGINT) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@contextlib.contextmanager
def interruptible(folder: RunFolder) -> Iterator[None]:
    """Turn the ways in which Lightning ends on a signal into `Interrupted`; give Ctrl-C its handler back."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise Interrupted(_how_to_go_on(folder), 128 + signal.SIGTERM) from None
    except KeyboardInterrupt as stopped:
        raise Interrupted(_how_to_go_on(folder), _code(stopped)) from None
    except SystemExit as ended:  # Lightning leaves by sys.exit(1) when it has seen a Ctrl-C ...
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise Interrupted(_how_to_go_on(folder), _code(ended.__context__)) from None
        raise
    finally:
        with contextlib.suppress(ValueError):  # ... and ignores the next. (Not in the main thread: none comes.)
            signal.signal(signal.SIGINT, handler)


def _code(stopped: KeyboardInterrupt) -> int:
    """Whoever turns another signal into a KeyboardInterrupt, as the command line does SIGTERM, says its code."""
    return int(getattr(stopped, "exit_code", 128 + signal.SIGINT))


def _how_to_go_on(folder: RunFolder) -> str:
    if not folder.last.exists():
        return f"Stopped. No epoch is finished: the same command with --resume begins {folder.path} again."
    done = int(read(folder.last, mmap=True)["epoch"]) + 1
    return f"Stopped. Epoch {done} is saved: the same command with --resume goes on with {folder.path}."
