"""How work is to be done, as data: steps that need one another, or a pattern of such steps. Versions are never changed:
what runs stays on the version with which it began.

In the text of an input, `${...}` is a JMESPath expression over `input` (of the run), `steps` (by name: `output`,
`status`, `error`, and `history`: the outputs of the rounds before), `item` and `index` (of a step with `each`),
`remarks` (of the quality assurance that sent the work back, else null) and `run` (`id`, `actor`); a text that is
nothing but one expression becomes its value, and `$${` is `${` as it stands. `when`, `each`, `output`, `until`, `goal`
and `score` are such expressions without the `${}`. `result` is what a step has just given, before its `output`
expression (there, in `until` and in a compensation), `outcomes` those of the items of a step with `each` (a list of
`index`, `item`, `output`, `error`, `skill`), `turns` those of an adaptive step, `given` the input of the call that a
compensation takes back. `steps` also says `round`: 1, and one more each time the step was sent back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from domain.decider import Decider, Refusal
from domain.skill import JsonSchema, Name, RetryPolicy, Seconds, VersionName

StepName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""People give at most LONGEST_NAME characters, without a double underscore: parts of patterns are named with it."""
Expression = Annotated[str, Meta(max_length=2_000)]
Template = Any
"""JSON, with expressions in its texts."""

LONGEST_NAME = 40
MOST_STEPS = 200
"""Of a definition, its patterns written out."""
MOST_ITEMS = 1_000
"""Of one step with `each`: what needs more asks another workflow for each part."""


class Compensation(Struct, frozen=True, forbid_unknown_fields=True):
    """What undoes a step that has succeeded. `result` stands for its output, `given` for its input."""

    skill: Name
    version: VersionName | None = None
    input: Template = "${result}"


class Partial(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a step with `each`: which `share` of its items must succeed, and how many are `enough` (the others are
    cancelled then); None: all are waited for."""

    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    enough: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] | None = None


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """A person decides; `question` is a template. Nobody within `within` seconds: `otherwise`."""

    question: Annotated[str, Meta(min_length=1, max_length=2_000)]
    within: Seconds | None = None
    otherwise: Literal["reject", "approve"] = "reject"


class Revise(Struct, frozen=True, forbid_unknown_fields=True):
    """Back to step `back_to` with the `result` of this one as `remarks`, unless `until` holds, at most so many times;
    `otherwise` is what is made of a result that still does not hold then."""

    until: Expression
    back_to: StepName
    at_most: Annotated[int, Meta(ge=0, le=20)] = 2
    otherwise: Literal["fail", "accept"] = "fail"


class Candidate(Struct, frozen=True, forbid_unknown_fields=True):
    """A skill that an adaptive step may choose. `score` is an expression that gives a number, higher is better."""

    skill: Name
    version: VersionName | None = None
    when: Expression = ""
    score: Expression = "`1`"
    input: Template = None


class Adaptive(Struct, frozen=True, forbid_unknown_fields=True):
    """One skill after the other, each chosen by the state that the ones before have left (`turns`: a list of `skill`,
    `output` and `error`), until `goal` holds; the choice and its scores are on the record. Candidates with the same
    score are asked in their order; one that has failed for good is not asked again. After `at_most` turns without the
    goal, or without a candidate, the step has failed. One turn is always taken."""

    goal: Expression
    candidates: Annotated[tuple[Candidate, ...], Meta(min_length=1, max_length=50)]
    at_most: Annotated[int, Meta(ge=1, le=100)] = 10


class SkillCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A skill as a part of a pattern."""

    skill: Name
    version: VersionName | None = None
    input: Template = None
    timeout: Seconds | None = None
    retry: RetryPolicy | None = None
    compensate: Compensation | None = None


class Chain(Struct, frozen=True, forbid_unknown_fields=True):
    """One after the other; without an input of its own each gets the output of the one before."""

    links: Annotated[tuple[SkillCall, ...], Meta(min_length=1, max_length=50)]


class Swarm(Struct, frozen=True, forbid_unknown_fields=True):
    """`decompose` gives a list of tasks; each is worked on by `work` (a task's own `skill` comes first, if it names one
    that is in `team`), `coordinate` sees all tasks and results and may give more tasks, up to `rounds` times, and
    `aggregate` makes one result of them."""

    decompose: SkillCall
    work: SkillCall
    aggregate: SkillCall
    coordinate: SkillCall | None = None
    rounds: Annotated[int, Meta(ge=1, le=10)] = 3
    team: tuple[Name, ...] = ()
    parallel: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] = 16
    partial: Partial = Partial()


