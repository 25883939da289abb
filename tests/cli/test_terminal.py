"""What a terminal shows: tables that fit it, plain text in pipes, help that names defaults, completion."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console
from typer.main import get_command

from binarynet import data, models, recipes
from binarynet.cli import app, complete, main
from binarynet.cli.recipes import _fitted
from binarynet.cli.table import Table
from binarynet.export import TARGETS
from binarynet.models import zoo
from binarynet.runtime import isa

main(["--version"])  # adds the verbs


def shown(table, width):
    text = io.StringIO()
    Console(file=text, width=width, markup=False).print(table)
    return text.getvalue()


def wide():
    table = Table("layer", ">macs", "kernel", "remark")
    table.add_row("conv1", "1,234", "popcount, 8 planes, gathered codes", "[bold]first[/bold]")
    table.add_row("conv22", "7", "part of conv1")
    table.add_section()
    table.add_row("all", "1,241")
    return table


def test_a_table_that_fits_is_shown_as_it_is_without_blanks_at_the_end():
    assert shown(wide(), 200).splitlines() == [
        "layer    macs  kernel                              remark",
        "conv1   1,234  popcount, 8 planes, gathered codes  [bold]first[/bold]",
        "conv22      7  part of conv1",
        "",
        "all     1,241",
    ]


def test_a_table_that_is_too_wide_goes_on_below_with_the_names_of_its_rows():
    assert shown(wide(), 50).splitlines() == [
        "layer    macs  kernel",
        "conv1   1,234  popcount, 8 planes, gathered codes",
        "conv22      7  part of conv1",
        "",
        "all     1,241",
        "",
        "layer   remark",
        "conv1   [bold]first[/bold]",
        "",
    ]


def test_a_cell_that_is_wider_than_the_terminal_is_wrapped_at_words():
    lines = shown(wide(), 30).splitlines()
    assert max(map(len, lines)) <= 30
    assert "        gathered codes" in lines


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("command", ["inspect mnist-small", "recipes", "recipes bnn-torch7-mnist", "verify digits"])
def test_no_line_is_wider_than_the_terminal(command, width, monkeypatch, capsys):
    text = io.StringIO()
    console = Console(file=text, width=width, markup=False, highlight=False, emoji=False)
    for module in ("inspect", "recipes", "verify"):
        monkeypatch.setattr(f"binarynet.cli.{module}.console", console)
    assert main(command.split()) == 0
    lines = text.getvalue().splitlines()
    longest = max(len(word) for line in lines for word in line.split())
    laid_out = max((len(line) for line in lines if line.startswith("==")), default=0)  # a table in a recipe's page
    assert max(map(len, lines)) <= max(width, longest, laid_out)


def test_into_a_pipe_goes_a_line_a_row_and_no_blanks_at_the_end():
    command = [sys.executable, "-m", "binarynet.cli", "inspect", "mnist-small", "--wide"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert next(line for line in lines if line.startswith("conv1 ")).endswith("fused threshold")
    assert sum(line.startswith("conv1 ") for line in lines) == 1
    assert next(line for line in lines if line.startswith("expected with")).endswith("of memory")


def test_prose_is_filled_and_tables_stay():
    page = "A long line of prose that is\nwider than it may be.\n\n==== ====\na    b\n==== ===="
    assert list(_fitted(page, 20)) == [
        "A long line of prose",
        "that is wider than",
        "it may be.",
        "",
        *["==== ====", "a    b", "==== ===="],
        "",
    ]


def verbs(group=None, path=()):
    """(words, command) of every verb."""
    for name, command in (group or get_command(app.app)).commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, (*path, name))
        else:
            yield (*path, name), command


VERBS = dict(verbs())
assert len(VERBS) >= 14


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_says_what_each_option_does_and_what_it_is_without_it(words, capsys):
    for option in VERBS[words].params:
        if option.name in ("help", "install_completion", "show_completion"):
            continue
        assert option.help, f"{option.name} has no help"
        told = option.required or option.default is not None or isinstance(option.show_default, str)
        assert told, f"{option.name}: help does not name the default"
    assert main([*words, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_names_are_completed():
    assert complete.recipes("") == list(recipes.names())
    assert complete.recipes("bnn-m") == ["bnn-mnist"]
    assert complete.models("") == list(zoo.entries())
    assert set(models.names()) <= set(complete.models(""))
    assert complete.data_sets("") == list(data.names())
    assert complete.targets("") == list(TARGETS)
    assert complete.instruction_sets("port") == ["portable"]
    assert complete.instruction_sets("") == list(isa.available())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("binarynet insp", ["inspect"]),
        ("binarynet inspect mn", ["mnist-small"]),
        ("binarynet train bnn-torch7-m", ["bnn-torch7-mnist"]),
        ("binarynet export digits --to ver", ["verilog"]),
        ("binarynet bench su", ["suite"]),
        ("binarynet eval --dat", ["--data", "--data-dir"]),
    ],
)
def test_a_shell_completes_words_without_importing_torch(words, expected):
    code = "import sys; sys.modules['torch'] = None; sys.argv = ['binarynet']; from binarynet.cli import main; main()"
    asked = {"_BINARYNET_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    assert done.stdout.split() == expected, done.stderr
