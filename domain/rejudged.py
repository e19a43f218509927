"""What came of recorded canaries and what would have come of them under another policy, one by one and in sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class Recorded(Struct, frozen=True):
    """How a canary ended. `look` is the number of its last verdict, `requests` those to the canary until then.

    `interrupted`: cancelled or failed before it was decided. `by`: whose decision it was.
    """

    outcome: Literal["roll_back", "promote", "interrupted", "under_way"]
    look: int
    requests: int
    by: Literal["policy", "person"] | None = None


class Replayed(Struct, frozen=True):
    """How it would have ended. `unknown`: undecided when the data end, `why` so; then, and only then, `requests` is
    a lower bound."""

    outcome: Literal["roll_back", "promote", "interrupted", "unknown"]
    look: int
    requests: int
    by: Literal["policy", "person"] | None = None
    why: str = ""


class Rejudged(Struct, frozen=True):
    """One canary. `identical`: judged by the recorded policy, every verdict comes out bit for bit as recorded; None:
    this was another policy. `difference` is the first one."""

    deployment_id: str
    attempt: int
    recorded: Recorded
    replayed: Replayed
    identical: bool | None = None
    difference: str | None = None


class Requests(Struct, frozen=True):
    """To all canaries. `at_most` None: nothing bounds them."""

    recorded: int
    at_least: int
    at_most: int | None


class Rate(Struct, frozen=True):
    at_least: float
    at_most: float


class Summary(Struct, frozen=True):
    """Of all canaries: `same` and `changed` are decided alike or otherwise, `unknown` are the rest.

    A rate of rollbacks lies between [decided / all] and [(decided + unknown) / all].
    """

    canaries: int
    same: int
    changed: tuple[str, ...]
    unknown: int
    requests: Requests
    recorded_rollbacks: Rate
    rollbacks: Rate


def summarise(canaries: Sequence[Rejudged], horizon: int | None = None) -> Summary:
    """`horizon`: the most requests that any canary would have been given; without it, nothing is known of it.

    Raises ValueError when there are none.
    """
    if not canaries:
        raise ValueError("no canary was judged")
    unknown = [each for each in canaries if each.replayed.outcome == "unknown"]
    known = [each for each in canaries if each.replayed.outcome != "unknown"]
    changed = tuple(name_of(each) for each in known if each.replayed.outcome != each.recorded.outcome)
    at_least = sum(each.replayed.requests for each in canaries)
    more = None if horizon is None else sum(max(0, horizon - each.replayed.requests) for each in unknown)
    at_most = at_least + more if more is not None else None
    return Summary(
        len(canaries),
        len(known) - len(changed),
        changed,
        len(unknown),
        Requests(sum(each.recorded.requests for each in canaries), at_least, at_most if unknown else at_least),
        _rate([each.recorded.outcome for each in canaries], "under_way"),
        _rate([each.replayed.outcome for each in canaries], "unknown"),
    )


def name_of(each: Rejudged) -> str:
    return each.deployment_id if each.attempt == 1 else f"{each.deployment_id} (attempt {each.attempt})"


def _rate(outcomes: Sequence[str], unknown: str) -> Rate:
    decided = outcomes.count("roll_back")
    return Rate(decided / len(outcomes), (decided + outcomes.count(unknown)) / len(outcomes))
