"""A process of ours, seen from within: `eventstore/children.py` starts it. Light, for it is started often."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import BinaryIO, Final

LENGTH: Final = 8
"""Bytes in which the length of a frame stands before it."""

_PR_SET_PDEATHSIG: Final = 1


def next_frame(stream: BinaryIO) -> bytes | None:
    """None when there are no more."""
    length = stream.read(LENGTH)
    return stream.read(int.from_bytes(length, "big")) if len(length) == LENGTH else None


def put_frame(stream: BinaryIO, frame: bytes) -> None:
    stream.write(len(frame).to_bytes(LENGTH, "big") + frame)
    stream.flush()


def die_with(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """On Linux it gets this signal when its parent has ended, or had already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(how))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
