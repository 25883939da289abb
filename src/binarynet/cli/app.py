"""The Typer app that every verb joins, and the group of ``bench``."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from binarynet.errors import closest
from binarynet.models import find


class Stopped(BaseException):
    """Carries a KeyboardInterrupt past Typer, which would end it without its text."""


class _Verbs(TyperGroup):
    """The verbs; Ctrl-C and SIGTERM in one of them reach `main`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Stopped from error


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Neural networks of +1 and −1: train, lower, prove, run.",
)


class _ModelFirst(TyperGroup):
    """``bench FILE`` is short for ``bench model FILE``: what names no command and asks no help belongs to that one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help") and not self._is_mistyped(args[0]):
            args = ["model", *args]
        return super().parse_args(ctx, args)

    def _is_mistyped(self, word: str) -> bool:
        return bool(closest(word, self.commands)) and not find(word).is_file()


bench = typer.Typer(cls=_ModelFirst, no_args_is_help=True, help="Time a model (bench MODEL.bnn), or something else.")
app.add_typer(bench, name="bench")


def _show_version(asked: bool) -> None:
    if asked:
        from binarynet import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What can be said before the verb."""
