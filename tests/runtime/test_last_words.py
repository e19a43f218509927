"""Of a process that ended, people are told one sentence; the whole log is for whoever looks further."""

import subprocess
import sys
from textwrap import dedent

import pytest

from sagacity.embedded.last_words import last_words


def log_of(program):
    """What a real Python writes when it ends with an exception."""
    return subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True).stderr


CHAINED = """
    from eventstore.errors import HistoryBroken
    try:
        int("x")
    except ValueError as error:
        raise HistoryBroken("position 5: is no event") from error
"""
GROUP = """
    import asyncio
    from eventstore.errors import HistoryBroken
    async def broken():
        raise HistoryBroken("position 7: is no event")
    async def both():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(broken())
    asyncio.run(both())
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (log_of(CHAINED), "position 5: is no event"),
        (log_of(GROUP), "position 7: is no event"),
        (log_of("{}['x']"), "KeyError: 'x'"),
        (log_of("import asyncio; raise asyncio.QueueEmpty"), "QueueEmpty"),
        (log_of("raise ValueError('first line\\nsecond line')"), "ValueError: first line"),
        (f"{log_of(CHAINED)}\n{log_of('1 / 0')}", "ZeroDivisionError: division by zero"),
        ("[FTL] no space left\n\n", "[FTL] no space left"),
        ("", "it said nothing"),
    ],
    ids=["chain", "group", "name needed", "no message", "several lines", "two of them", "no exception", "nothing"],
)
def test_the_last_exception_is_told_without_where_it_was_raised(log, words):
    assert last_words(log) == words
