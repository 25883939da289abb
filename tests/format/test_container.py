"""The `.bnn` file: round trip, determinism, the specification page, and every way to be damaged."""

import hashlib
import json
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from binarynet.errors import FormatError
from binarynet.format import from_bytes, load, save, to_bytes
from binarynet.format.packed import Packed
from binarynet.graph import Encoding, Graph, interpret
from binarynet.graph.ir import Input, Linear, Threshold
from binarynet.graph.weights import held
from tests.graph.graphs import small_convnet, small_mlp

ROOT = Path(__file__).parents[2]


def bytes_of(graph: Graph, seed: int = 0, n: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *graph.input.shape)).astype(np.uint8)


@pytest.mark.parametrize("graph", [small_mlp(), small_convnet(), small_mlp(features=65, hidden=129)])
def test_a_saved_graph_loads_as_the_same_graph(graph, tmp_path):
    save(graph, tmp_path / "m.bnn")
    loaded = load(tmp_path / "m.bnn")
    images = bytes_of(graph)
    assert np.array_equal(interpret(loaded, images), interpret(graph, images))
    assert dict(loaded.meta) == dict(graph.meta)
    assert to_bytes(loaded) == to_bytes(graph)


@pytest.mark.parametrize(
    ("name", "values"),
    [("t2", [-1, 0, 1]), ("b2", [-3, -1, 1, 3]), ("i4", range(-8, 8)), ("u1", [0, 1]), ("u3", range(8))],
)
def test_weights_of_several_bits_survive(name, values):
    weight = np.random.default_rng(0).choice(np.array(values, np.int8), (5, 70))
    loaded = from_bytes(to_bytes(_one_linear(weight, name)))
    assert np.array_equal(loaded["l"].weight, weight)


def test_loaded_weights_stay_packed_until_they_are_read():
    graph = from_bytes(to_bytes(small_mlp()))
    linear = graph["linear1"]
    assert isinstance(held(linear), Packed)
    assert linear.weight_shape == small_mlp()["linear1"].weight.shape
    assert to_bytes(graph) == to_bytes(small_mlp())
    assert isinstance(held(linear), Packed), "neither the shape nor a copy needs numbers"
    assert np.array_equal(linear.weight, small_mlp()["linear1"].weight)
    assert linear.weight is linear.weight, "unpacked once"


@pytest.mark.parametrize(
    ("encoding", "code"), [("t2", 0b10), ("b8", 0), ("b8", 63), ("b8", 192), ("b8", 255), ("u8", 128), ("u8", 255)]
)
def test_bits_that_mean_no_weight_are_refused(encoding, code):
    bits = Encoding.parse(encoding).bits
    words = np.array([[[code >> n & 1]] for n in range(bits)], np.uint64)
    graph = Graph((Input("x", (), (1,), "b1"), Linear("l", ("x",), Packed(words, (1, 1), encoding), encoding)))
    with pytest.raises(FormatError, match=f"a weight that {encoding} does not have, or that is outside"):
        from_bytes(to_bytes(graph))


def test_every_weight_that_int8_holds_survives_in_the_widest_encodings():
    for encoding, numbers in (("b8", np.arange(-127, 128, 2)), ("u8", np.arange(128)), ("i8", np.arange(-128, 128))):
        weight = numbers.astype(np.int8)[None]
        assert np.array_equal(from_bytes(to_bytes(_one_linear(weight, encoding)))["l"].weight, weight)


def _one_linear(weight, encoding):
    return Graph((Input("x", (), (weight.shape[1],), "b1"), Linear("l", ("x",), weight, encoding)))


def test_weights_take_one_bit_each():
    graph = _one_linear(np.ones((512, 512), np.int8), "b1")
    assert len(to_bytes(graph)) <= 512 * 512 // 8 + 700


def test_the_same_graph_gives_the_same_bytes_as_the_golden_file():
    golden = ROOT / "tests" / "data" / "small_convnet.bnn"
    assert to_bytes(small_convnet()) == golden.read_bytes()


def test_the_specification_page_builds_a_file(tmp_path):
    page = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope: dict = {}
    exec(code, scope)
    graph = from_bytes(scope["blob"])
    images = np.array([[0, 0], [255, 0], [3, 200]], np.uint8)
    wide = 2 * images.astype(int) - 255
    expected = np.stack([wide[:, 0] + wide[:, 1], wide[:, 1] - wide[:, 0]], axis=1)
    assert np.array_equal(interpret(graph, images), expected)
    assert graph.classes == ("sum", "difference")
    assert set(to_bytes(graph)) <= set(range(256))  # and our writer takes it


