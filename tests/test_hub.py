"""The hub, against a local stand-in of its HTTP interface: what is pushed is what `load` gets, and errors are a line.

The stand-in answers what huggingface_hub asks for small files: create, preupload, commit, resolve. No test meets the
hub itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

pytest.importorskip("huggingface_hub", reason="the hub needs huggingface_hub: pip install 'binarynet[hub]'")

COMMIT = "0" * 39 + "1"


class StandIn(BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}

    def log_message(self, *arguments):
        pass

    def answer(self, document, code=200):
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        root = f"http://{self.headers['Host']}/user/name"
        if "/preupload/" in self.path:
            asked = json.loads(content)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]})
        elif "/commit/" in self.path:
            for line in map(json.loads, content.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"success": True, "commitUrl": f"{root}/commit/{COMMIT}", "commitOid": COMMIT})
        elif self.path.startswith("/api/repos/create"):
            self.answer({"url": root, "name": "user/name", "id": "user/name"})
        else:
            self.answer({"errors": [], "warnings": []})

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if "/resolve/" not in self.path or name not in self.files:
            self.answer({"error": "not found"}, 404)
            return
        content = self.files[name]
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


@pytest.fixture
def endpoint(tmp_path, monkeypatch):
    StandIn.files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "cache"),
        "HF_TOKEN": "hf_none",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    server.shutdown()
    server.server_close()


def binarynet(endpoint, *arguments):
    command = [sys.executable, "-m", "binarynet.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=endpoint, timeout=120)


def test_what_is_pushed_is_what_is_loaded(endpoint):
    from binarynet.models import find

    done = binarynet(endpoint, "push", "digits", "hf://user/name")
    assert done.returncode == 0, done.stderr
    assert COMMIT in done.stdout
    assert StandIn.files["model.bnn"] == find("digits").read_bytes()
    card = StandIn.files["README.md"].decode()
    assert "library_name: binarynet" in card
    assert 'load("hf://user/name")' in card
    done = binarynet(endpoint, "eval", "hf://user/name", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 296


NET = """
from binarynet import recipes
from binarynet.train import Pretrained
recipe = recipes.get("bnn-digits").with_settings({"width": "16", "layers": "1"})
net = Pretrained(recipe, recipe.model((1, 8, 8), 10), (1, 8, 8), tuple("0123456789"), "digits")
print(net.push_to_hub("hf://user/name"))
found = Pretrained.from_pretrained("hf://user/name")
assert all(found.model.state_dict()[key].equal(value) for key, value in net.model.state_dict().items())
assert found.recipe.width == 16
"""


def test_a_training_net_that_is_pushed_is_what_is_got(endpoint):
    pytest.importorskip("torch", reason="training nets need torch: pip install 'binarynet[train]'")
    done = subprocess.run([sys.executable, "-c", NET], capture_output=True, text=True, env=endpoint, timeout=120)
    assert done.returncode == 0, done.stderr
    assert COMMIT in done.stdout
    assert set(StandIn.files) == {"config.json", "model.safetensors", "README.md"}


def test_what_the_hub_has_not_or_sends_damaged_is_named_in_a_line(endpoint):
    done = binarynet(endpoint, "verify", "hf://user/name")
    assert done.returncode == 2
    assert "hf://user/name" in done.stderr
    assert done.stderr.count("\n") == 1
    StandIn.files["model.bnn"] = b"\x00" * 100
    done = binarynet(endpoint, "verify", "hf://user/name@other")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    done = binarynet(endpoint, "verify", "hf://user")
    assert "write hf://user/name" in done.stderr


def test_the_card_says_the_accuracy_in_the_hubs_keys_and_escapes_names():
    from binarynet.hub import card_of

    card = card_of("user/name", {"data": "digits", "recipe": "<script>|x"}, 98.5, 1234)
    assert "value: 0.985" in card
    assert "98.50 %" in card
    assert "<script>" not in card
