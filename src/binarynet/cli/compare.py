"""``binarynet compare``: runs beside each other, in a table and as curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.atomic import replacing
from binarynet.cli.app import app
from binarynet.cli.options import AsJson
from binarynet.cli.printing import console, human_bytes, show_json
from binarynet.cli.table import Table
from binarynet.errors import InputError


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", metavar="RUN…")],
    out: Annotated[
        Path | None, typer.Option(help="Draw their curves.", metavar="FILE.svg|png", show_default="no picture")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between runs, and what each has reached; with --out, their curves in one picture."""
    from binarynet.report.page import read_run

    found = {str(run): read_run(run) for run in runs}
    for name, one in found.items():
        if one is None:
            raise InputError(f"{name} is no run folder: it holds no config.json")
    rows = {name: _row(one) for name, one in found.items()}
    differ = [key for key in _keys(rows) if len({str(row.get(key)) for row in rows.values()}) > 1]
    if out is not None:
        if out.suffix not in (".svg", ".png"):
            raise InputError(f"--out {out}: end it with .svg or .png")
        from binarynet.plot import history

        figure = history(*runs)
        with replacing(out) as part:
            figure.savefig(part, format=out.suffix[1:])
    if as_json:
        show_json({"runs": rows, "differ": differ})
        return
    shown = Table("run", ">best epoch", ">validation", ">test", ">seconds", *differ)
    for name, row in rows.items():
        result = row["result"]
        numbers = [
            str(result.get("best_epoch", "…")),
            *(f"{result[key]:.2f} %" if key in result else "…" for key in ("validation_error", "test_error")),
            f"{result['train_seconds']:,.0f}" if "train_seconds" in result else "…",
        ]
        shown.add_row(name, *numbers, *(str(row.get(key, "—")) for key in differ))
    console.print(shown)
    if out is not None:
        console.print(f"{out}: {human_bytes(out.stat().st_size)}", highlight=False)


def _row(run: Any) -> dict[str, Any]:
    config = run.config
    asked = {name: config.get(name) for name in ("recipe", "seed", "precision", "gradients")}
    data = config.get("data")
    asked["data"] = data.get("name") if isinstance(data, dict) else None
    settings = config.get("settings")
    return {**asked, **(settings if isinstance(settings, dict) else {}), "result": run.result}


def _keys(rows: dict[str, dict[str, Any]]) -> list[str]:
    """What runs were asked for, in the order of the first that says it."""
    return [key for key in dict.fromkeys(key for row in rows.values() for key in row) if key != "result"]