def test_every_flipped_byte_is_an_error_or_an_equal_answer():
    graph = small_mlp()
    blob, images = to_bytes(graph), bytes_of(graph)
    expected = interpret(graph, images)
    for place in range(len(blob)):
        for mask in (0xFF, 0x01, 0x80):
            damaged = bytearray(blob)
            damaged[place] ^= mask
            try:
                loaded = from_bytes(bytes(damaged))
            except FormatError:
                continue
            assert np.array_equal(interpret(loaded, images), expected), f"byte {place} ^ {mask:#x}"


def test_every_truncation_is_an_error():
    blob = to_bytes(small_mlp())
    for length in range(len(blob)):
        with pytest.raises(FormatError):
            from_bytes(blob[:length])
    with pytest.raises(FormatError):
        from_bytes(blob + b"\0")


def resigned(change) -> bytes:
    """The small MLP's file with its graph changed and a *valid* checksum, so that the later checks are reached."""
    blob = to_bytes(small_mlp())
    length = int.from_bytes(blob[:8], "little")
    header, data = json.loads(blob[8 : 8 + length]), blob[8 + length :]
    graph = json.loads(header["__metadata__"]["binarynet"])
    changed = change(graph, header, data)
    data = changed if isinstance(changed, bytes) else data
    graph["sha256"] = "0" * 64
    header["__metadata__"]["binarynet"] = json.dumps(graph, separators=(",", ":"))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    blob = struct.pack("<Q", len(text)) + text + data
    return blob.replace(b"0" * 64, hashlib.sha256(blob).hexdigest().encode(), 1)


def _set(op, key, value):
    def change(graph, header, data):
        graph["ops"][op][key] = value

    return change


def _tail_bit(graph, header, data):
    start = header["linear1.weight"]["data_offsets"][0]
    return data[: start + 7] + bytes([data[start + 7] | 0x80]) + data[start + 8 :]


def _nan(graph, header, data):
    start = header["logits.scale"]["data_offsets"][0]
    return data[:start] + struct.pack("<f", float("nan")) + data[start + 4 :]


def _one_row(graph, header, data):
    """A weight that is a single row: one size, and a tensor of one."""
    graph["ops"][1]["weight_shape"] = [10]
    header["linear1.weight"]["shape"] = [1]
    start, end = header["linear1.weight"]["data_offsets"]
    header["linear1.weight"]["data_offsets"] = [start, start + 8]
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["data_offsets"][0] >= end:
            tensor["data_offsets"] = [place - (end - start - 8) for place in tensor["data_offsets"]]
    return data[: start + 8] + data[end:]


WRONG = {
    "format version 3": lambda graph, header, data: graph.update(version=3),
    "needs exactly the keys": lambda graph, header, data: graph.update(extra=1),
    "meta must map": lambda graph, header, data: graph.update(meta={"a": 1}),
    "unknown op 'Gemm'": _set(1, "op", "Gemm"),
    "unknown op None": lambda graph, header, data: graph["ops"].insert(1, {}),
    "an op is a JSON object, not 'Linear'": lambda graph, header, data: graph["ops"].insert(1, "Linear"),
    "an op is a JSON object, not None": lambda graph, header, data: graph["ops"].insert(1, None),
    "needs \\['name'": _set(1, "colour", "red"),
    "is not a text": _set(1, "name", 3),
    "is not a list": _set(1, "sources", "input"),
    "is not a whole number": _set(0, "shape", [10.5]),
    "unknown encoding": _set(1, "weight_encoding", "b9"),
    "which is not made before it": _set(1, "sources", ["nowhere"]),
    "reads 2 values, needs 1": _set(1, "sources", ["input", "input"]),
    "the name is used twice": lambda graph, header, data: graph["ops"].insert(1, dict(graph["ops"][0])),
    "bit behind the last value": _tail_bit,
    "not finite": _nan,
    "is U64": _set(1, "weight_shape", [6, 10]),
    "needs positive sizes": _set(1, "weight_shape", [0, 10]),
    "needs two sizes or more": _one_row,
    "has weights for 10 inputs, reads 9": _set(0, "shape", [9]),
    "tensors that no op owns": lambda graph, header, data: graph["ops"].pop(),
    "is missing": lambda graph, header, data: header.update({"x": header.pop("logits.scale")}),
    "fit 31 bits": _set(0, "shape", [2**31]),
    "format version True": lambda graph, header, data: graph.update(version=True),
    "format version 1.0": lambda graph, header, data: graph.update(version=1.0),
    "shape: True is not a whole number": _set(0, "shape", [True]),
    "classes names 2 classes, the answer has 3": lambda graph, header, data: graph["meta"].update(classes="a\nb"),
    "classes names 4 classes, the answer has 3": lambda graph, header, data: graph["meta"].update(classes="a\n\nb\n"),
    "half of a surrogate pair": lambda graph, header, data: graph["meta"].update(about="a\ud800"),
    "the key '' is empty": lambda graph, header, data: graph["meta"].update({"": "a"}),
    "its name has 1001 characters": _set(0, "name", "x" * 1001),
    r"its name holds the control character U\+001B": _set(0, "name", "\x1b[31m"),
    "holds half of a surrogate pair, which": lambda graph, header, data: graph["meta"].update({"\ud800": "a"}),
    r"the shape \[0, 1099511627776, 1099511627776\]": lambda graph, header, data: header.update(
        x={"dtype": "U64", "shape": [0, 2**40, 2**40], "data_offsets": [0, 0]}
    ),
    r"the shape \[\]": lambda graph, header, data: _appended(header, data, []),
    "it takes 1 to 4 positive sizes": lambda graph, header, data: _appended(header, data, [1] * 65),
}


