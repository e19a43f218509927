"""What a run may look at when it decides, and what the expressions of a step read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from domain import expressions, skill, workflow_definition
from domain.expressions import Path, Unanswerable
from domain.workflow import Running, StepState, Value
from domain.workflow_definition import Step, Template


class NotAtHand(Exception):
    """Nothing was decided: `value` stands in the object store. Whoever called fetches it and asks again."""

    def __init__(self, value: Value) -> None:
        super().__init__(f"the value {value.hash} is not at hand")
        self.value = value


class World(NamedTuple):
    """`drawn` from 0 to 1, for jitter; `value` gives what a Value stands for, and raises NotAtHand."""

    now: datetime
    drawn: float
    skills: Mapping[str, skill.Known]
    definitions: Mapping[str, workflow_definition.Known]
    value: Callable[[Value], Any]


class Scope:
    """The state of a run, and what is `near`: the names that only one step, item or call knows. A Value among them is
    read when it is asked for."""

    __slots__ = ("_actor", "_near", "_run", "_state", "_value")

    def __init__(
        self, run: str, actor: str, state: Running, value: Callable[[Value], Any], near: Mapping[str, Any]
    ) -> None:
        self._run = run
        self._actor = actor
        self._state = state
        self._value = value
        self._near = near

    def at(self, path: Path) -> Any:
        match path:
            case ("steps",):
                return {name: self._step(state) for name, state in self._state.states.items()}
            case ("steps", name):
                state = self._state.states.get(name)
                return self._step(state) if state is not None else None
            case ("steps", name, "output", *rest):
                state = self._state.states.get(name)
                return expressions.walked(self._read(state.output), tuple(rest)) if state is not None else None
            case ("steps", *rest):
                return expressions.walked(self.at(("steps", rest[0])), tuple(rest[1:]))
            case (name, *rest):
                return expressions.walked(self._read(self._named(name)), tuple(rest))
            case _:
                return None

    def whole(self, path: Path) -> Value | None:
        """The Value that stands under a path, as it is, so that what is large need not be read to be passed on."""
        match path:
            case ("steps", name, "output"):
                state = self._state.states.get(name)
                return state.output if state is not None else Value()
            case (name,):
                found = self._named(name)
                return found if isinstance(found, Value) else None
            case _:
                return None

    def _named(self, name: str) -> Any:
        if name in self._near:
            return self._near[name]
        match name:
            case "input":
                return self._state.input
            case "run":
                return {"id": self._run, "actor": self._actor}
            case _:
                return None

    def _read(self, found: Any) -> Any:
        if not isinstance(found, Value):
            return found
        return self._value(found) if found.hash else found.inline

    def _step(self, state: StepState) -> dict[str, Any]:
        return {
            "output": self._read(state.output),
            "status": state.status,
            "error": state.reason or None,
            "history": [self._read(each) for each in state.history],
            "round": state.round,
        }


def filled(template: Template, scope: Scope) -> Value:
    """Raises Unanswerable and NotAtHand."""
    if isinstance(template, str) and "${" in template:
        alone = expressions.single(template)
        if alone is not None:
            return valued(alone.text, scope)
    return Value(expressions.filled(template, scope))


def valued(expression: str, scope: Scope) -> Value:
    """Of an expression without the `${}`. Raises Unanswerable and NotAtHand."""
    compiled = expressions.compiled(expression)
    whole = scope.whole(compiled.path) if compiled.path is not None else None
    return whole if whole is not None else Value(expressions.value(compiled, scope))


def given(step: Step, template: Template, state: Running, scope: Scope) -> Value:
    """What a step is asked with: its template; without one the output of the step that it needs, of several by their
    names, of none the input of the run. Raises Unanswerable and NotAtHand."""
    if template is not None:
        return filled(template, scope)
    match step.needs:
        case ():
            return state.input
        case (name,):
            return state.states[name].output
        case names:
            return Value({name: scope.at(("steps", name, "output")) for name in names})


def listed(expression: str, scope: Scope, most: int) -> list[Any]:
    """The items of a step with `each`. Raises Unanswerable and NotAtHand."""
    found = expressions.value(expressions.compiled(expression), scope)
    if not isinstance(found, list):
        raise Unanswerable(f"each: {expression} gives no list")
    items = cast(list[Any], found)
    if len(items) > most:
        raise Unanswerable(f"each: {len(items)} items are more than {most}")
    return items
