"""One picture file → the bytes a model reads, and in words what was done to it on the way.

| file says                | becomes                                                                                |
|--------------------------|----------------------------------------------------------------------------------------|
| EXIF orientation 1 … 8   | turned and mirrored as the camera says                                                 |
| 16 bits, grey            | 65535 is white, as 255 is of 8 bits                                                    |
| reals (TIFF, PFM)        | intensities in [0, 1]; others do not say which number is white, and are refused        |
| 32-bit whole numbers     | refused for the same reason                                                            |
| palette, CMYK, YCbCr, …  | red, green and blue                                                                    |
| alpha, transparent colour | laid on black or white, whichever the ink stands out from, or on the one asked for     |
| several frames           | refused: which one is meant, only the user knows                                       |

Then colour becomes grey or grey colour, and the size the model's, as the model needs it.

Files come from anywhere, so only the decoders of `FORMATS` ever see them (Pillow has others, one of which starts
Ghostscript), whatever a file is called.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from binarynet.data.lazy import need
from binarynet.errors import InputError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
Background = Literal["black", "white"]
Notes = list[str]

_SIXTEEN = 65535  # white of 16 bits
_ROWS = 64  # of a picture, looked at in one go: as reals, all of a large one would be gigabytes
_ORIENTATION = 0x0112  # of the tags of EXIF


def read_picture(
    path: Path,
    height: int,
    width: int,
    channels: int,
    background: Background | None = None,
    content: bytes | None = None,
) -> tuple[NDArray[np.uint8], Notes]:
    """A picture as (1, channels, height, width) uint8, and what was done to it that may change an answer.

    channels: 1 (grey) or 3 (red, green, blue). background: what transparent places show; None takes black or white,
    whichever the ink stands out from. content: the file's bytes, where they are at hand; ``path`` is what it is called.

    Raises `InputError` for a file that is no picture of `FORMATS`, is damaged, or does not say what it shows.
    """
    if channels not in (1, 3):
        raise InputError(f"{path}: the model takes {channels} channels; a picture has 1 or 3. Pass a .npy array.")
    picture, notes = open_picture(path, background, content)
    return as_pixels(picture, height, width, channels, notes), notes


def open_picture(path: Path, background: Background | None = None, content: bytes | None = None) -> tuple[Any, Notes]:
    """A picture as Pillow has it, upright and opaque, of mode L or RGB with 8 bits, and what was done to it.

    content: what the file holds, where it lies in another one; ``path`` is then its name for messages.
    Errors as `read_picture`.
    """
    _import()
    if content is None:
        _check_file(path)
    elif not content:
        raise InputError(f"{path} is empty: it holds 0 bytes")
    notes: Notes = []
    picture, kind = _open(path, notes, content)
    return _plain(picture, kind, path, background, notes), notes


def as_pixels(picture: Any, height: int, width: int, channels: int, notes: Notes) -> NDArray[np.uint8]:
    """A picture of mode L or RGB → (1, channels, height, width); what that changes is added to the notes."""
    if channels == 3 and picture.mode == "L":
        notes.append("grey taken for red, green and blue")
    elif channels == 1 and picture.mode == "RGB" and not _is_grey(picture):
        notes.append("colour made grey")
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        stretched = picture.width * height != picture.height * width
        was = f"{picture.width} × {picture.height} pixels"
        notes.append(f"{was} {'stretched' if stretched else 'resized'} to {width} × {height}")
        picture = picture.resize((width, height))
    pixels = np.asarray(picture, np.uint8).reshape(1, height, width, channels)
    return pixels.transpose(0, 3, 1, 2)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder: pass the pictures in it, {path}/*")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file: a pipe or a device would never end")
    if path.exists() and not path.stat().st_size:
        raise InputError(f"{path} is empty: it holds 0 bytes")


def _import() -> Any:
    return need("PIL.Image", "pillow", "reading a picture")


def _open(path: Path, notes: Notes, content: bytes | None) -> tuple[Any, str]:
    """The picture, decoded and upright, and its format."""
    image, operations = _import(), need("PIL.ImageOps", "pillow", "reading a picture")
    try:
        with io.BytesIO(content) if content is not None else open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on metadata that is of no use here
            warnings.simplefilter("error", image.DecompressionBombWarning)
            picture = image.open(file, formats=FORMATS)
            frames = getattr(picture, "n_frames", 1)
            # A camera's JPEG may carry a preview (MPO); the picture is the first.
            if frames > 1 and picture.format not in ("JPEG", "MPO"):
                raise InputError(f"{path} has {frames} frames: save the one that is meant as a picture of its own")
            picture.load()
            orientation = picture.getexif().get(_ORIENTATION, 1)
            if orientation != 1:
                notes.append(f"turned by EXIF orientation {orientation}")
            return operations.exif_transpose(picture), str(picture.format)
    except (image.DecompressionBombWarning, image.DecompressionBombError):
        raise InputError(
            f"{path} has more than {image.MAX_IMAGE_PIXELS:,} pixels: make it smaller, the model sees a few of them"
        ) from None
    except image.UnidentifiedImageError:
        raise InputError(f"{path}: neither a .npy array nor a picture in the formats {', '.join(FORMATS)}") from None
    except (OSError, InputError) as error:
        # Missing or not readable, as main says; a decoder that was led astray in the file does not know its name.
        if isinstance(error, InputError) or error.filename is not None:
            raise
        raise InputError(f"{path} is damaged: {error}") from None
    except Exception as error:  # decoders raise a dozen kinds on damaged files
        raise InputError(f"{path} is damaged: {str(error) or type(error).__name__}") from None


def _plain(picture: Any, kind: str, path: Path, background: Background | None, notes: Notes) -> Any:
    """Any mode of a picture of this kind of file → L or RGB, of 8 bits and opaque."""
    mode = picture.mode
    transparent = "transparency" in picture.info
    if mode.startswith("I;16") or (mode == "I" and kind in ("PNG", "PPM")):
        if transparent:
            raise InputError(f"{path}: 16 bits with a transparent grey are not read: save it with an alpha channel")
        return _sixteen(picture, path, notes)
    if mode == "I":
        raise InputError(
            f"{path}: whole numbers of 32 bits do not say which of them is white: save it with 8 or 16 bits"
        )
    if mode == "F":
        return _reals(picture, path, notes)
    if transparent or mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return _opaque(picture.convert("RGBA"), path, background, notes)
    if mode in ("1", "L"):
        return picture.convert("L")
    if mode in ("P", "RGB", "RGBX", "YCbCr", "HSV", "CMYK"):
        if mode == "CMYK":
            notes.append("CMYK made red, green and blue without a colour profile")
        return picture.convert("RGB")
    raise InputError(f"{path}: pictures of the mode {mode} are not read: save it as grey or as red, green and blue")


def _sixteen(picture: Any, path: Path, notes: Notes) -> Any:
    values = np.asarray(picture).astype(np.int64)
    if values.min(initial=0) < 0 or values.max(initial=0) > _SIXTEEN:
        raise InputError(f"{path}: values from {values.min()} to {values.max()} are no 16 bits")
    notes.append("16 bits taken to 8")
    return _import().fromarray(((values * 255 + _SIXTEEN // 2) // _SIXTEEN).astype(np.uint8))


def _reals(picture: Any, path: Path, notes: Notes) -> Any:
    values = np.asarray(picture)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: a pixel is not a finite number")
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > 1:
        raise InputError(
            f"{path}: real pixels from {low:g} to {high:g}; only intensities in [0, 1] say which of them is white"
        )
    notes.append("reals in [0, 1] taken to 8 bits")
    return _import().fromarray(np.rint(values.astype(np.float64) * 255).astype(np.uint8))


def _opaque(picture: Any, path: Path, background: Background | None, notes: Notes) -> Any:
    """RGBA → RGB, laid on black or white."""
    pixels = np.asarray(picture)
    alpha = pixels[..., 3]
    if alpha.min(initial=255) == 255:
        return picture.convert("RGB")
    if not alpha.any():
        raise InputError(f"{path}: all of it is transparent")
    if background is None:
        rows = range(0, len(pixels), _ROWS)
        ink = sum(float((_luminance(pixels[k : k + _ROWS]) * alpha[k : k + _ROWS]).sum()) for k in rows)
        background = "black" if ink / float(alpha.sum(dtype=np.int64)) >= 128 else "white"
    notes.append(f"transparent places made {background}")
    ground = _import().new("RGBA", picture.size, background)
    return _import().alpha_composite(ground, picture).convert("RGB")


def _luminance(pixels: NDArray[np.uint8]) -> Any:
    """Red, green, blue → 0 … 255, as Pillow weighs them."""
    return pixels[..., :3] @ np.array([0.299, 0.587, 0.114])


def _is_grey(picture: Any) -> bool:
    red, green, blue = np.moveaxis(np.asarray(picture), -1, 0)
    return bool((red == green).all() and (green == blue).all())
