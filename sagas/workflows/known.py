"""What the engine knows of skills and of definitions of workflows: everything, kept up with the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from domain import skill, workflow_definition
from domain.decider import Decider
from domain.workflow_definition import Step, latest_of, left_open
from eventstore.aggregates import Aggregates
from eventstore.envelope import Recorded
from eventstore.keeping_up import keep_up
from eventstore.store import EventStore
from eventstore.tasks import first_to_end

S = TypeVar("S")
K = TypeVar("K")


class Category(Generic[S, K]):
    """All aggregates of a decider that are there, by id. `Known` is the state of one that is."""

    def __init__(
        self, store: EventStore, aggregates: Aggregates, decider: Decider[Any, S, Any], known: type[K]
    ) -> None:
        self._store = store
        self._aggregates = aggregates
        self._decider = decider
        self._known = known
        self._states: dict[str, K] = {}
        self._versions: dict[str, int] = {}
        self.ready = asyncio.Event()

    @property
    def states(self) -> Mapping[str, K]:
        return self._states

    async def run(self) -> None:
        async def caught_up() -> None:
            self.ready.set()

        await keep_up(self._store, self._decider.category, self._take, caught_up)

    def _take(self, event: Recorded) -> None:
        id = event.stream.id
        if event.version <= self._versions.get(id, 0):
            return
        state: Any = self._states.get(id, self._decider.initial)
        self._keep(id, event.version, self._decider.evolve(state, self._store.decode(event)))

    async def look(self, id: str) -> None:
        """At the log itself: what was written just now may not have come yet. Raises LogUnavailable."""
        version, state = await self._aggregates.load(self._decider, id, latest=True)
        if version > self._versions.get(id, 0):
            self._keep(id, version, state)

    def _keep(self, id: str, version: int, state: Any) -> None:
        self._versions[id] = version
        if isinstance(state, self._known):
            self._states[id] = state


class Known:
    """`run` keeps it up; it may be asked once it is `ready`."""

    def __init__(self, store: EventStore, aggregates: Aggregates) -> None:
        self.skills = Category(store, aggregates, skill.skill, skill.Known)
        self.definitions = Category(
            store, aggregates, workflow_definition.workflow_definition, workflow_definition.Known
        )

    async def run(self) -> None:
        await first_to_end(self.skills.run(), self.definitions.run())

    async def ready(self) -> None:
        await self.skills.ready.wait()
        await self.definitions.ready.wait()

    def specification(self, name: str, version: str) -> skill.Specification | None:
        found = self.skills.states.get(name)
        offered = found.versions.get(version) if found is not None else None
        return offered.specification if offered is not None else None

    def pinned(self, steps: Mapping[str, Step]) -> dict[str, int]:
        """The versions of the workflows that they name without one, as they are now."""
        states = self.definitions.states
        return latest_of({name: states[name] for name in left_open(steps) if name in states})

    async def look(self, steps: Mapping[str, Step], pinned: Mapping[str, int]) -> None:
        """At the log for whatever is named in `steps`, or `pinned` of workflows, and not known: it may have come a
        moment ago.

        Raises LogUnavailable."""
        skills, workflows = named(steps)
        for name, version in skills:
            known = self.skills.states.get(name)
            if known is None or (version and version not in known.versions):
                await self.skills.look(name)
        for name in workflows:
            definition = self.definitions.states.get(name)
            if definition is None or pinned.get(name, definition.latest) not in definition.versions:
                await self.definitions.look(name)


def named(steps: Mapping[str, Step]) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """The skills (each with the version that is asked for, or "") and workflows that steps name, patterns written
    out."""
    skills: set[tuple[str, str]] = set()
    workflows: set[str] = set()
    for step in steps.values():
        if step.workflow is not None:
            workflows.add(step.workflow)
        skills.update(_skills_of(step))
    return frozenset(skills), frozenset(workflows)


def _skills_of(step: Step) -> Iterable[tuple[str, str]]:
    if step.skill is not None:
        yield step.skill, str(step.version or "")
    if step.compensate is not None:
        yield step.compensate.skill, step.compensate.version or ""
    yield from ((name, "") for name in step.team)
    for candidate in step.adaptive.candidates if step.adaptive is not None else ():
        yield candidate.skill, candidate.version or ""


__all__ = ["Category", "Known", "named"]
