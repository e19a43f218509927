"""Runs a program on some bytes: with a time limit, and nothing of the platform's environment but where programs are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from typing import Final

from records.enrich.ports import SkillFailed, SkillUnavailable

_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "HOME")


async def output(command: Sequence[str], content: bytes, *, seconds: float) -> bytes:
    """Nothing of it is left when this returns or raises. Raises SkillFailed, SkillUnavailable."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            start_new_session=True,
        )
    except OSError as error:
        raise SkillUnavailable(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(seconds):
            said, errors = await process.communicate(content)
    except TimeoutError as error:
        raise SkillFailed(f"{command[0]} was not done after {seconds:g} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        reason = " ".join(errors.decode(errors="replace").split())[-200:]
        raise SkillFailed(f"{command[0]} ended with code {process.returncode}: {reason}")
    return said
