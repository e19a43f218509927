"""Chains, swarms and hybrids as the plain steps that they stand for.

The parts of a step `s` are named `s__<part>`, but the last one, which keeps the name: `needs: [s]` and
`steps.s.output` mean the pattern. The first part takes over what the step needs, its condition and its input. What a
part is asked with, unless it has an input of its own:

chain    s__1, s__2, …, s       the input of the step, then each the output of the one before
swarm    s__decompose           the input of the step; gives a list of tasks, or an object with `tasks`
         s__work                the task itself; `steps.s__work.output` are the results of all rounds so far, each with
                                `task`, `result` and `error` (null, or why there is no result)
         s__coordinate          {tasks, results, failures}: all tasks, the results without an error, those with one;
                                gives an object with more `tasks`, or none
         s                      (aggregate) the same
hybrid   s__plan                the input of the step
         s__supervise           {plan, remarks}: remarks are those of the assurance that sent the work back, else null;
                                gives a list of tasks, or an object with `tasks`
         s__work                the task itself
         s__synthesise          {plan, tasks, results, failures} of this revision
         s                      (assure) {plan, result}: gives an object with `accepted` and `remarks`; the output of
                                the pattern is that of the synthesis
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import structs

from domain.workflow_definition import Definition, Partial, Revise, SkillCall, Step

_OUTCOMES: Final = "outcomes[*].{task: item, result: output, error: error}"


def expanded(definition: Definition) -> dict[str, Step]:
    """All plain steps, each after those that it needs; for the rest in the order of the definition. Its needs must be
    there, and without a circle."""
    return written_out(definition.steps)


def written_out(steps: Mapping[str, Step]) -> dict[str, Step]:
    """As `expanded`; what is written out and in order already stays as it is."""
    if not any(map(is_pattern, steps.values())):
        return ordered(steps)
    return ordered(parts(steps))


def is_pattern(step: Step) -> bool:
    return step.chain is not None or step.swarm is not None or step.hybrid is not None


def parts(steps: Mapping[str, Step]) -> dict[str, Step]:
    """Written out, in any order. What goes back to a pattern goes back to its first part."""
    found: dict[str, Step] = {}
    first: dict[str, str] = {}
    for name, step in steps.items():
        written = _parts(name, step)
        first[name] = next(iter(written))
        found |= written
    return {name: _going_back(step, first) for name, step in found.items()}


def ordered(steps: Mapping[str, Step]) -> dict[str, Step]:
    """Always the first that can come. Raises ValueError for steps that need one another."""
    found: dict[str, Step] = {}
    waiting = dict(steps)
    while waiting:
        name = next((name for name, step in waiting.items() if waiting.keys().isdisjoint(step.needs)), None)
        if name is None:
            raise ValueError(f"steps that need one another: {', '.join(waiting)}")
        found[name] = waiting.pop(name)
    return found


def _parts(name: str, step: Step) -> dict[str, Step]:
    if step.chain is not None:
        return _chain(name, step, step.chain.links)
    if step.swarm is not None:
        return _swarm(name, step)
    if step.hybrid is not None:
        return _hybrid(name, step)
    return {name: step}


def _going_back(step: Step, first: Mapping[str, str]) -> Step:
    if step.revise is None or first.get(step.revise.back_to, step.revise.back_to) == step.revise.back_to:
        return step
    return structs.replace(step, revise=structs.replace(step.revise, back_to=first[step.revise.back_to]))


def _called(call: SkillCall, whole: Step, input: Any = None, **more: Any) -> Step:
    return Step(
        skill=call.skill,
        version=call.version,
        input=call.input if call.input is not None else input,
        timeout=call.timeout,
        retry=call.retry,
        compensate=call.compensate,
        on_failure=whole.on_failure,
        **more,
    )


def _first(call: SkillCall, whole: Step, **more: Any) -> Step:
    return _called(call, whole, whole.input, needs=whole.needs, after=whole.after, when=whole.when, **more)


def _chain(name: str, step: Step, links: tuple[SkillCall, ...]) -> dict[str, Step]:
    names = [f"{name}__{place}" for place in range(1, len(links))] + [name]
    found = {names[0]: _first(links[0], step)}
    for before, each, link in zip(names, names[1:], links[1:], strict=False):
        found[each] = _called(link, step, needs=(before,))
    found[name] = structs.replace(found[name], output=step.output, revise=step.revise)
    return found


def _swarm(name: str, step: Step) -> dict[str, Step]:
    swarm = step.swarm
    if swarm is None:
        return {name: step}
    decompose, work, coordinate = f"{name}__decompose", f"{name}__work", f"{name}__coordinate"
    tasks, results = _tasks(decompose), _OUTCOMES
    if swarm.coordinate is not None:
        # Work that somebody else sends back begins with what was decomposed again, not with the tasks of a round.
        later = f"steps.{coordinate}.round > `1`"
        tasks = f"({later} && not_null(remarks.tasks, remarks)) || {tasks}"
        results = f"({later} && [steps.{work}.history[-1], {_OUTCOMES}][]) || {_OUTCOMES}"
    found = {
        decompose: _first(swarm.decompose, step),
        work: _work(swarm.work, step, decompose, tasks, swarm.team, swarm.parallel, swarm.partial, results),
    }
    seen = _seen(f"steps.{work}.output")
    if swarm.coordinate is not None:
        enough = "!(result.tasks || (type(result) == 'array' && result))"
        again = Revise(enough, work, swarm.rounds - 1, "accept")
        found[coordinate] = _called(swarm.coordinate, step, seen, needs=(work,), revise=again)
    last = next(reversed(found))
    found[name] = _called(swarm.aggregate, step, seen, needs=(last,), output=step.output, revise=step.revise)
    return found


def _hybrid(name: str, step: Step) -> dict[str, Step]:
    hybrid = step.hybrid
    if hybrid is None:
        return {name: step}
    plan, supervise, work, synthesise = (f"{name}__{part}" for part in ("plan", "supervise", "work", "synthesise"))
    planned = f"${{steps.{plan}.output}}"
    tasks = _tasks(supervise)
    output = f"steps.{synthesise}.output"
    return {
        plan: _first(hybrid.plan, step),
        supervise: _called(hybrid.supervise, step, {"plan": planned, "remarks": "${remarks.remarks}"}, needs=(plan,)),
        work: _work(hybrid.work, step, supervise, tasks, hybrid.team, hybrid.parallel, hybrid.partial, _OUTCOMES),
        synthesise: _called(
            hybrid.synthesise,
            step,
            {"plan": planned, **_seen(f"steps.{work}.output")},
            needs=(work,),
            output=step.output,
        ),
        name: _called(
            hybrid.assure,
            step,
            {"plan": planned, "result": f"${{{output}}}"},
            needs=(synthesise,),
            output=output,
            revise=Revise("result.accepted", supervise, hybrid.revisions, hybrid.otherwise),
        ),
    }


def _work(
    call: SkillCall,
    step: Step,
    needs: str,
    tasks: str,
    team: tuple[str, ...],
    parallel: int,
    partial: Partial,
    output: str,
) -> Step:
    return _called(call, step, needs=(needs,), each=tasks, team=team, parallel=parallel, partial=partial, output=output)


def _tasks(step: str) -> str:
    return f"not_null(steps.{step}.output.tasks, steps.{step}.output)"


def _seen(results: str) -> dict[str, str]:
    return {
        "tasks": f"${{{results}[*].task}}",
        "results": f"${{{results}[?!error]}}",
        "failures": f"${{{results}[?error]}}",
    }
