"""The program of a process that reads documents: `python -m records.enrich.reading_process PARENT_PID MEMORY CPU`.

Tasks come on standard input and answers go to standard output: MessagePack, each after its length in 8 bytes. On
Linux it ends with its parent, is the first to be ended when memory runs out, and leaves no core file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

from msgspec import msgpack

from eventstore.child import die_with, next_frame, put_frame
from records.enrich.content import Answer, Broken, Contents, Entities, Find, Read, Task

_NICE: Final = 5


def main(parent: int, memory: int, cpu_seconds: float) -> int:
    die_with(parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a stop of the whole group is the parent's to hear
    os.nice(_NICE)
    _confine(memory)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    while (raw := next_frame(sys.stdin.buffer)) is not None:
        answer = _within(msgpack.decode(raw, type=Read | Find), cpu_seconds)
        put_frame(answers, msgpack.encode(answer))
        if isinstance(answer, Broken):
            return 1
    return 0


def _within(task: Task, cpu_seconds: float) -> Answer:
    """SIGPROF ends a process that has used up its time."""
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    try:
        return _done(task)
    except MemoryError:
        return Broken("it needs more memory than there is for one document")
    except Exception as error:
        return Broken(f"{type(error).__name__}: {error}"[:300])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _done(task: Task) -> Answer:
    match task:
        case Read():
            from records.enrich.reading import read

            return Contents(read(task))
        case Find(text, language, origin):
            from records.enrich.entities import found_in

            return Entities(*found_in(text, language, origin))


def _confine(memory: int) -> None:
    import resource

    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space
            resource.setrlimit(what, (most, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
