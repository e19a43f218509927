"""The program of one training or evaluation: `python -m models.learn.training_process PARENT_PID`.

Its work comes on standard input and goes to standard output, in MessagePack. What is wrong with the task is the last
line of its standard error, with exit code 1. It takes the processor when nobody else wants it, and on Linux ends with
its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Final

from msgspec import msgpack

from domain.experiment import Evaluated
from models.data.tables import TableInvalid
from models.learn import artifacts, evaluation, fitting
from models.learn.training import Evaluate, Made, Train

_PR_SET_PDEATHSIG: Final = 1
_NICE: Final = 10


def main(parent: int) -> int:
    _die_with(parent)
    # A stop of the whole group is the parent's to hear: it hands the training over, and it is done again.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    _give_way()
    warnings.simplefilter("ignore")  # that a solver stopped before it converged shows in the evaluation
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is not part of it
    try:
        work: Train | Evaluate = msgpack.decode(sys.stdin.buffer.read(), type=Train | Evaluate)
        with answer:
            answer.write(msgpack.encode(_done(work)))
    except (fitting.TaskImpossible, artifacts.ArtifactRefused, TableInvalid, ValueError, ArithmeticError) as error:
        sys.stderr.write("\n" + " ".join(str(error).split()))
        return 1
    except MemoryError:
        sys.stderr.write("\nit needed more memory than there is")
        return 1
    return 0


def _done(work: Train | Evaluate) -> Made | Evaluated:
    match work:
        case Train(task, data):
            return Made(*fitting.train(task, data))
        case Evaluate(task, data, artifact, champion):
            other = artifacts.load(champion) if champion is not None else None
            return evaluation.evaluate(artifacts.load(artifact), other, fitting.holdout(task, data))


def _give_way() -> None:
    """If memory runs out, this is what is ended first."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
