"""Counting failures in a row of each version of a skill, as this process sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from domain import skill, workflow
from domain.circuit import Circuit, CircuitPolicy, opens
from domain.workflow import Call

_COUNTED: Final = frozenset({"error", "timeout", "lost"})
"""Kinds of failure that speak against the skill; that an input is invalid speaks against who asked."""


class Circuits:
    """What follows for a skill from what was written of its calls."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Circuit] = {}

    def heard(
        self,
        events: Iterable[workflow.Event],
        calls: Mapping[str, Call],
        skills: Mapping[str, skill.Known],
        at: datetime,
    ) -> list[tuple[str, skill.OpenCircuit | skill.CloseCircuit]]:
        """Commands to skills, by name."""
        commands: list[tuple[str, skill.OpenCircuit | skill.CloseCircuit]] = []
        for event in events:
            if not isinstance(event, workflow.Succeeded | workflow.Failed):
                continue
            call = calls.get(event.call)
            known = skills.get(call.skill) if call is not None and call.kind == "skill" else None
            offered = known.versions.get(call.version) if call is not None and known is not None else None
            if call is None or offered is None:
                continue
            command = self._one(event, call, offered, at)
            if command is not None:
                commands.append((call.skill, command))
        return commands

    def _one(
        self, event: workflow.Succeeded | workflow.Failed, call: Call, offered: skill.Offered, at: datetime
    ) -> skill.OpenCircuit | skill.CloseCircuit | None:
        key = call.skill, call.version
        match event:
            case workflow.Succeeded():
                self._known.pop(key, None)
                return skill.CloseCircuit(call.version) if offered.open_until is not None else None
            case workflow.Failed(kind=kind) if kind in _COUNTED:
                return self._failed(key, event.reason, offered.specification.circuit, offered.open_until, at)
            case workflow.Failed():
                return None

    def _failed(
        self, key: tuple[str, str], reason: str, policy: CircuitPolicy, open_until: datetime | None, at: datetime
    ) -> skill.OpenCircuit | None:
        before = self._known.get(key, Circuit())
        if open_until is None and before.open_until is not None and not before.is_open(at):
            before = Circuit()  # another process has seen it work again
        if open_until is not None and before.open_until is None:
            # Opened by another process, or before this one began: the first failure after it is enough again.
            before = Circuit(policy.failures - 1, open_until)
        until = opens(before, policy, at)
        failures = before.failures + 1
        self._known[key] = msgspec.structs.replace(before, failures=failures, open_until=until or before.open_until)
        return skill.OpenCircuit(key[1], failures, until, reason[:500]) if until is not None else None
