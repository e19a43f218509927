"""What came back over HTTP, and what of it is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import UnsetType

from skills.skill import SkillFailed

if TYPE_CHECKING:
    from skills.offline.http_check import Check

LARGEST: Final = 1_000_000
"""Bytes of an answer that are read."""


class Answer(NamedTuple):
    status: int
    body: bytes
    whole: bool
    url: str
    kept: str = ""
    """Why a redirection was not followed."""


def faults_of(asked: Check, answer: Answer, spent: float, expression: Any) -> Iterator[str]:
    """After `spent` milliseconds; `expression` is the one that is `compiled`."""
    if answer.kept:
        yield answer.kept
    if answer.status not in asked.status:
        yield f"status {answer.status}, expected {' or '.join(map(str, asked.status))}"
    if asked.slowest is not None and spent > asked.slowest * 1_000:
        yield f"it took {spent:.0f} ms, at most {asked.slowest * 1_000:.0f} were allowed"
    if not answer.whole:
        yield f"only the first {LARGEST} bytes were read"
    if asked.contains and asked.contains not in answer.body.decode(errors="replace"):
        yield f"{asked.contains[:200]!r} is not in the body"
    if expression is not None:
        yield from _wrong_value(asked, answer.body, expression)


def _wrong_value(asked: Check, body: bytes, expression: Any) -> Iterator[str]:
    from jmespath.exceptions import JMESPathError

    try:
        found = expression.search(json.loads(body))
    except JMESPathError as error:
        yield f"{asked.jmespath}: {error}"[:500]
        return
    except (ValueError, RecursionError):
        yield "the body is no JSON"
        return
    if isinstance(asked.value, UnsetType):
        if found is None:
            yield f"{asked.jmespath} is not there"
    elif found != asked.value or isinstance(found, bool) != isinstance(asked.value, bool):
        yield f"{asked.jmespath} is {json.dumps(found)[:200]}, expected {json.dumps(asked.value)[:200]}"


def compiled(expression: str) -> Any:
    """None for none. Raises SkillFailed."""
    if not expression:
        return None
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        raise SkillFailed(f"jmespath is no JMESPath expression: {error}"[:500], retryable=False) from error
