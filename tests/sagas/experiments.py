"""A world of plain data in which the retraining saga runs: the deciders are the real ones, everything else is told."""

from dataclasses import dataclass, field

import msgspec

from domain import experiment, model, monitor, saga
from domain.decider import Refusal
from domain.experiment import Champion, Dataset, Evaluated, Trained
from domain.gate import Pairs, judge
from domain.model import Holdout
from domain.model_policy import Gate, ModelPolicy, Training, Watch
from domain.pipeline import Feature, Pipeline
from eventstore.envelope import StreamId
from sagas.definition import Decision, Done, Heard, Perform, Refused, Told
from sagas.retraining import listens, plan, react

DATA = Dataset("given", "d" * 64, 500)
ASSEMBLED = Dataset("m-2-data", "e" * 64, 400)
TRAINED = Trained("b" * 64, 2_000, ("0", "1"), 350, 150, 0.4, {})
GOOD = Evaluated({"accuracy": 0.9, "majority": 0.6}, Holdout(150, 15), {"accuracy": 0.8}, Pairs(115, 5, 20, 10))
BETTER = Pairs(both=70, other_only=20, neither=10)
WORSE = Pairs(both=70, active_only=20, neither=10)
EQUAL = Pairs(both=80, active_only=5, other_only=5, neither=10)
POLICY = ModelPolicy(Training(timeout=100), Gate(labels=500), Watch(labels=300))
FEATURES = (Feature("a"),)


class Said:
    """As much of a recorded event as a saga listens to."""

    def __init__(self, category: str, id: str) -> None:
        self.stream = StreamId(category, id)


def requested(*, policy=POLICY, dataset=None, champion=True, trigger="drift", since=300):
    version = "2" if champion else "1"
    current = Champion("1", "a" * 64) if champion else None
    what = ("m", version, trigger, "", FEATURES, "label", Pipeline(), 0, policy, dataset, current, since)
    return experiment.Requested(*what)


def version(number):
    return model.VersionAdded(
        number, f"m-{number}", "a" * 64, "d0", "c" * 64, 70, ("0", "1"), {"accuracy": 0.8}, Holdout(30, 6)
    )


def known_model(opened):
    """With the champion in use, and the place for a training taken."""
    events = [model.Registered("m", FEATURES, "label", None, "", Pipeline(), opened.policy)]
    if opened.champion is not None:
        events += [
            model.TrainingReserved("m-1", "1"),
            version("1"),
            model.Promoted("1", None, "m-1", ""),
            model.TrainingReleased("m-1"),
        ]
    events.append(model.TrainingReserved(f"m-{opened.version}", opened.version))
    return model.model.fold(events)


def said_of_comparison(number, kind, pairs, experiment_id="m-2", odds=20.0):
    return monitor.ComparisonJudged(number, monitor.Compared(experiment_id, kind, "other", judge(pairs, odds)))


