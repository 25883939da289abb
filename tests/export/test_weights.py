"""The bare numbers: three files that hold the same, read back with nothing but what they say of themselves."""

from __future__ import annotations

import json
import re
import subprocess

import numpy as np
import pytest

from binarynet.export import Options, write
from binarynet.export.options import WordOptions
from binarynet.graph.ir import Threshold
from tests.export.building import STRICT, need
from tests.export.graphs import SAME, WEIGHTS, Whole
from tests.graph.graphs import small_convnet


def model():
    make = Whole((5, 5, 3), "b8", seed=1)
    for encoding in (*WEIGHTS, "f32"):
        make.conv(4, padding=SAME, encoding=encoding)
        make.threshold(encoding="b2" if encoding == "t2" else "b1")
    make.last = make._add(Threshold("again", (make.affine(),), make.reals(4, 1), np.ones(4, bool)))
    make.max_pool((2, 2), (2, 2))
    make.flatten()
    make.linear(3, encoding="b1")
    make.affine()
    return make.graph()


def arrays(graph):
    """Every array of a graph, by the name that the files give it."""
    return {
        f"{op.name}.{field}": array
        for op in graph.ops
        for field, array in vars(op).items()
        if isinstance(array, np.ndarray)
    }


def decoded(entry, blob, word):
    """One tensor from the raw file, by docs/export.md alone."""
    raw = blob[entry["offset"] : entry["offset"] + entry["bytes"]]
    shape, encoding = entry["shape"], entry["encoding"]
    if entry["stored as"] in ("int32_t", "float"):
        return np.frombuffer(raw, {"int32_t": "<i4", "float": "<f4"}[entry["stored as"]]).reshape(shape)
    assert entry["stored as"] == f"uint{word}_t"
    words = np.frombuffer(raw, f"<u{word // 8}").reshape(entry["stored shape"])
    bits = [[int(w) >> i & 1 for w in row for i in range(word)] for row in words.reshape(-1, words.shape[-1])]
    if encoding == "yes/no":
        return np.array(bits[0][: shape[0]], bool)
    depth, planes = int(np.prod(shape[1:])), words.shape[1]
    digits = np.array(bits)[:, :depth].reshape(shape[0], planes, depth)
    assert not np.array(bits)[:, depth:].any()
    factors = 2 ** np.arange(planes)
    if encoding == "t2":
        numbers = digits[:, 0] * (2 * digits[:, 1] - 1)
    elif encoding[0] == "b":
        numbers = ((2 * digits - 1) * factors[:, None]).sum(axis=1)
    else:
        if encoding[0] == "i":
            factors[-1] *= -1
        numbers = (digits * factors[:, None]).sum(axis=1)
    return numbers.reshape(shape)


@pytest.mark.parametrize("word", [32, 64])
def test_the_raw_file_reads_back_by_its_layout(word, tmp_path):
    graph = model()
    write(graph, "weights", tmp_path, WordOptions("net", word=word))
    layout = json.loads((tmp_path / "net.json").read_text(encoding="utf-8"))
    blob = (tmp_path / "net.bin").read_bytes()
    assert layout["bytes"] == len(blob) == sum(entry["bytes"] for entry in layout["tensors"])
    found = {entry["name"]: decoded(entry, blob, word) for entry in layout["tensors"]}
    expected = arrays(graph)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_the_npz_holds_the_numbers_in_their_types(tmp_path):
    graph = model()
    write(graph, "weights", tmp_path, Options("net"))
    with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
        for name, array in arrays(graph).items():
            assert archive[name].dtype == array.dtype
            np.testing.assert_array_equal(archive[name], array)


@pytest.mark.parametrize("word", [32, 64])
def test_the_c_arrays_are_the_bytes_of_the_raw_file(word, tmp_path):
    need("gcc")
    write(model(), "weights", tmp_path, WordOptions("net", word=word))
    names = re.findall(r"extern const \w+ (\w+)\[", (tmp_path / "net_weights.h").read_text(encoding="utf-8"))
    writes = "".join(f"fwrite({name}, 1, sizeof {name}, stdout);\n" for name in names)
    main = f'#include "net_weights.h"\n#include <stdio.h>\nint main(void) {{\n{writes}return 0;\n}}\n'
    (tmp_path / "main.c").write_text(main)
    subprocess.run(["gcc", "-std=c99", *STRICT, "-o", "dump", "main.c", "net_weights.c"], cwd=tmp_path, check=True)
    dumped = subprocess.run([tmp_path / "dump"], capture_output=True, check=True).stdout
    assert dumped == (tmp_path / "net.bin").read_bytes()


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write(small_convnet(), "weights", tmp_path / folder, Options("net"))
    for file in ("net.bin", "net.json", "net_weights.c", "net_weights.h", "net.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
