"""Text of pictures, by the program `tesseract` where it is installed.

It is given the picture on its standard input, so that a process that is ended leaves no file behind.
"""

from __future__ import annotations

import shutil
import subprocess
import warnings
from functools import cache
from io import BytesIO
from typing import Any, Final

from records.enrich import limits
from records.enrich.content import Collected, NotAvailable, NotReadable

_LANGUAGES: Final = ("eng", "fra", "deu", "spa", "ita", "por", "nld", "pol")
_PATIENCE: Final = 60
"""Seconds; the reading process has less."""

_FRAMES: Final = 5
DOUBT: Final = "read by OCR: letters may be mistaken"
_SMALLEST: Final = 8
"""Pixels on each side, of what could hold a letter."""


def available() -> bool:
    return shutil.which("tesseract") is not None


@cache
def version() -> str:
    said = _run("--version").split()
    return said[1].decode(errors="replace") if len(said) > 1 else ""


def read_image(content: bytes, into: Collected) -> None:
    """Raises NotReadable for what is no picture, NotAvailable."""
    frames = _frames(content, into)
    if not frames:
        return
    if not available():
        raise NotAvailable("tesseract is not installed")
    for frame in frames:
        into.add(recognised(frame))
    into.doubt(DOUBT)


def recognised(picture: Any) -> str:
    """Of a PIL.Image. Raises NotReadable, NotAvailable."""
    file = BytesIO()
    picture.convert("L").save(file, "PPM")
    return _run("-", "-", "-l", _languages(), content=file.getvalue()).decode(errors="replace").replace("\f", "\n")


@cache
def _languages() -> str:
    """Those of ours that are installed, asked once."""
    installed = _run("--list-langs").decode(errors="replace").split()
    return "+".join(each for each in _LANGUAGES if each in installed) or "eng"


def _run(*arguments: str, content: bytes = b"") -> bytes:
    try:
        done = subprocess.run(
            ("tesseract", *arguments), input=content, capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotReadable(f"tesseract was not done after {_PATIENCE} s") from error
    except OSError as error:
        raise NotAvailable(f"tesseract cannot be run: {error}") from error
    if done.returncode:
        raise NotReadable(f"tesseract failed: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout


def _frames(content: bytes, into: Collected) -> list[Any]:
    from PIL import Image, ImageSequence

    Image.MAX_IMAGE_PIXELS = limits.LARGEST_IMAGE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(content))
            if min(image.size) < _SMALLEST:
                return []
            frames: list[Any] = []
            for frame in ImageSequence.Iterator(image):
                if len(frames) == _FRAMES:
                    into.doubt(f"only the first {_FRAMES} pictures are read")
                    break
                frames.append(frame.convert("L"))
            return frames
    except MemoryError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise NotReadable(f"the picture has more than {limits.LARGEST_IMAGE} pixels") from error
    except Exception as error:  # each format has errors of its own: struct.error, SyntaxError, EOFError, ...
        raise NotReadable(f"the picture is broken: {error}") from error
