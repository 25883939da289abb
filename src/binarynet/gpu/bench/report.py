"""The measurements as Markdown: ratios first, and every row, those that we lose too."""

from __future__ import annotations

from typing import Any

_PRODUCTS = (
    "kernel",
    "median",
    "10 % … 90 %",
    "× baseline",
    "× cuBLAS float32",
    "× cuBLAS bfloat16",
    "of its unit's peak",
    "of packed bandwidth",
)
_NETWORKS = ("batch", "engine", "median", "10 % … 90 %", "× baseline", "× torch bfloat16", "same classes", "weights")


def markdown(document: dict[str, Any]) -> str:
    """A page: where and how it was measured, then a table a shape, then a table a network."""
    lines = ["# GPU: binary products and networks", "", f"`{document['command']}`", ""]
    lines += [f"* {key}: {value}" for key, value in document["machine"].items()]
    lines += [f"* {key}: {value}" for key, value in document["chip"].items() if key != "rates" and value]
    lines += [f"* without {what}, which {why}" for what, why in document["left out"].items()]
    lines += ["", "Ratios above 1 say how many times faster than that row. Times are medians of the same run.", ""]
    if document["failed"]:
        lines += ["## Not measured", "", *(f"* {one['what']}: {one['error']}" for one in document["failed"]), ""]
    for shape in dict.fromkeys((row["m"], row["n"], row["k"]) for row in document["products"]):
        lines += [f"## {shape[0]} × {shape[2]} by {shape[2]} × {shape[1]}", "", *_head(_PRODUCTS)]
        for row in document["products"]:
            if (row["m"], row["n"], row["k"]) == shape:
                unit = f"{_percent(row['share of unit'])} ({row['unit']})" if row["share of unit"] else "—"
                name = row["kernel"] + (" (rounds)" if row["rounded sums"] else "")
                ratios = (row["times baseline"], row["times cuBLAS float32"], row["times cuBLAS bfloat16"])
                cells = [
                    name, *_times(row), *map(_ratio, ratios), unit, _percent(row["share of packed bandwidth"])
                ]  # fmt: skip
                lines.append(_line(cells))
        lines.append("")
    for name in dict.fromkeys(row["network"] for row in document["networks"]):
        lines += [f"## {name}", "", *_head(_NETWORKS)]
        for row in document["networks"]:
            if row["network"] == name:
                held = f"{row['weight bytes'] / 1e6:.2f} MB" if row["weight bytes"] else "—"
                cells = [
                    str(row["batch"]), row["engine"], *_times(row), _ratio(row["times baseline"]),
                    _ratio(row["times torch bfloat16"]), f"{row['same classes']} of {row['batch']}", held,
                ]  # fmt: skip
                lines.append(_line(cells))
        lines.append("")
    return "\n".join(lines)


def _head(names: tuple[str, ...]) -> list[str]:
    return [_line(list(names)), "|" + "---|" * len(names)]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _times(row: dict[str, Any]) -> tuple[str, str]:
    return _time(row["median"]), f"{_time(row['low'])} … {_time(row['high'])}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def _ratio(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f} %"
