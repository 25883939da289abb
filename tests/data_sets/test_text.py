"""Texts by number: vocabularies, windows, and the one line for each thing that is wrong with a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from binarynet.data import load, load_split
from binarynet.data.text import Tokens
from binarynet.errors import DataError

CHARACTERS, WORDS = Tokens("characters", 4), Tokens("words", 3)


def names(data: object, split: str, row: int) -> list[str]:
    part = getattr(data, split)
    digits = part.images[row, :, 0].astype(int)
    numbers = digits[0] if len(digits) == 1 else 256 * digits[0] + digits[1]
    return [data.classes[number] for number in (*numbers, part.labels[row])]  # type: ignore[attr-defined]


def test_windows_lie_side_by_side_and_ask_for_the_token_behind_them(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("ab a\nbaab aab")
    (tmp_path / "ptb.valid.txt").write_text("abaab")
    (tmp_path / "test.txt").write_text("bbbbbaaaa")
    data = load(tmp_path, text=CHARACTERS)
    assert data.classes[0] == "a"
    assert data.shape == (1, 1, 4)
    assert [len(data.train), len(data.validation), len(data.test)] == [3, 1, 2]
    assert names(data, "train", 0) == ["a", "b", " ", "a", "<eos>"]
    assert names(data, "train", 1) == ["<eos>", "b", "a", "a", "b"]
    assert names(data, "test", 1) == ["b", "a", "a", "a", "a"]


def test_words_end_with_their_line_and_the_rarest_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("the cat the dog\nthe rare cat the\n" * 3)
    (tmp_path / "test.txt").write_text("the zebra cat\nthe cat\n")
    (tmp_path / "valid.txt").write_text("the cat dog dog\n")
    data = load(tmp_path, text=Tokens("words", 3, most=4))
    assert data.classes == ("the", "<eos>", "cat", "<unk>")
    assert names(data, "train", 0) == ["the", "cat", "the", "<unk>"]
    assert names(data, "test", 0) == ["the", "<unk>", "cat", "<eos>"]


def test_more_than_256_tokens_are_two_bytes(tmp_path: Path) -> None:
    text = " ".join(f"w{k:03}" for k in np.random.default_rng(0).integers(0, 300, 4000))
    (tmp_path / "t.txt").write_text(text)
    data = load(tmp_path / "t.txt", text=WORDS)
    assert len(data.classes) > 256
    assert data.shape == (2, 1, 3)
    words = text.split()
    assert [names(data, "train", row) for row in (0, 5)] == [words[:4], words[15:19]]


def test_a_single_file_is_cut_in_three_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("0123456789" * 20)
    data = load(tmp_path / "t.txt", text=CHARACTERS)
    assert [len(data.train), len(data.validation), len(data.test)] == [39, 4, 4]
    assert names(data, "test", 0) == list("01234")
    again = load_split(tmp_path / "t.txt", "test", text=CHARACTERS, classes=data.classes)
    assert np.array_equal(again.images, data.test.images)


def test_odd_characters_have_names_that_a_file_can_list(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a\tb\x1b[0m\r\n\u202e日本" * 30, encoding="utf-8")
    data = load(tmp_path / "t.txt", text=CHARACTERS)
    assert all(name.isprintable() for name in data.classes)
    assert {"U+0009", "U+001B", "U+202E", "日", "<eos>"} <= set(data.classes)


def test_256_characters_at_most_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("".join(map(chr, range(0x4E00, 0x4E00 + 400))) * 3, encoding="utf-8")
    data = load(tmp_path / "t.txt", text=CHARACTERS)
    assert len(data.classes) == 256
    assert data.classes[-1] == "<unk>"
    assert data.shape[0] == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.txt": b"abc"}, r"\(.*\) holds \d tokens; a window of 4"),
        ({"train.txt": b"\xff\xfe\x00"}, r"train\.txt is no UTF-8: byte 0 is 0xff"),
        ({"notes.txt": b"abab" * 20}, "holds no text to learn: a file train.txt"),
        ({"train.txt": b"abab" * 20, "training.txt": b"ab"}, "the split 'train' stands twice"),
        ({"train.txt": b"aaaa" * 20}, "holds 1 different tokens"),
    ],
)
def test_a_text_that_is_none_is_named(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path, text=CHARACTERS)


def test_a_token_that_a_model_does_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abz" * 100)
    with pytest.raises(DataError, match="holds 'z', which the training text never has"):
        load_split(tmp_path / "t.txt", "test", text=CHARACTERS, classes=("a", "b"))


@pytest.mark.parametrize("wrong", [{"kind": "bytes"}, {"steps": 0}, {"most": 1}, {"most": 10**6}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="needed are characters or words"):
        Tokens(**wrong)  # type: ignore[arg-type]
