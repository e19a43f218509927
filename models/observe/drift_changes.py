"""What another policy changes in the verdicts on one model, and how far the record can tell.

The rows of a version in use are the same under both policies, until one of them would have replaced it at another
moment. Where only the other policy asks for a training, or decides a comparison, the version might have been another
from the next observation on; where only the recorded one did, from the next beginning on. Verdicts on record after
that are undecidable: nobody knows what would have been observed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from msgspec import Struct

from domain import gate, model
from domain.drift import Kind, Method, Verdict


class Change(Struct, frozen=True):
    """`…_at` count the rows since the reference, None where the verdict is not said."""

    what: Literal["appears", "vanishes", "moves"]
    version: str
    kind: Kind
    feature: str
    method: Method
    recorded_at: int | None
    replayed_at: int | None


class Comparison(Struct, frozen=True):
    """How it was decided, after so many rows. `unknown`: undecided as far as the record can tell."""

    experiment_id: str
    kind: model.Kind
    recorded: gate.Decision
    recorded_rows: int
    replayed: gate.Decision | Literal["unknown"]
    replayed_rows: int


class Changes(Struct, frozen=True):
    """`recorded` verdicts of drift are the `same`, `undecidable`, or changed."""

    recorded: int
    same: int
    undecidable: int
    changes: tuple[Change, ...]
    comparisons: tuple[Comparison, ...]


class Rejudged(Struct, frozen=True):
    """`identical`: by the recorded policy everything comes out bit for bit; None: this was another one. `difference`
    is the first one."""

    model_id: str
    observations: int
    changes: Changes
    identical: bool | None
    difference: str | None


class Judgements(NamedTuple):
    """Of one comparison after the same rows."""

    experiment_id: str
    kind: model.Kind
    recorded: gate.Judgement
    replayed: gate.Judgement


class Look(NamedTuple):
    """An observation, numbered through: what was said and what is said now, and which of it asks for a training."""

    number: int
    beginning: int
    version: str
    recorded: Sequence[Verdict]
    replayed: Sequence[Verdict]
    asks: tuple[bool, bool]
    judgements: Judgements | None = None


class _Parting(NamedTuple):
    """Where one policy does what the other one does not; `now`: the other one, not the recorded one."""

    look: Look
    now: bool


def changes(looks: Sequence[Look]) -> Changes:
    """Of one model, in order."""
    comparisons = _comparisons(looks)
    partings = [_Parting(look, look.asks[1]) for look in looks if look.asks[0] != look.asks[1]]
    partings += [parting for course in comparisons if (parting := _parting(course)) is not None]
    known_to = min((_known_to(parting, looks) for parting in partings), default=len(looks) and looks[-1].number)
    found = [_drift(list(some), known_to) for _, some in groupby(looks, lambda look: look.beginning)]
    return Changes(
        sum(each.recorded for each in found),
        sum(each.same for each in found),
        sum(each.undecidable for each in found),
        tuple(change for each in found for change in each.changes),
        tuple(_decided(course, known_to) for course in comparisons),
    )


def _known_to(parting: _Parting, looks: Iterable[Look]) -> int:
    """The number of the last look of which the record can tell after this."""
    if parting.now:
        return parting.look.number
    return max(look.number for look in looks if look.beginning == parting.look.beginning)


def _drift(looks: Sequence[Look], known_to: int) -> Changes:
    """Of one beginning. What is said of another row is a verdict that has moved, in the order of the rows."""
    old = [_Said(look, verdict) for look in looks for verdict in look.recorded]
    new = [_Said(look, verdict) for look in looks if look.number <= known_to for verdict in look.replayed]
    same, gone, more = _matched(old, new, _row)
    moved, gone, appeared = _matched(gone, more, _about)
    found = [after.change(before) for before, after in moved] + [said.change(None) for said in appeared]
    vanished = [said for said in gone if said.look.number <= known_to]
    found += [said.vanished() for said in vanished]
    return Changes(len(old), len(same), len(gone) - len(vanished), tuple(found), ())


def _matched(
    old: Sequence[_Said], new: Sequence[_Said], key: Callable[[_Said], Hashable]
) -> tuple[list[tuple[_Said, _Said]], list[_Said], list[_Said]]:
    """Pairs with the same key, one by one and in order; and what is left of both."""
    left: dict[Hashable, deque[_Said]] = {}
    for said in old:
        left.setdefault(key(said), deque()).append(said)
    pairs: list[tuple[_Said, _Said]] = []
    more: list[_Said] = []
    for said in new:
        if left.get(key(said)):
            pairs.append((left[key(said)].popleft(), said))
        else:
            more.append(said)
    return pairs, sorted((said for some in left.values() for said in some), key=lambda said: said.look.number), more


class _Said(NamedTuple):
    look: Look
    verdict: Verdict

    def change(self, before: _Said | None) -> Change:
        what, at = ("moves", before.verdict.at) if before else ("appears", None)
        verdict = self.verdict
        return Change(what, self.look.version, verdict.kind, verdict.feature, verdict.method, at, verdict.at)

    def vanished(self) -> Change:
        verdict = self.verdict
        return Change("vanishes", self.look.version, verdict.kind, verdict.feature, verdict.method, verdict.at, None)


def _about(said: _Said) -> Hashable:
    return said.verdict.kind, said.verdict.feature, said.verdict.method


def _row(said: _Said) -> Hashable:
    return _about(said), said.verdict.at


Course = Sequence[tuple[Look, Judgements]]
"""One comparison, look by look; the last one is that of the recorded decision, if there is one."""


def _comparisons(looks: Iterable[Look]) -> list[Course]:
    courses: dict[tuple[str, model.Kind], list[tuple[Look, Judgements]]] = {}
    for look in looks:
        if look.judgements is not None:
            course = courses.setdefault((look.judgements.experiment_id, look.judgements.kind), [])
            if not course or course[-1][1].recorded.decision == "undecided":
                course.append((look, look.judgements))
    return list(courses.values())


def _decision(course: Course) -> tuple[Look, Judgements] | None:
    """The first one under the other policy."""
    return next((each for each in course if each[1].replayed.decision != "undecided"), None)


def _parting(course: Course) -> _Parting | None:
    last, recorded = course[-1][0], course[-1][1].recorded.decision
    found = _decision(course)
    if found is None:
        return None if recorded == "undecided" else _Parting(last, now=False)
    same = found[0] is last and found[1].replayed.decision == recorded
    return None if same else _Parting(found[0], now=True)


def _decided(course: Course, known_to: int) -> Comparison:
    recorded, found = course[-1][1].recorded, _decision(course)
    about = course[0][1].experiment_id, course[0][1].kind, recorded.decision, recorded.pairs.rows
    if found is not None and found[0].number <= known_to:
        return Comparison(*about, found[1].replayed.decision, found[1].replayed.pairs.rows)
    known = [judgements.replayed.pairs.rows for look, judgements in course if look.number <= known_to]
    to_the_end = recorded.decision == "undecided" and len(known) == len(course)
    return Comparison(*about, "undecided" if to_the_end else "unknown", known[-1] if known else 0)
