"""Why a definition of a workflow cannot be published, or a run of it not be started: every fault at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, NamedTuple, cast

from domain.expressions import Expression, Unanswerable, compiled, expressions, pointer
from domain.expressions import faults as expression_faults
from domain.workflow_definition import (
    LONGEST_NAME,
    MOST_STEPS,
    Adaptive,
    Compensation,
    Definition,
    SkillCall,
    Step,
)
from domain.workflow_patterns import parts


class Fault(NamedTuple):
    """`where` is a JSON pointer into the definition, or into the input of a run."""

    where: str
    what: str


Kind = str
_KINDS: Final = ("skill", "workflow", "approval", "wait", "adaptive", "chain", "swarm", "hybrid")
_ALWAYS: Final = frozenset({"needs", "after", "when"})
_FIELDS: Final[Mapping[Kind, frozenset[str]]] = {
    "skill": frozenset(
        {"version", "input", "each", "timeout", "retry", "on_failure", "compensate", "output", "revise"}
    ),
    "workflow": frozenset({"version", "input", "each", "timeout", "on_failure", "compensate", "output", "revise"}),
    "approval": frozenset({"on_failure", "revise"}),
    "wait": frozenset({"on_failure"}),
    "adaptive": frozenset({"input", "timeout", "retry", "on_failure", "compensate", "output", "revise"}),
    "chain": frozenset({"input", "on_failure", "output", "revise"}),
    "swarm": frozenset({"input", "on_failure", "output", "revise"}),
    "hybrid": frozenset({"input", "on_failure", "output"}),
}
"""What applies to a kind of step, beside what always does; `team`, `parallel` and `partial` are of `each`."""
_PARKS: Final = frozenset({"skill", "workflow", "adaptive", "chain", "swarm", "hybrid"})
_CONTINUES: Final = frozenset({"skill", "workflow", "approval", "wait", "adaptive"})
_OF_EACH: Final = frozenset({"team", "parallel", "partial"})
_KNOWN: Final = frozenset({"input", "steps", "remarks", "run"})
_PLAIN: Final = Step()


def faults(definition: Definition) -> list[Fault]:
    """All of them."""
    steps = definition.steps
    reach = _reach(steps)
    found = [fault for name, step in steps.items() for fault in _step(name, step, steps, reach)]
    found += _circles(steps)
    found += _templates(definition.output, "/output", frozenset(steps), _KNOWN - {"remarks"})
    found += (Fault(f"/input{where}", what) for where, what in schema_faults(definition.input))
    count = len(parts(steps))
    if count > MOST_STEPS:
        found.append(Fault("/steps", f"{count} steps with all patterns written out are more than {MOST_STEPS}"))
    return found


def _step(name: str, step: Step, steps: Mapping[str, Step], reach: Mapping[str, frozenset[str]]) -> Iterator[Fault]:
    where = f"/steps/{name}"
    kinds = [kind for kind in _KINDS if getattr(step, kind) is not None]
    if len(kinds) != 1:
        yield Fault(where, f"exactly one of {', '.join(_KINDS)}, not {' and '.join(kinds) or 'none'}")
    if len(name) > LONGEST_NAME:
        yield Fault(where, f"a name has at most {LONGEST_NAME} characters")
    if "__" in name:
        yield Fault(where, "a double underscore is of the names of parts of patterns")
    for place, need in enumerate(step.needs):
        if need == name:
            yield Fault(f"{where}/needs/{place}", "a step cannot need itself")
        elif need not in steps:
            yield Fault(f"{where}/needs/{place}", f"there is no step {need}")
        elif need in step.needs[:place]:
            yield Fault(f"{where}/needs/{place}", f"{need} is there twice")
    if len(kinds) == 1:
        yield from _fields(where, step, kinds[0])
    if step.revise is not None:
        yield from _back(f"{where}/revise/back_to", name, step.revise.back_to, steps, reach)
    yield from _texts(where, name, step, reach)


def _fields(where: str, step: Step, kind: Kind) -> Iterator[Fault]:
    """What is given, but does not apply."""
    applies = _ALWAYS | _FIELDS[kind] | (_OF_EACH if step.each else frozenset[str]())
    for field in step.__struct_fields__:
        if field in _KINDS or field in applies or getattr(step, field) == getattr(_PLAIN, field):
            continue
        of_each = field in _OF_EACH and "each" in _FIELDS[kind]
        yield Fault(f"{where}/{field}", "it needs each" if of_each else f"it does not apply to {_a(kind)}")
    if step.team and kind == "workflow":
        yield Fault(f"{where}/team", "it does not apply to a workflow")
    if kind == "skill" and isinstance(step.version, int):
        yield Fault(f"{where}/version", "the version of a skill is a text")
    if kind == "workflow" and isinstance(step.version, str):
        yield Fault(f"{where}/version", "the version of a workflow is a number")
    if step.on_failure == "park" and kind not in _PARKS:
        yield Fault(f"{where}/on_failure", f"park does not apply to {_a(kind)}: only calls can be parked")
    if step.on_failure == "continue" and kind not in _CONTINUES:
        yield Fault(f"{where}/on_failure", f"continue does not apply to {_a(kind)}: make it a workflow of its own")


def _back(
    where: str, name: str, back_to: str, steps: Mapping[str, Step], reach: Mapping[str, frozenset[str]]
) -> Iterator[Fault]:
    if back_to not in steps:
        yield Fault(where, f"there is no step {back_to}")
    elif back_to != name and back_to not in reach[name]:
        yield Fault(where, f"{name} does not come after {back_to}")


def _texts(where: str, name: str, step: Step, reach: Mapping[str, frozenset[str]]) -> Iterator[Fault]:
    """Everything with expressions in it. Another step can be read if it comes before this one, or, where work is sent
    back, after it."""
    near = reach[name] | {other for other, before in reach.items() if name in before} | {name}
    item = {"item", "index"} if step.each else set[str]()
    turns = {"turns"} if step.adaptive is not None else set[str]()
    outcomes = {"outcomes"} if step.each else set[str]()

    def expression(text: str, field: str, *more: str) -> Iterator[Fault]:
        return _expression(text, f"{where}/{field}", near, _KNOWN | {*more}) if text else iter(())

    def template(given: Any, field: str, *more: str) -> Iterator[Fault]:
        return _templates(given, f"{where}/{field}", near, _KNOWN | {*more})

    yield from expression(step.when, "when")
    yield from expression(step.each, "each")
    yield from expression(step.output, "output", "result", *outcomes, *turns)
    yield from template(step.input, "input", *item)
    if step.approval is not None:
        yield from template(step.approval.question, "approval/question")
    if step.revise is not None:
        yield from expression(step.revise.until or " ", "revise/until", "result", *outcomes, *turns)
    if step.compensate is not None:
        yield from template(step.compensate.input, "compensate/input", "result", "given")
    if step.adaptive is not None:
        yield from _adaptive(step.adaptive, expression, template)
        for place, each in enumerate(step.adaptive.candidates):
            if each.skill in {other.skill for other in step.adaptive.candidates[:place]}:
                yield Fault(f"{where}/adaptive/candidates/{place}/skill", f"{each.skill} is there twice")
    yield from _parts(step, template)


_Read = Callable[..., Iterator[Fault]]


def _adaptive(adaptive: Adaptive, expression: _Read, template: _Read) -> Iterator[Fault]:
    yield from expression(adaptive.goal or " ", "adaptive/goal", "turns", "result")
    for place, each in enumerate(adaptive.candidates):
        at = f"adaptive/candidates/{place}"
        yield from expression(each.when, f"{at}/when", "turns", "result")
        yield from expression(each.score or " ", f"{at}/score", "turns", "result")
        yield from template(each.input, f"{at}/input", "turns", "result")


def _parts(step: Step, template: _Read) -> Iterator[Fault]:
    for at, call in _calls(step):
        item = ("item", "index") if at.endswith("/work") else ()
        yield from template(call.input, f"{at}/input", *item)
        if isinstance(call.compensate, Compensation):
            yield from template(call.compensate.input, f"{at}/compensate/input", "result", "given")


def _calls(step: Step) -> Iterator[tuple[str, SkillCall]]:
    if step.chain is not None:
        yield from ((f"chain/links/{place}", link) for place, link in enumerate(step.chain.links))
    for kind, pattern in (("swarm", step.swarm), ("hybrid", step.hybrid)):
        for part in pattern.__struct_fields__ if pattern is not None else ():
            call = getattr(pattern, part)
            if isinstance(call, SkillCall):
                yield f"{kind}/{part}", call


def _templates(template: Any, where: str, steps: Iterable[str], known: frozenset[str]) -> Iterator[Fault]:
    for at, found in expressions(template, where):
        if isinstance(found, Expression):
            yield from _expression(found.text, at, steps, known)
        else:
            yield Fault(at, found)


def _expression(text: str, where: str, steps: Iterable[str], known: frozenset[str]) -> Iterator[Fault]:
    if not text.strip():
        yield Fault(where, "it must be an expression")
        return
    wrong = expression_faults(text)
    yield from (Fault(where, f"{text}: {fault}") for fault in wrong)
    if wrong:
        return
    try:
        reads = compiled(text).reads
    except Unanswerable:
        return
    for path in reads:
        if path[0] not in known:
            yield Fault(where, f"{text}: {path[0]} is not known here, only {', '.join(sorted(known))}")
        elif len(path) == 2 and path[1].partition("__")[0] not in steps:
            yield Fault(where, f"{text}: {path[1]} is no step that comes before or after this one")


def _reach(steps: Mapping[str, Step]) -> dict[str, frozenset[str]]:
    """What each step needs, and what that needs, and so on; circles and all."""
    found: dict[str, frozenset[str]] = {}
    for name in steps:
        seen: set[str] = set()
        waiting = [*steps[name].needs]
        while waiting:
            need = waiting.pop()
            if need in steps and need not in seen:
                seen.add(need)
                waiting += steps[need].needs
        found[name] = frozenset(seen)
    return found


def _circles(steps: Mapping[str, Step]) -> Iterator[Fault]:
    """One by one: each is cut where it was found, until there are no more."""
    graph = {name: {need for need in step.needs if need in steps and need != name} for name, step in steps.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            graph[circle[1]].discard(circle[0])
            yield Fault("/steps", f"steps that need one another: {' <- '.join(reversed(circle))}")
        else:
            return


def schema_faults(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All that is wrong with a JSON schema (draft 2020-12), each with its JSON pointer: its form, and references
    to what is not in it."""
    if not schema:
        return []
    try:
        form = _malformed(schema)
        # Only in a schema of the right form can anything be looked up.
        return form + list(_references(schema, "", None if form else _resolver(schema)))
    except RecursionError:
        return [("", "it is nested too deeply")]