def _appended(header, data, shape):
    """One more tensor of one number, whose shape has a rank that numpy, or nobody, takes."""
    header["x"] = {"dtype": "I32", "shape": shape, "data_offsets": [len(data), len(data) + 4]}
    return data + b"\0\0\0\0"


@pytest.mark.parametrize("message", WRONG)
def test_each_way_to_be_wrong_has_its_own_message(message):
    with pytest.raises(FormatError, match=message):
        from_bytes(resigned(WRONG[message]))


def raw(header: str | bytes, data: bytes = b"") -> bytes:
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text)) + text + data


def doubled(text: str) -> bytes:
    """The small MLP's file, its graph a text in which something stands twice, with a valid checksum."""
    blob = to_bytes(small_mlp())
    length = int.from_bytes(blob[:8], "little")
    header, data = json.loads(blob[8 : 8 + length]), blob[8 + length :]
    graph = re.sub('"sha256":"[0-9a-f]*"', f'"sha256":"{"0" * 64}"', header["__metadata__"]["binarynet"])
    header["__metadata__"]["binarynet"] = graph.replace('"version":1', text, 1)
    blob = raw(json.dumps(header), data)
    return blob.replace(b"0" * 64, hashlib.sha256(blob).hexdigest().encode(), 1)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (raw("{}"), "no binarynet model: .* it has None"),
        (raw('{"__metadata__": null}'), "no binarynet model|not a safetensors file"),
        (raw('{"__metadata__": {"binarynet": null}}'), "not a safetensors file"),
        (raw('{"__metadata__": {"binarynet": "1"}}'), "the graph is not a JSON object"),
        (raw('{"__metadata__": {"binarynet": "NaN"}}'), "NaN is not a number"),
        (raw('{"__metadata__": {"binarynet": "1e999"}}'), "1e999 is too large for a number"),
        (raw('{"__metadata__": {"binarynet": "1.5e3"}}'), "the graph is not a JSON object"),
        (raw('{"__metadata__": {"binarynet": "[-0]"}}'), "-0 is no whole number"),
        (raw('{"__metadata__": {"binarynet": "[9223372036854775808]"}}'), "is no whole number of 64 bits"),
        (raw(json.dumps({"__metadata__": {"binarynet": "[" * 64 + "1" + "]" * 64}})), "nested more than 64 deep"),
        (raw(json.dumps({"__metadata__": {"binarynet": "[" * 63 + "1" + "]" * 63}})), "the graph is not a JSON object"),
        (raw('{"__metadata__": {"binarynet": "[\\"\\\\ud800\\"]"}}'), "half of a surrogate pair"),
        (raw(' {"__metadata__": {"binarynet": "1"}}'), "JSON object that begins at once"),
        (raw('{"a": ["U64", [1], [0, 8]]}', b"12345678"), "needs exactly the keys"),
        (raw('{"a": {"dtype": "U64", "shape": [1], "data_offsets": [0, 8], "x": 1}}', b"12345678"), "exactly the keys"),
        (
            raw('{"a": {"dtype": "U64", "shape": [1.0], "data_offsets": [0, 8]}}', b"12345678"),
            "no list of whole numbers",
        ),
        (raw('{"a": {"dtype": ["U64"], "shape": [1], "data_offsets": [0, 8]}}', b"12345678"), "a .bnn holds"),
        (raw('{"__metadata__": {"binarynet": "%s"}}' % ("[" * 100_000)), "is not JSON"),
        (raw("[" * 100_000), "is not JSON"),
        (raw("[]"), "not a safetensors file"),
        (raw(b"\xff\xfe{\0}\0"), "is not JSON"),
        (
            raw('{"__metadata__": {"binarynet": "1"}, "__metadata__": {"binarynet": "2"}}'),
            "'__metadata__' stands twice",
        ),
        (raw('{"a": 1, "a": 2}'), "the key 'a' stands twice"),
        (raw('{"__metadata__": {"binarynet": "%s"}}' % ("9" * 5000)), "is not JSON"),
        (raw(" " * (2**23 + 1)), "the header has 8,388,609 bytes, the limit is 8,388,608"),
        (struct.pack("<Q", 2**63) + b"{}", "not whole"),
        (doubled('"version":1,"version":1'), "the key 'version' stands twice"),
        (doubled('"version":1,"version":2'), "the key 'version' stands twice"),
    ],
)
def test_a_header_that_readers_could_read_differently_is_refused(blob, message):
    with pytest.raises(FormatError, match=message):
        from_bytes(blob)


