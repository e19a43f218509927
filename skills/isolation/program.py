"""The program of a process that works for skills: `python -m skills.isolation.program PARENT_PID`.

The first frame on standard input says whether what follows is trusted. A process that is not confined takes one call
after the other; a confined one takes a single call, and beside it stands a guardian: the process that forked it and
ends it, with whatever it has started, when all of them together have used more than there is for one call.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from typing import BinaryIO, Final

import msgspec
from msgspec import msgpack

from eventstore.child import die_with, next_frame, put_frame
from skills.calling import found_and_called
from skills.isolation.confining import confine
from skills.isolation.exchange import Answer, Call, Confinement, Setup, Told, Undone
from skills.isolation.guarding import end_like, guard

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def main(parent: int) -> int:
    first = next_frame(sys.stdin.buffer)
    setup = msgpack.decode(first, type=Setup) if first is not None else Setup()
    if setup.confinement is None:
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)  # a stop of the whole group is the parent's to hear
        die_with(parent)
        _serve(sys.stdin.buffer, _answers())
        return 0
    die_with(parent, signal.SIGTERM)
    return _isolated(setup.confinement)


def _isolated(confinement: Confinement) -> int:
    guardian, heard = os.getpid(), {signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    inner = os.fork()
    if inner:
        for stream in (0, 1):
            os.close(stream)  # the answer, and its end, are the other one's to give
        code = guard(inner, confinement)
        # The parent does it too, if it is there: that cannot be told while its threads are ended one after the other.
        shutil.rmtree(confinement.room, ignore_errors=True)
        return end_like(code)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)
    die_with(guardian)
    raw = next_frame(sys.stdin.buffer)  # before anything that is not trusted runs
    answers = _answers()
    if raw is not None:
        put_frame(answers, msgpack.encode(_confined(confinement, raw, answers)))
    return 0


def _confined(confinement: Confinement, raw: bytes, answers: BinaryIO) -> Answer:
    try:
        confine(confinement)
    except (OSError, ValueError) as error:
        return Undone(f"its process could not be confined: {error}", retryable=False)
    return _answer(raw, answers)


def _serve(calls: BinaryIO, answers: BinaryIO) -> None:
    while (raw := next_frame(calls)) is not None:
        put_frame(answers, msgpack.encode(_answer(raw, answers)))


def _answer(raw: bytes, answers: BinaryIO) -> Answer:
    telling = threading.Lock()

    def tell(told: Told) -> None:
        with telling:
            put_frame(answers, msgpack.encode(told))

    try:
        return found_and_called(msgpack.decode(raw, type=Call), tell)
    except msgspec.DecodeError as error:
        return Undone(f"the call cannot be read: {error}", retryable=False)


def _answers() -> BinaryIO:
    """Whatever a skill prints is no answer."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
