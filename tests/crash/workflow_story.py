"""The workflow that is hit: all patterns in one, with a sub-workflow that fails and takes back what it did, and with
skills that workers do; and every event of it, told beforehand by the pure core alone.
"""

from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec

from domain import skill, workflow, workflow_definition
from domain.skill import Cost, RetryPolicy, Specification
from domain.workflow import Ended, NotStarted, Value
from domain.workflow_course import CallFailed, CallLeased, CallSucceeded, World, advance, take, to_start
from domain.workflow_definition import Definition
from domain.workflow_patterns import expanded

ONCE = RetryPolicy(attempts=1)
LEASE = 1.0
"""Seconds until the work of a worker that was killed is given to another."""


class Broken(Exception):
    """What a skill raises that is to fail."""


def broken(given):
    raise Broken("it is broken")


SKILLS = {
    "increase": lambda n: n + 1,
    "split": lambda n: [n, n + 1, n + 2],
    "tenfold": lambda n: n * 10,
    "total": lambda given: sum(each["result"] for each in given["results"]),
    "plan": lambda n: {"of": n},
    "supervise": lambda given: [1, 2] if given["remarks"] is None else [3, 4],
    "assure": lambda given: {"accepted": given["result"] == 70, "remarks": "it must be 70"},
    "grow": lambda n: n + 40,
    "shrink": lambda n: n - 5,
    "broken": broken,
    "spare": lambda given: given + 1_000,
    "book": lambda given: f"booked {given}",
    "unbook": lambda given: "taken back",
    "collect": lambda given: given,
}
FALLBACKS = {"broken": "spare"}
REMOTE = ("tenfold", "book", "unbook")
"""What a worker does, in a process of its own; the engine's process does the rest."""

INNER = {"a": {"skill": "increase"}, "b": {"skill": "increase", "needs": ["a"]}}
TRIP = {
    "flight": {"skill": "book", "input": "flight", "compensate": {"skill": "unbook"}},
    "hotel": {"skill": "book", "input": "hotel", "needs": ["flight"], "compensate": {"skill": "unbook"}},
    "visa": {"skill": "refused", "needs": ["hotel"]},
}
MIXED = {
    "chained": {"chain": {"links": [{"skill": "increase"}, {"skill": "increase"}]}},
    "swarm": {
        "swarm": {"decompose": {"skill": "split"}, "work": {"skill": "tenfold"}, "aggregate": {"skill": "total"}},
        "needs": ["chained"],
    },
    "hybrid": {
        "hybrid": {
            "plan": {"skill": "plan"},
            "supervise": {"skill": "supervise"},
            "work": {"skill": "tenfold"},
            "synthesise": {"skill": "total"},
            "assure": {"skill": "assure"},
        },
        "needs": ["swarm"],
    },
    "adaptive": {
        "adaptive": {
            "goal": "result == `100`",
            "candidates": [
                {"skill": "grow", "when": "!turns || result < `100`", "input": "${result || steps.hybrid.output}"},
                {"skill": "shrink", "when": "turns && result > `100`", "input": "${result}"},
            ],
        },
        "needs": ["hybrid"],
    },
    "inner": {"workflow": "inner", "needs": ["adaptive"]},
    "mapped": {"skill": "tenfold", "each": "[steps.inner.output, `5`]", "needs": ["inner"]},
    "instead": {"skill": "broken", "input": "${steps.mapped.output[1]}", "needs": ["mapped"]},
    "approved": {"approval": {"question": "Is ${steps.instead.output} right?"}, "needs": ["instead"]},
    "trip": {"workflow": "trip", "needs": ["approved"], "on_failure": "continue"},
    "collected": {
        "skill": "collect",
        "input": {
            "swarm": "${steps.swarm.output}",
            "hybrid": "${steps.hybrid.output}",
            "mapped": "${steps.mapped.output}",
            "instead": "${steps.instead.output}",
            "trip": "${steps.trip.status}",
        },
        "needs": ["trip"],
    },
}
SKILLS["refused"] = broken
DEFINITIONS = {"inner": INNER, "trip": TRIP, "mixed": MIXED}
INPUT = 1
RESULT = {"swarm": 120, "hybrid": 70, "mapped": [1020, 50], "instead": 1050, "trip": "failed"}


def specification(name):
    """One attempt alone: whoever is killed in the middle of it costs none. Each costs 1."""
    return Specification("1", lease=LEASE, retry=ONCE, fallback=FALLBACKS.get(name), cost=Cost(per_call=1.0))


def boundary(event):
    """An event in short, told by the place of its call in the run, or by its step."""
    what = str(event.__struct_config__.tag).removeprefix("workflow.")
    call = getattr(event, "call", "")
    return f"{what} {call.rpartition('-')[2] or getattr(event, 'step', '')}".strip()


class Told:
    """The whole story, without any outside: `events` as (stream, boundary), `calls` by the skill that was asked."""

    def __init__(self):
        self.events, self.calls = [], {}
        specs = {name: specification(name) for name in SKILLS}
        skills = {name: skill.Known({"1": skill.Offered(spec)}, {"1": 1}) for name, spec in specs.items()}
        definitions = {
            name: workflow_definition.Known({1: msgspec.convert({"steps": steps}, Definition)})
            for name, steps in DEFINITIONS.items()
        }
        self.world = World(datetime.now(UTC), 0.5, skills, definitions, lambda value: value.inline)
        self.outcome = self.run("run", "mixed", INPUT)

    def run(self, id, name, given):
        definition = self.world.definitions[name].versions[1]
        begin = workflow.Begin(name, 1, dict(expanded(definition)), Value(given))
        stream = SimpleNamespace(id=id, state=NotStarted())
        self.say(stream, workflow.decide(begin, stream.state))
        while not isinstance(stream.state, Ended):
            self.say(stream, advance(id, stream.state, "ann", self.world))
            for call in to_start(stream.state):
                self.say(stream, self.made(stream, call))
            waiting = [
                step
                for step, state in getattr(stream.state, "states", {}).items()
                if state.status == "running" and stream.state.steps[step].approval is not None
            ]
            for step in waiting:
                self.say(stream, workflow.decide(workflow.Approve(step), stream.state))
        return stream.state

    def say(self, stream, events):
        for event in events:
            self.events.append((stream.id, boundary(event)))
            stream.state = workflow.evolve(stream.state, event)

    def made(self, stream, id):
        call = stream.state.calls[id]
        if call.kind == "workflow":
            ended = self.run(id, call.skill, call.input.inline)
            child = workflow.ChildEnded(id, ended.outcome, ended.output, ended.reason, ended.cost)
            return workflow.decide(child, stream.state)
        self.calls[id] = call.skill
        if call.skill in REMOTE:
            self.say(stream, take(stream.id, stream.state, CallLeased(id, call.attempt, "worker"), self.world))
        try:
            said = CallSucceeded(id, call.attempt, Value(SKILLS[call.skill](call.input.inline)))
        except Broken as error:
            said = CallFailed(id, call.attempt, "error", str(error))
        return take(stream.id, stream.state, said, self.world)


TOLD = Told()
assert (TOLD.outcome.outcome, TOLD.outcome.output.inline) == ("completed", RESULT), TOLD.outcome
