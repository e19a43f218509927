"""Training and evaluation, each in a process of its own: it can be ended at any moment, and takes nobody's time.

The process is given the data through a pipe, and nothing of the platform's environment but where programs are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import Final, Literal

from msgspec import Struct, msgpack, structs

from domain.experiment import Evaluated, Trained
from domain.pipeline import Feature, Pipeline, Sha256
from eventstore.blobs import LARGEST

PROCESS: Final = "models.learn.training_process"
_ROOT: Final = Path(__file__).parent.parent
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
_ONE_THREAD: Final = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "BLIS")}
_LONGEST_REASON: Final = 900
"""Characters; of the log's 1,000."""


class TrainingTask(Struct, frozen=True):
    """All that the artifact depends on beside the libraries. `content` is the SHA-256 of the data; `holdout` the share
    of the labelled rows that is not trained on: chosen by `seed` and class, or the last ones (`time`)."""

    content: Sha256
    features: tuple[Feature, ...]
    target: str
    pipeline: Pipeline
    seed: int
    holdout: float
    split: Literal["random", "time"]


class TrainingFailed(Exception):
    """Says why. Unless the process was killed, another attempt fails in the same way."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TrainingTimedOut(Exception):
    """The process was ended."""


class Train(Struct, frozen=True, tag=True):
    """What the process is given. It answers with Made."""

    task: TrainingTask
    data: bytes


class Evaluate(Struct, frozen=True, tag=True):
    """What the process is given. It answers with experiment.Evaluated."""

    task: TrainingTask
    data: bytes
    artifact: bytes
    champion: bytes | None


class Made(Struct, frozen=True):
    trained: Trained
    artifact: bytes


async def train(task: TrainingTask, data: bytes, *, timeout: float) -> tuple[Trained, bytes]:
    """The artifact and what it was made with; `data` is a Parquet file as `models.data.tables` writes it, `timeout` in
    seconds. Raises TrainingFailed, TrainingTimedOut."""
    begun = monotonic()
    made = msgpack.decode(await _run(Train(task, data), timeout), type=Made)
    if len(made.artifact) > LARGEST:
        raise TrainingFailed(f"the model has {len(made.artifact)} bytes, at most {LARGEST} can be kept")
    return structs.replace(made.trained, duration_seconds=round(monotonic() - begun, 3)), made.artifact


async def evaluate(
    artifact: bytes, champion: bytes | None, task: TrainingTask, data: bytes, *, timeout: float
) -> Evaluated:
    """On the rows held out of the training of `artifact`; the champion answers the same rows. Raises TrainingFailed,
    TrainingTimedOut."""
    return msgpack.decode(await _run(Evaluate(task, data, artifact, champion), timeout), type=Evaluated)


async def _run(work: Train | Evaluate, timeout: float) -> bytes:
    try:
        async with asyncio.timeout(timeout):
            return await _answer(msgpack.encode(work))
    except TimeoutError as error:
        raise TrainingTimedOut(f"not finished after {timeout:g} s") from error


async def _answer(work: bytes) -> bytes:
    """Nothing of the process is left when this returns or raises."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", PROCESS, str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=_ROOT,
        env={name: os.environ[name] for name in _INHERITED if name in os.environ} | _ONE_THREAD,
        start_new_session=True,
    )
    try:
        answer, errors = await process.communicate(work)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        raise TrainingFailed(_reason(process.returncode, errors))
    return answer


def _reason(code: int, errors: bytes) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}: it may have needed more memory than there is"
    said = [line.strip() for line in errors.decode(errors="replace").split("\n") if line.strip()]
    return said[-1][:_LONGEST_REASON] if said else f"the process ended with code {code}"
