"""How a picture is shown to a model: what its file says, and nothing where that is not understood."""

from pathlib import Path

import pytest
from PIL import Image

from binarynet.data.shown import Shown
from binarynet.errors import InputError


@pytest.mark.parametrize(
    ("shape", "meta", "wanted"),
    [
        ((8, 9, 1), {}, (1, 8, 9)),
        ((64,), {}, (1, 8, 8)),
        ((192,), {}, (3, 8, 8)),
        ((64,), {"shape": "1x4x16"}, (1, 4, 16)),
        ((6, 6, 3), {"resize": "9", "background": "black"}, (3, 6, 6)),
    ],
)
def test_a_picture_comes_in_the_shape_that_the_model_learnt_from(shape, meta, wanted, tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "white").save(tmp_path / "a.png")
    pixels, _ = Shown.to(shape, meta).read(tmp_path / "a.png")
    assert pixels.shape == (1, *wanted)
    assert (pixels == 255).all()


@pytest.mark.parametrize(
    ("shape", "meta", "said"),
    [
        ((64,), {"shape": "1x4x15"}, "shape='1x4x15'"),
        ((1,), {"shape": "eight"}, "shape='eight'"),
        ((8, 8, 1), {"background": "red"}, "background='red'"),
        ((6, 6, 3), {"resize": "5"}, "resize='5'"),
        ((6, 6, 3), {"resize": "1e9"}, "resize='1e9'"),
        ((6, 6, 3), {"resize": "٩"}, "resize='٩'"),
        ((6, 5, 3), {"resize": "9"}, "resize='9'"),
        ((6, 6, 3), {"resize": "\x1b[2J"}, r"resize='\x1b[2J'"),
        ((63,), {}, "63 features"),
    ],
)
def test_what_is_not_understood_is_named(shape, meta, said) -> None:
    with pytest.raises(InputError) as refused:
        Shown.to(shape, meta)
    assert said in str(refused.value)
