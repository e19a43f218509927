"""A run told step by step: what is said to it, what it decides, and the time in which it happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from domain import skill, workflow, workflow_definition
from domain.decider import Refusal
from domain.skill import Offered, Specification
from domain.workflow import Begin, Ended, Event, Grants, NotStarted, Parent, Requested, Running, Value
from domain.workflow_course import (
    CallFailed,
    CallLeased,
    CallSucceeded,
    NotAtHand,
    Said,
    TimePassed,
    World,
    advance,
    due,
    take,
    to_start,
)
from domain.workflow_definition import Definition, Step
from domain.workflow_patterns import expanded

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE = skill.Known({"1": Offered(Specification("1"))}, {"1": 1})


def known(*specifications: Specification, **shares: int) -> skill.Known:
    """A skill with these versions; without shares each gets one part."""
    offered = {each.version: Offered(each) for each in specifications}
    return skill.Known(offered, shares or dict.fromkeys(offered, 1))


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Skills(dict[str, skill.Known]):
    """Any name is a skill, but those of `missing`."""

    def __init__(self, special: Mapping[str, skill.Known], missing: Iterable[str] = ()) -> None:
        super().__init__(special)
        self.missing = frozenset(missing)

    def get(self, key: str, default: Any = None) -> Any:
        return default if key in self.missing else super().get(key, ONE)


class Run:
    """Everything that it decides is written at once, and it is asked what follows. `stored` is in the object store and
    has to be fetched."""

    def __init__(
        self,
        steps: Mapping[str, Step] | Definition,
        given: Any = None,
        *,
        id: str = "run",
        skills: Mapping[str, skill.Known] | None = None,
        missing: Iterable[str] = (),
        definitions: Mapping[str, workflow_definition.Known] | None = None,
        until: datetime | None = None,
        budget: float | None = None,
        grants: Grants | None = None,
        stored: Mapping[str, Any] | None = None,
        parent: Parent | None = None,
        pinned: Mapping[str, int] | None = None,
    ) -> None:
        definition = steps if isinstance(steps, Definition) else Definition(dict(steps))
        self.id = id
        self.now = NOON
        self.drawn = 0.5
        self.skills = Skills(skills or {}, missing)
        self.definitions = definitions or {}
        self.stored = stored or {}
        self.fetched: dict[str, Any] = {}
        self.events: list[Event] = []
        self.state: workflow.State = NotStarted()
        written = expanded(definition)
        begin = Begin("d", 1, written, Value(given), definition.output, until, {}, grants or Grants(), budget, parent)
        self.tell(structs.replace(begin, pinned=dict(pinned or {})))

    @property
    def world(self) -> World:
        return World(self.now, self.drawn, self.skills, self.definitions, self._value)

    def _value(self, value: Value) -> Any:
        if not value.hash:
            return value.inline
        if value.hash not in self.fetched:
            raise NotAtHand(value)
        return self.fetched[value.hash]

    def tell(self, command: workflow.Command) -> Refusal | None:
        decided = workflow.decide(command, self.state)
        if isinstance(decided, Refusal):
            return decided
        self._write(decided)
        self._advance()
        return None

    def say(self, said: Said) -> tuple[Event, ...]:
        """What it made of it, without what followed."""
        taken = take(self.id, self.state, said, self.world)
        self._write(taken)
        self._advance()
        return taken

    def pass_time(self, seconds: float = 0.0) -> tuple[Event, ...]:
        self.now += timedelta(seconds=seconds)
        return self.say(TimePassed())

    def next_moment(self) -> bool:
        """On to when time changes something; False where it never does."""
        moment = due(self.state)
        if moment is None:
            return False
        self.now = max(self.now, moment)
        self.say(TimePassed())
        return True

    def lease(self, call: str, worker: str = "w", attempt: int | None = None) -> tuple[Event, ...]:
        return self.say(CallLeased(call, attempt or self.call(call).attempt, worker))

    def succeed(self, call: str, output: Any = None, attempt: int | None = None, **more: Any) -> tuple[Event, ...]:
        value = output if isinstance(output, Value) else Value(output)
        return self.say(CallSucceeded(call, attempt or self.call(call).attempt, value, **more))

    def fail(self, call: str, reason: str = "broken", attempt: int | None = None, **more: Any) -> tuple[Event, ...]:
        """For good, unless it is said otherwise."""
        told = {"kind": "error", "retryable": False, **more}
        return self.say(CallFailed(call, attempt or self.call(call).attempt, reason=reason, **told))

    def call(self, id: str) -> workflow.Call:
        assert isinstance(self.state, Running)
        return self.state.calls[id]

    def step(self, name: str) -> workflow.StepState:
        assert isinstance(self.state, Running)
        return self.state.states[name]

    def output(self, name: str) -> Any:
        return self.step(name).output.inline

    @property
    def running(self) -> Running:
        assert isinstance(self.state, Running), self.state
        return self.state

    @property
    def ended(self) -> Ended:
        assert isinstance(self.state, Ended), self.state
        return self.state

    @property
    def to_start(self) -> tuple[str, ...]:
        return to_start(self.state)

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """Every call so far, by its skill and input."""
        return [(each.skill, each.input.inline) for each in self.all(Requested)]

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def _advance(self) -> None:
        while isinstance(self.state, Running):
            try:
                decided = advance(self.id, self.state, "ann", self.world)
            except NotAtHand as missing:
                self.fetched[missing.value.hash] = self.stored[missing.value.hash]
                continue
            self._write(decided)
            assert not isinstance(self.state, Running) or advance(self.id, self.state, "ann", self.world) == ()
            return

    def _write(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.state = workflow.evolve(self.state, event)
