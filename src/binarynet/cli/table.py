"""Tables that fit a terminal: what is too wide for it goes on below, column by column, and no row is torn apart.

At 80 columns a table of 140 is shown as two, each with the columns that name its rows. Into a pipe or a file everything
goes as it is: a line a row, however long.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from binarynet.errors import printable

_GAP = 2
_NARROWEST = 16  # columns below which a cell is not wrapped any more

Row = tuple[str, ...]


class Table:
    """Rows of text under a header; `console.print` lays it out.

    columns: their names; with '>' before it, a column stands to the right. keys: how many of the first columns say
    which row it is, and so stand in every part.
    """

    def __init__(self, *columns: str, keys: int = 1) -> None:
        self.columns = tuple(column.removeprefix(">") for column in columns)
        self.right = tuple(column.startswith(">") for column in columns)
        self.keys = keys
        self.rows: list[Row | None] = []  # None: a gap

    def add_row(self, *cells: str) -> None:
        """Cells that are left out are empty."""
        cells = tuple(printable(cell).replace("\n", " ") for cell in cells)
        self.rows.append((*cells, *[""] * (len(self.columns) - len(cells))))

    def add_section(self) -> None:
        """An empty line before the next row."""
        self.rows.append(None)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for header, line in self.lines(options.max_width):
            yield Text(line, style="bold" if header else "", no_wrap=True, overflow="ignore")

    def lines(self, width: int) -> Iterator[tuple[bool, str]]:
        """Each line of the table at a width, and whether it is of a header."""
        natural = [
            max(cell_len(row[column]) for row in (self.columns, *self.rows) if row is not None)
            for column in range(len(self.columns))
        ]
        most = max(_NARROWEST, (width - _NARROWEST) // self.keys - _GAP)
        natural[: self.keys] = [min(size, most) for size in natural[: self.keys]]
        room = max(_NARROWEST, width - sum(natural[: self.keys]) - _GAP * self.keys)
        widths = natural[: self.keys] + [min(size, room) for size in natural[self.keys :]]
        for number, part in enumerate(self._parts(widths, width)):
            if number:
                yield False, ""
            yield from self._part(part, widths, number > 0)

    def _parts(self, widths: list[int], width: int) -> Iterator[list[int]]:
        """The columns of each part: the keys, and as many others as fit."""
        keys = list(range(self.keys))
        part = list(keys)
        for column in range(self.keys, len(widths)):
            taken = sum(widths[one] + _GAP for one in part) + widths[column]
            if taken > width and len(part) > self.keys:
                yield part
                part = list(keys)
            part.append(column)
        yield part

    def _part(self, part: list[int], widths: list[int], later: bool) -> Iterator[tuple[bool, str]]:
        for number, row in enumerate((self.columns, *self.rows)):
            if row is None:
                yield False, ""
                continue
            if later and not any(row[column] for column in part[self.keys :]):
                continue  # says nothing here
            cells = [_wrapped(row[column], widths[column]) for column in part]
            for level in range(max(map(len, cells))):
                texts = [cell[level] if level < len(cell) else "" for cell in cells]
                padded = [self._padded(text, at, widths[at]) for text, at in zip(texts, part, strict=True)]
                yield number == 0, (" " * _GAP).join(padded).rstrip()

    def _padded(self, text: str, column: int, width: int) -> str:
        space = " " * (width - cell_len(text))
        return space + text if self.right[column] else text + space


def _wrapped(text: str, width: int) -> list[str]:
    if cell_len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