def _malformed(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

    checker = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=checker)
    errors = cast(Iterable[ValidationError], validator.iter_errors(schema))  # pyright: ignore[reportUnknownMemberType]
    return sorted((_pointer("", error.absolute_path), error.message[:300]) for error in errors)


def _resolver(schema: Mapping[str, Any]) -> Any:
    from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

    return EMPTY_REGISTRY.resolver_with_root(DRAFT202012.create_resource(schema))


def _references(schema: Any, where: str, resolver: Any) -> Iterator[tuple[str, str]]:
    """Nothing is fetched when a run starts."""
    if isinstance(schema, Mapping):
        inner = cast(Mapping[str, Any], schema)
        if where and resolver is not None and isinstance(inner.get("$id"), str):
            from referencing.jsonschema import DRAFT202012

            resolver = resolver.in_subresource(DRAFT202012.create_resource(inner))
        for key, each in inner.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(each, str) and not _is_within(each, resolver):
                yield f"{where}/{key}", f"it refers to {each[:200]}, which is not in the schema"
            yield from _references(each, f"{where}/{pointer(key)}", resolver)
    elif isinstance(schema, list):
        for place, each in enumerate(cast(list[Any], schema)):
            yield from _references(each, f"{where}/{place}", resolver)


def _is_within(reference: str, resolver: Any) -> bool:
    from referencing.exceptions import Unresolvable

    if not reference.startswith("#"):
        return False
    try:
        return resolver is None or isinstance(resolver.lookup(reference).contents, Mapping | bool)
    except (Unresolvable, ValueError, TypeError):
        return False


def _pointer(start: str, path: Iterable[Any]) -> str:
    return start + "".join(f"/{pointer(str(part))}" for part in path)


def _a(kind: Kind) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
