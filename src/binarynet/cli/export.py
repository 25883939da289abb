"""``binarynet export``: a model for other machines and tools, and the proof that what was written answers the same.

No target is known by name here: the options are those that the targets declare, checks and reports are theirs.
"""

from __future__ import annotations

import shlex
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.images import split_of
from binarynet.cli.options import AsJson, DataDir, ModelFile, SplitName
from binarynet.cli.printing import console, human_bytes, show_json
from binarynet.errors import InputError
from binarynet.export import TARGETS, options_of


def _declared() -> dict[str, tuple[list[str], Any, Any]]:
    """Option → the targets that have it, its type, and the field that declares it."""
    found: dict[str, tuple[list[str], Any, Any]] = {}
    for name in TARGETS:
        kind = options_of(name)
        hints = get_type_hints(kind)
        for field, one in kind.choices().items():
            found.setdefault(field, ([], hints[field], one))[0].append(name)
    return found


_DECLARED = _declared()


def _parameter(name: str) -> Parameter:
    """An option of the command line. None is what nobody gave."""
    targets, kind, field = _DECLARED[name]
    help = f"{', '.join(targets)}: {field.metadata['help']}"
    without = {True: "on", False: "off", None: "see there", (): "none"}.get(field.default, str(field.default))
    shown = typer.Option(
        f"--{name.replace('_', '-')}", help=help, metavar=field.metadata["metavar"], show_default=without
    )
    kind = list[str] if kind == tuple[str, ...] else kind
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, shown])


def export(
    file: ModelFile,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help=f"{', '.join(TARGETS)}; see docs/export.md.",
            metavar="TARGET",
            autocompletion=complete.targets,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; it is made. Or FILE.onnx.", metavar="DIR")],
    api: Annotated[
        str | None, typer.Option(help="What public names begin with.", metavar="PREFIX", show_default="the file's name")
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            help="Build and run what was written and compare it with the oracle on this data set.",
            metavar="DATASET",
            show_default="no comparison",
            autocompletion=complete.data_sets,
        ),
    ] = None,
    data_dir: DataDir = None,
    split: SplitName = "test",
    limit: Annotated[
        int | None,
        typer.Option(help="How many images --check takes at most.", min=1, show_default="what the target runs"),
    ] = None,
    as_json: AsJson = False,
    **chosen: Any,
) -> None:
    """Write a model for a machine without Python. With --check, prove it equal; exit code 1 if it is not."""
    from binarynet.export import module_of, write
    from binarynet.export.emit import identifier
    from binarynet.format import load

    module, kind = module_of(to), options_of(to)
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items() if _said(value)
    }
    for name in given:
        if name not in kind.choices():
            owners = ", ".join(_DECLARED[name][0])
            raise InputError(f"--{name.replace('_', '-')} is an option of {owners}; the target {to} has none of it")
    if check is not None and not hasattr(module, "answers"):
        raise InputError(f"--check runs what was written; the target {to} writes nothing that runs")
    if limit is not None and check is None:
        raise InputError("--limit says how many images --check takes, and there is no --check. Give both, or none.")
    graph = load(file)
    single = out.suffix == ".onnx"
    folder = out.parent if single else out
    name = api if api is not None else identifier(file.stem)[:40]
    options = kind(api=name, name=out.stem if single else "", **given)
    command = f"binarynet export {shlex.quote(file.name)} --to {to} --api {name}{options.flags()}"
    options = options.with_command(f"{command} --out {shlex.quote(out.name)}")
    files = write(graph, to, folder, options)
    agreement, said = None, ""
    if check is not None:
        agreement, said = _check(graph, to, folder, options, check, split, limit, data_dir)
    lines = module.says(folder, options) if hasattr(module, "says") else []
    if getattr(options, "report", False):  # what a design costs: energy is of the net, so no target need know of it
        from binarynet.report.energy import energy_line

        lines = [*lines, "", energy_line(graph)]
    if as_json:
        document: dict[str, Any] = {"target": to, "files": [str(path) for path in files]}
        document |= {"check": vars(agreement)} if agreement else {}
        show_json(document | ({"report": lines} if lines else {}))
    else:
        for path in files:
            console.print(f"{path}: {human_bytes(path.stat().st_size)}", highlight=False)
        if agreement:
            console.print(f"{agreement} with the oracle{said}")
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if agreement and not agreement.holds:
        raise typer.Exit(1)


def _check(
    graph: Any, to: str, folder: Path, options: Any, data: str, split: str, limit: int | None, data_dir: Path | None
) -> tuple[Any, str]:
    """Run what was written on a split, or as much of it as the target runs; how it compares, and what it says."""
    from binarynet.export import answers
    from binarynet.graph import Encoding
    from binarynet.report import compared, oracle_logits
    from binarynet.runtime.images import adapt

    most = limit if limit is not None else getattr(TARGETS[to], "CHECKED", None)
    images = split_of(graph, data, split, data_dir).images[:most]
    codes = adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding))
    found = answers(graph, to, folder, options, codes)
    return compared(f"{found.by} on {data} {split}", graph, found.logits, oracle_logits(graph, images)), found.said


def _said(value: Any) -> bool:
    return value is not None and value is not False and value != []


def _with_options(verb: Any) -> Any:
    """The verb with the targets' options in place of ``chosen``, as Typer reads them."""
    hints = get_type_hints(verb, include_extras=True)
    fixed = [
        one.replace(annotation=hints[one.name])
        for one in signature(verb).parameters.values()
        if one.kind is not Parameter.VAR_KEYWORD
    ]
    parameters = [*fixed, *map(_parameter, _DECLARED)]
    verb.__signature__ = signature(verb).replace(parameters=parameters)
    verb.__annotations__ = {one.name: one.annotation for one in parameters}
    return verb


app.command()(_with_options(export))
