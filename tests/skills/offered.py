"""Skills for tests of whoever carries skills out."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from domain.skill import Isolation
from skills.skill import Context, SkillFailed, skill

MEGABYTE = 1024 * 1024


class Text(msgspec.Struct):
    text: str = ""


class Words(msgspec.Struct):
    words: int


@skill("count_words")
async def count_words(text: Text, context: Context) -> Words:
    """How many words there are."""
    context.progress(0.5, "half")
    context.spend(0.25)
    context.exchanged("a" * 64)
    return Words(len(text.text.split()))


@skill("count_in_thread")
def count_in_thread(text: Text, context: Context) -> Words:
    context.progress(0.5, "half")
    return Words(len(text.text.split()))


@skill("count_in_pool", runs="process")
def count_in_pool(text: Text, context: Context) -> Words:
    context.progress(0.5, "half")
    return Words(len(text.text.split()))


@skill("process_of_pool", runs="process")
def process_of_pool(text: Text, context: Context) -> int:
    if text.text == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    while text.text == "work":
        pass
    return os.getpid()


@skill("fails")
async def fails(text: Text, context: Context) -> Words:
    if text.text == "unexpected":
        raise RuntimeError("unexpected")
    raise SkillFailed(text.text, retryable=text.text == "again")


@skill("grows")
async def grows(size: int, context: Context) -> str:
    return "x" * size


@skill("size_of")
async def size_of(text: str, context: Context) -> int:
    return len(text)


@skill("sleeps")
async def sleeps(seconds: float, context: Context) -> float:
    import asyncio

    for step in range(20):
        context.progress(step / 20, f"step {step}")
        await asyncio.sleep(seconds / 20)
    return seconds


@skill("sleeps_in_thread")
def sleeps_in_thread(seconds: float, context: Context) -> float:
    time.sleep(seconds)
    return seconds


@skill("change_contexts")
async def change_contexts(text: Text, context: Context) -> list[str]:
    refused = []
    for part, name, value in ((context.system, "attempt", 9), (context.security, "actor", "root")):
        try:
            setattr(part, name, value)
        except AttributeError:
            refused.append(name)
    return refused


@skill("isolated_python", isolation=Isolation(cpu=2, memory=512 * MEGABYTE, network=True, read=("/",), write=("/",)))
def isolated_python(text: Text, context: Context) -> list[Any]:
    """Runs whatever it is given: what nobody would vouch for."""
    scope: dict[str, object] = {
        "os": os,
        "sys": sys,
        "socket": socket,
        "subprocess": subprocess,
        "signal": signal,
        "time": time,
        "ctypes": ctypes,
        "Path": Path,
        "context": context,
    }
    found: list[Any] = []
    scope["found"] = found
    exec(text.text, scope)
    return found


@skill("naps_in_pool", runs="process", lease=5.0)
def naps_in_pool(file: str, context: Context) -> int:
    """Whose process it is stands in the file before it begins."""
    beside = Path(f"{file}.new")
    beside.write_text(str(os.getpid()))
    beside.rename(file)
    time.sleep(25)
    return 0