class Hybrid(Struct, frozen=True, forbid_unknown_fields=True):
    """A deliberative `plan`, a supervisor's `tasks` of it, reactive workers on each, a `synthesis`, and quality
    `assurance`, whose output has `accepted` (true or false) and `remarks`; what is not accepted goes back to the
    supervisor, at most `revisions` times."""

    plan: SkillCall
    supervise: SkillCall
    work: SkillCall
    synthesise: SkillCall
    assure: SkillCall
    revisions: Annotated[int, Meta(ge=0, le=10)] = 1
    otherwise: Literal["fail", "accept"] = "fail"
    team: tuple[Name, ...] = ()
    parallel: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] = 16
    partial: Partial = Partial()


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of `skill`, `workflow`, `approval`, `wait` (seconds), `adaptive`, `chain`, `swarm` and `hybrid`.

    It begins once every step that it `needs` is over, and is skipped where one of them was (`after` any: where all
    were) or `when` does not hold. Without an `input` it gets the output of the step that it needs, of several by their
    names, of none the input of the run. With `each` it is asked for every item of a list, at most `parallel` at a time;
    an item that names a `skill` of the `team` is given to that one. `on_failure`: the run fails, goes on (continue), or
    the call is parked for a person to retry or give up (park).
    """

    skill: Name | None = None
    workflow: Name | None = None
    approval: Approval | None = None
    wait: Seconds | None = None
    adaptive: Adaptive | None = None
    chain: Chain | None = None
    swarm: Swarm | None = None
    hybrid: Hybrid | None = None
    version: VersionName | Annotated[int, Meta(ge=1)] | None = None
    input: Template = None
    needs: tuple[StepName, ...] = ()
    after: Literal["all", "any"] = "all"
    when: Expression = ""
    each: Expression = ""
    team: tuple[Name, ...] = ()
    parallel: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] = 16
    partial: Partial = Partial()
    timeout: Seconds | None = None
    retry: RetryPolicy | None = None
    on_failure: Literal["fail", "continue", "park"] = "fail"
    compensate: Compensation | None = None
    output: Expression = ""
    revise: Revise | None = None


class Definition(Struct, frozen=True, forbid_unknown_fields=True):
    """`steps` by name. `input` is a JSON schema of what a run is given. `output` is a template; without one a run gives
    the output of its last step, or of its last steps by name. `timeout`: seconds for the whole run."""

    steps: Annotated[dict[StepName, Step], Meta(min_length=1, max_length=MOST_STEPS)]
    description: Annotated[str, Meta(max_length=2_000)] = ""
    input: JsonSchema = {}
    output: Template = None
    timeout: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None


class Publish(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow_definition.publish"):
    """The next version; the same as the latest changes nothing."""

    definition: Definition


class Withdraw(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow_definition.withdraw"):
    """Nothing new begins with it. Published again it is back."""

    reason: Annotated[str, Meta(max_length=1_000)] = ""


# Event tags are storage: never rename one that has been written.
class Published(Struct, frozen=True, tag="workflow_definition.published"):
    version: int
    definition: Definition


class Withdrawn(Struct, frozen=True, tag="workflow_definition.withdrawn"):
    reason: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    versions: dict[int, Definition]
    withdrawn: bool = False

    @property
    def latest(self) -> int:
        return max(self.versions)


Command = Publish | Withdraw
Event = Published | Withdrawn
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Publish(definition), Unknown():
            return (Published(1, definition),)
        case Publish(definition), Known(versions, withdrawn):
            same = not withdrawn and versions[state.latest] == definition
            return () if same else (Published(state.latest + 1, definition),)
        case Withdraw(), Unknown():
            return Refusal("workflow_definition_not_found", "there is no such workflow definition")
        case Withdraw(reason), Known(withdrawn=withdrawn):
            return () if withdrawn else (Withdrawn(reason),)


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Published(version, definition), Unknown():
            return Known({version: definition})
        case Published(version, definition), Known(versions):
            return Known(versions | {version: definition})
        case Withdrawn(), Known():
            return structs.replace(state, withdrawn=True)
        case Withdrawn(), Unknown():
            return state


def left_open(steps: Mapping[str, Step]) -> tuple[str, ...]:
    """The workflows that steps name without a version."""
    return tuple(dict.fromkeys(step.workflow for step in steps.values() if step.workflow and step.version is None))


def latest_of(states: Mapping[str, State]) -> dict[str, int]:
    """Of those that are there, and not withdrawn."""
    return {name: state.latest for name, state in states.items() if isinstance(state, Known) and not state.withdrawn}


workflow_definition: Decider[Command, State, Event] = Decider(
    "workflow_definition", Command, Event, State, Unknown(), decide, evolve, opening=(Publish,)
)
