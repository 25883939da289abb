"""A contact sheet: some pictures of each class of a data set, side by side in one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data.dataset import Split
from binarynet.data.lazy import need

_SIDE = 64  # pixels that a picture is shown at, at least
_GAP, _TEXT, _MOST = 4, 150, 100  # pixels, pixels, classes


def contact_sheet(split: Split, classes: tuple[str, ...], each: int = 10) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: a row for each class (of the first 100), its name, and its first ``each`` pictures."""
    image, draw = need("PIL.Image", "pillow", "a contact sheet"), need("PIL.ImageDraw", "pillow", "a contact sheet")
    _, channels, height, width = split.images.shape
    scale = max(1, -(-_SIDE // max(height, width)))
    tall, wide = height * scale + _GAP, width * scale + _GAP
    named = classes[:_MOST]
    sheet: Any = image.new("RGB", (_TEXT + each * wide + _GAP, len(named) * tall + _GAP), "white")
    pen = draw.Draw(sheet)
    for row, name in enumerate(named):
        rows = np.flatnonzero(split.labels == row)
        label = f"{name[:18]} ({len(rows)})".encode("latin-1", "replace").decode("latin-1")
        pen.text((_GAP, row * tall + tall // 2 - 5), label, fill="black")
        for column, index in enumerate(rows[:each]):
            shown = split.images[index][:3] if channels >= 3 else split.images[index][:1].repeat(3, axis=0)
            picture = image.fromarray(np.ascontiguousarray(shown.transpose(1, 2, 0)))
            picture = picture.resize((width * scale, height * scale), 0)  # nearest: pixels as the model sees them
            sheet.paste(picture, (_TEXT + column * wide, _GAP + row * tall))
    return np.asarray(sheet)
