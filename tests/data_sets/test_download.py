from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from binarynet.data import load, load_split
from binarynet.data.catalogue import SOURCES
from binarynet.data.download import fetch
from binarynet.data.source import Layout, Published, Source

from .written import write_cifar10_binary, write_mnist

REAL_RETRIEVE = pooch.retrieve


class Web:
    """Stands in for `pooch.retrieve`: serves the files of a folder, except from hosts that are down."""

    def __init__(self, files: Path, down: tuple[str, ...] = ()) -> None:
        self.files, self.down, self.asked = files, down, list[tuple[str, str]]()

    def retrieve(self, url: str, known_hash: str, fname: str, path: Path, progressbar: bool) -> str:
        self.asked.append((url, known_hash))
        if any(host in url for host in self.down):
            raise TimeoutError(f"{url} is down\nand says so at length")
        assert url.endswith(f"/{fname}")
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes((self.files / fname).read_bytes())
        return str(path / fname)


def test_a_set_is_downloaded_into_the_cache_as_a_data_directory(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist(tmp_path, n_test=5)
    web = Web(tmp_path)
    monkeypatch.setattr(pooch, "retrieve", web.retrieve)
    assert len(load("mnist").test) == 5
    assert len(web.asked) == 4
    assert all(known_hash.startswith("sha256:") for _, known_hash in web.asked)
    assert len(load("mnist", cache, download=False).test) == 5


def test_the_next_mirror_is_asked_when_one_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path)
    web = Web(tmp_path, down=("ossci-datasets",))
    monkeypatch.setattr(pooch, "retrieve", web.retrieve)
    assert len(load_split("mnist", "test")) == 5
    assert ["cvdf-datasets" in url for url, _ in web.asked] == [False, True, False, True]


def test_when_all_mirrors_are_down_each_answer_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooch, "retrieve", Web(tmp_path, down=("http",)).retrieve)
    with pytest.raises(Exception, match=r"ossci.*TimeoutError: .* is down; .*cvdf.*TimeoutError") as caught:
        load("mnist")
    assert "at length" not in str(caught.value)


def test_an_archive_is_unpacked_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = write_cifar10_binary(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "cifar-10-batches-bin", arcname="cifar-10-batches-bin")
    web = Web(tmp_path)
    monkeypatch.setattr(pooch, "retrieve", web.retrieve)
    for _ in range(2):
        np.testing.assert_array_equal(load("cifar10").test.images, images[20:])
    assert len(web.asked) == 1
    left = sorted(path.name for path in (cache / "cifar-10" / "cifar-10-batches-bin").iterdir())
    assert left == ["cifar-10-binary.tar.gz", *(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def test_an_archive_without_a_file_is_an_error_that_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin"), io.BytesIO())
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_2.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    monkeypatch.setattr(pooch, "retrieve", Web(tmp_path).retrieve)
    with pytest.raises(Exception, match=r"cifar-10-binary\.tar\.gz does not hold data_batch_2\.bin"):
        load("cifar10")


def test_every_published_file_has_a_sha256_and_a_place_in_its_layout() -> None:
    for source in SOURCES:
        provided = [name for published in source.published for name in published.provides]
        wanted = source.layouts[0].files(["training", "test"]) if source.layouts else ()
        assert sorted(provided) == sorted(wanted)
        for published in source.published:
            assert len(published.urls) >= 2
            assert len(bytes.fromhex(published.sha256)) == 32
            assert all(url.endswith(f"/{published.file}") for url in published.urls)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server on this machine: `/good/…` has the file, `/bad/…` another one, nothing else is found."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith(("/good/", "/bad/"))
            content = b"the file" if self.path.startswith("/good/") else b"a captive portal"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setattr(pooch, "retrieve", REAL_RETRIEVE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def one_file(*urls: str) -> Source:
    published = Published("file", hashlib.sha256(b"the file").hexdigest(), urls, ("file",))

    def never(paths: object) -> None:
        raise AssertionError("nothing is read")

    return Source("one", (), (Layout("one", ("file",), ()),), (published,), never, never)  # type: ignore[arg-type]


def test_a_copy_with_the_wrong_digest_is_thrown_away_and_the_next_mirror_asked(tmp_path: Path, server: str) -> None:
    source = one_file(f"{server}/absent/file", f"{server}/bad/file", f"{server}/good/file")
    assert fetch(source, ["training"], tmp_path) == ""
    assert (tmp_path / "one" / "file").read_bytes() == b"the file"


def test_with_wrong_digests_only_nothing_is_kept(tmp_path: Path, server: str) -> None:
    why = fetch(one_file(f"{server}/bad/file"), ["training"], tmp_path)
    assert "/bad/file: ValueError" in why
    assert not (tmp_path / "one" / "file").exists()


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path, server: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "file").write_bytes(b"the fil")
    assert fetch(one_file(f"{server}/good/file"), ["training"], tmp_path) == ""
    assert (tmp_path / "one" / "file").read_bytes() == b"the file"
