"""The zoo: its index is true; models are found in a checkout, a folder or at an address; no other file is taken."""

import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import binarynet
from binarynet import models
from binarynet.cli import main
from binarynet.errors import FormatError, RuntimeUnavailable
from binarynet.models import zoo

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", zoo.entries())
def test_the_index_says_what_the_files_are(name):
    entry, file, card = zoo.entries()[name], ROOT / "zoo" / name / "model.bnn", models.card(name)
    blob = file.read_bytes()
    assert (len(blob), hashlib.sha256(blob).hexdigest()) == (entry.bytes, entry.sha256)
    assert models.find(name).read_bytes() == blob
    assert entry.command in card
    assert f"{entry.error:.2f} %" in card
    assert entry.data == binarynet.load_graph(file).meta["data"]


def test_the_zoo_is_no_larger_than_a_checkout_bears():
    assert (
        set(models.names()) <= set(zoo.entries()) == {folder.parent.name for folder in (ROOT / "zoo").glob("*/*.bnn")}
    )
    assert sum(entry.bytes for entry in zoo.entries().values()) < 12e6
    assert sum(zoo.entries()[name].bytes for name in models.names()) < 2e6


@pytest.fixture
def far(monkeypatch, tmp_path):
    """A model "far" that is in no checkout; a folder that has it."""
    blob = models.find("digits").read_bytes()
    entry = zoo.Entry("far", hashlib.sha256(blob).hexdigest(), len(blob), "digits", 1.35, "binarynet train far")
    monkeypatch.setattr(zoo, "entries", lambda: {"far": entry})
    monkeypatch.setattr(zoo, "checkout", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "zoo" / "far").mkdir(parents=True)
    (tmp_path / "zoo" / "far" / "model.bnn").write_bytes(blob)
    return tmp_path / "zoo"


def test_without_a_place_it_is_said_what_to_set(far):
    with pytest.raises(RuntimeUnavailable, match=r"far \(0\.1 MB\) is a model of the zoo.* Set BINARYNET_ZOO"):
        binarynet.load("far")
    assert zoo.where("far") == "not here: BINARYNET_ZOO says where"


def test_it_is_found_in_a_folder_and_another_file_is_refused(far, monkeypatch):
    monkeypatch.setenv("BINARYNET_ZOO", str(far))
    assert binarynet.load("far").input_shape == (64,)
    (far / "far" / "model.bnn").write_bytes(models.find(ROOT / "zoo/mnist-small/model.bnn").read_bytes())
    with pytest.raises(FormatError, match=r"SHA-256 .* but far of the zoo has"):
        binarynet.load("far")
    monkeypatch.setenv("BINARYNET_ZOO", str(far / "nowhere"))
    with pytest.raises(RuntimeUnavailable, match=r"It is not in .*nowhere"):
        binarynet.load("far")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *ignored):
        pass


def test_it_is_fetched_once_and_another_file_is_refused(far, monkeypatch):
    pytest.importorskip("pooch")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(far)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("BINARYNET_ZOO", f"http://127.0.0.1:{server.server_port}/")
        (far / "far" / "model.bnn").rename(far / "right")
        (far / "far" / "model.bnn").write_bytes(b"wrong")
        with pytest.raises(RuntimeUnavailable, match="hash"):
            binarynet.load("far")
        (far / "right").rename(far / "far" / "model.bnn")
        assert binarynet.load("far").input_shape == (64,)
        assert "far" in models.card("far")
    finally:
        server.shutdown()
        server.server_close()
    assert binarynet.load("far").input_shape == (64,)  # from the cache


def test_the_command_line_lists_them_and_shows_a_card(capsys):
    assert main(["zoo"]) == 0
    assert "mnist-small" in capsys.readouterr().out
    assert main(["zoo", "digits"]) == 0
    assert "comes along" in capsys.readouterr().out
    assert main(["zoo", "--json"]) == 0
    assert {entry["name"] for entry in json.loads(capsys.readouterr().out)} == set(zoo.entries())
    assert main(["zoo", "digitz"]) == 2
    assert "Did you mean 'digits'?" in capsys.readouterr().err