@dataclass
class World:
    """Carries out the plan in memory as the runner does: a decision is recorded whole, or refused whole."""

    request: experiment.Requested = field(default_factory=requested)
    evaluated: Evaluated = GOOD
    before: object = None
    """Called with each decision before it is recorded."""

    def __post_init__(self):
        self.id = f"m-{self.request.version}"
        _, started = listens(Said("experiment", self.id), self.request)
        self.state = saga.evolve(saga.NotStarted(), started)
        self.streams = {"experiment": experiment.experiment.fold([self.request]), "model": known_model(self.request)}
        self.events, self.told, self.performed, self.refused, self.verdicts = [], [], [], [], 0
        self.happened = []

    @property
    def model(self):
        return self.streams["model"]

    @property
    def experiment(self):
        return self.streams["experiment"]

    def record(self, decision: Decision):
        while decision.events or decision.commands:
            if self.before:
                self.before(decision)
            refusal = self._refusal_of(decision)
            if refusal is None:
                break
            self.refused.append(refusal)
            decision = react(self.state, Refused(refusal.name, refusal.reason))
        for event in decision.events:
            self.state = saga.evolve(self.state, event)
            self.events.append(event)
        for told in decision.commands:
            self.told.append(told.command)
            self.say(told.category, told.command)

    def _refusal_of(self, decision):
        after = dict(self.streams)
        for category, _, command in decision.commands:
            if category not in after:
                continue
            decided = _DECIDERS[category].decide(command, after[category])
            if isinstance(decided, Refusal):
                return decided
            after[category] = _DECIDERS[category].fold(decided, after[category])
        return None

    def say(self, category, command):
        """What somebody else, or the saga itself, tells an aggregate; its events."""
        if category not in self.streams:
            return ()
        decided = _DECIDERS[category].decide(command, self.streams[category])
        assert not isinstance(decided, Refusal), decided
        self.streams[category] = _DECIDERS[category].fold(decided, self.streams[category])
        self.happened += decided
        return decided

    def hear(self, category, events):
        """The saga hears what others have written."""
        for event in events:
            heard = listens(Said(category, self.id if category == "experiment" else "m"), event)
            if heard is not None and heard[0] == f"retraining-{self.id}":
                self.tell(heard[1])

    def tell(self, outcome):
        if isinstance(self.state, saga.Running):
            self.record(react(self.state, outcome))

    def compare(self, pairs, kind=None):
        """A verdict on the comparison that is under way."""
        self.verdicts += 1
        kind = kind or self.state.step
        self.tell(Heard(said_of_comparison(self.verdicts, kind, pairs, self.id)))

    def person(self, category, command):
        self.hear(category, self.say(category, command))

    def waive(self, key):
        self.record(Decision(saga.decide(saga.WaiveEffect(key, "by hand"), self.state)))

    def resume(self):
        self.record(Decision(saga.decide(saga.Resume(), self.state)))

    def step(self, outcome_of=None) -> bool:
        """One turn; False when the saga waits or has ended."""
        if not isinstance(self.state, saga.Running):
            return False
        match plan(self.state):
            case None:
                return False
            case Decision() as decision:
                self.record(decision)
            case Perform() as what:
                self.performed.append(what)
                self.tell((outcome_of or self.done)(what))
        return True

    def done(self, what):
        """What a machine that works makes of it."""
        match what.step:
            case "assemble":
                reports = (experiment.RecordDataset(ASSEMBLED),)
            case "train":
                reports = (experiment.RecordTraining(TRAINED),)
            case _:
                add = model.AddVersion(*msgspec.structs.astuple(version(self.request.version)))
                told = Told("experiment", self.id, experiment.RecordEvaluation(self.evaluated))
                return Done(what, "on 150 rows", (told, Told("model", "m", add)))
        return Done(what, "done", tuple(Told("experiment", self.id, report) for report in reports))

    def run(self, outcome_of=None, until=lambda world: False):
        for _ in range(200):
            if until(self) or not self.step(outcome_of):
                return self
        raise AssertionError("the saga does not come to rest")

    def reach(self, step):
        """Under way with this step."""
        for pairs in (None, BETTER):
            if pairs is not None:
                self.compare(pairs)
            self.run(until=lambda world: world.state.step == step)
            if self.state.step == step:
                return self
        raise AssertionError(f"the saga never came to {step}")

    def assert_ended(self, outcome, *, active):
        """Settled in every place: the saga, the experiment, the model."""
        assert isinstance(self.state, saga.Ended), self.state
        assert self.experiment == experiment.Ended(outcome, self.request)
        assert (self.model.active, self.model.training, self.model.comparison) == (active, None, None)
        assert self.state.outcome == ("completed" if outcome == "promoted" else "compensated")
        statuses = {effect.key.removeprefix(f"{self.id}-"): effect.status for effect in self.state.effects}
        compared = {"shadow": "undone", "watch": "undone"}
        if outcome == "promoted":
            kept = {"train": "kept", "promote": "kept"}
            assert statuses == {**kept, **{key: compared[key] for key in statuses if key in compared}}
        else:
            assert set(statuses.values()) <= {"undone", "waived"}
        added = self.model.versions.get(self.request.version)
        assert added is None or added.discarded == (outcome != "promoted")

    @property
    def reason(self):
        """Of the end, as the experiment tells it."""
        return next(each.reason for each in self.happened if isinstance(each, experiment.Concluded))


_DECIDERS = {"experiment": experiment.experiment, "model": model.model}