def test_any_kind_of_bytes_is_read_alike():
    blob = to_bytes(small_mlp())
    for kind in (bytes, bytearray, memoryview):
        assert to_bytes(from_bytes(kind(blob))) == blob


def test_a_file_is_the_one_that_is_meant_or_refused(tmp_path):
    save(small_mlp(), tmp_path / "m.bnn")
    digest = hashlib.sha256((tmp_path / "m.bnn").read_bytes()).hexdigest()
    for given in (digest, digest.upper(), f" {digest}\n"):
        assert to_bytes(load(tmp_path / "m.bnn", sha256=given)) == to_bytes(small_mlp())
    save(small_mlp(seed=1), tmp_path / "m.bnn")
    with pytest.raises(FormatError, match="another file than the one that is meant"):
        load(tmp_path / "m.bnn", sha256=digest)
    (tmp_path / "m.bnn").write_bytes(b"anything")
    with pytest.raises(FormatError, match="another file than the one that is meant"):  # before it is parsed
        load(tmp_path / "m.bnn", sha256=digest)
    for wrong in ("", digest[:-1], "g" * 64):
        with pytest.raises(FormatError, match="64 hexadecimal digits"):
            load(tmp_path / "m.bnn", sha256=wrong)


@pytest.mark.parametrize("path", ["/dev/zero", "/", "a\0b", "x" * 300])
def test_what_is_no_file_is_refused_and_not_waited_for(path):
    with pytest.raises(FormatError, match=r"not a regular file|cannot be read|is a folder"):
        load(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="not a regular file"):
        load(tmp_path / "pipe")


def test_a_message_quotes_a_file_in_characters_that_steer_nothing_and_briefly():
    for name in ("\x1b[31m\u202e", "x" * 10**6):
        with pytest.raises(FormatError) as caught:
            from_bytes(resigned(lambda graph, header, data, name=name: graph["ops"][1].update(op=name)))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 5000


def test_an_unchanged_resigned_file_is_valid():
    from_bytes(resigned(lambda graph, header, data: None))


def test_a_foreign_safetensors_file_is_refused():
    from safetensors.numpy import save as save_tensors

    with pytest.raises(FormatError, match="no binarynet model"):
        from_bytes(save_tensors({"a": np.zeros(3, np.float32)}))


@pytest.mark.parametrize("blob", [b"", b"\0" * 8, b"\xff" * 64, b"PK\x03\x04 a zip", b"\x80\x04\x95 a pickle" * 9])
def test_what_is_no_safetensors_file_is_refused(blob):
    with pytest.raises(FormatError, match="not a safetensors file"):
        from_bytes(blob)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"nothing\.bnn: cannot be read"):
        load(tmp_path / "nothing.bnn")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.bnn"
    save(small_mlp(), path)
    before = path.read_bytes()
    for call in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(f"os.{call}", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                save(small_mlp(seed=1), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.bnn"]


def test_thresholds_after_reals_may_be_infinite_but_not_nan():
    def graph(t):
        return Graph(
            (
                Input("x", (), (2,), "f32"),
                Threshold("t", ("x",), np.array([[t], [0]], np.float32), np.ones(2, bool)),
            )
        )

    assert from_bytes(to_bytes(graph(np.inf)))["t"].thresholds[0, 0] == np.inf
    with pytest.raises(Exception, match="not a number"):
        to_bytes(graph(np.nan))
