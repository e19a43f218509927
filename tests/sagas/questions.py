"""A world of plain data in which the follow-up saga runs: the record and its conversation are the real deciders, the
calendar is the real one; what is sent, and the time, are told."""

from datetime import UTC, datetime, timedelta

from domain import conversation, record, saga
from domain.decider import Refusal
from domain.due import schedule, standing
from domain.message import Message, Sender
from domain.record import Analysis, Assessment, Chase, Enrichment, Question
from domain.source import Calendar, FollowUpPolicy
from eventstore.envelope import StreamId
from sagas.definition import Decision, Done, Perform, Refused, TimedOut
from sagas.follow_up import listens, plan, react
from sagas.follow_up_course import Seen, Sent, as_detail, follow_up_of

MONDAY = datetime(2030, 3, 4, 9, tzinfo=UTC)
CHASE = Chase(FollowUpPolicy(remind_after=8, expire_after=24), Calendar(), "en")
"""Asked on Monday at nine it is reminded of at five, and its time is over on Wednesday at five."""

MESSAGE = Message("telegram", "clinic", "m1", Sender("ann", "Ann"), MONDAY, "chat", "hello")
CONVERSATION = conversation.id_of("clinic", "chat")
KEYS = {"ask": "r1-1-ask", "remind": "r1-1-remind"}


class Said:
    """As much of a recorded event as a saga listens to."""

    def __init__(self, id="r1"):
        self.stream = StreamId("record", id)


def taken(message=MESSAGE):
    return record.Take(
        message=message,
        raw=None,
        original=None,
        original_type="application/json",
        fingerprint=None,
        duplicate_of=None,
        answers=None,
    )


def assessed(gaps):
    return Assessment("medical", 1, 0.5, 0.5, 1.0, gaps, (), (), (), gaps, ())


def scored(gaps, chase, of):
    return record.Score(assessment=assessed(gaps), values={}, chase=chase, of=of)


def up_to_the_question(chase, gaps=("age", "name")):
    """The commands after which a record asks its first question, but for the last one, which scores version 3."""
    analysis = Analysis("medical", 1.0, {}, "test", 1, {})
    return taken(), record.Enrich(Enrichment()), record.Analyse(analysis), scored(gaps, chase, 3)


class World:
    """Carries out the plan in memory as the runner does. What the saga hears of waits in `news` until it is heard."""

    def __init__(self, chase=CHASE):
        self.now, self.chase = MONDAY, chase
        self.record, self.conversation = record.Unknown(), conversation.Known()
        self.history, self.news, self.told = [], [], []
        self.sent, self.delivered, self.expired_at = [], {}, None
        self.refused = []
        for command in up_to_the_question(chase):
            self.say(command)
        [(_, started)] = [each for each in self.news if isinstance(each[1], saga.Started)]
        self.news.clear()
        self.state = saga.evolve(saga.NotStarted(), started)

    def say(self, command):
        """What somebody, or the saga itself, tells the record. The refusal, if there is one."""
        events = record.decide(command, self.record)
        if isinstance(events, Refusal):
            return events
        for event in events:
            self.record = record.evolve(self.record, event)
            self.history.append((event, self.now))
            heard = listens(Said(), event)
            if heard is not None:
                self.news.append(heard)
        return None

    def person(self, command):
        """The saga hears of it at once."""
        assert self.say(command) is None
        self.hear()

    def hear(self):
        while self.news:
            self.hear_one(0)

    def hear_one(self, place):
        id, outcome = self.news.pop(place)
        if id == "follow-up-r1-1":
            self.tell(outcome)

    def tell(self, outcome):
        if isinstance(self.state, saga.Running) and not isinstance(outcome, saga.Started):
            self.write(react(self.state, outcome))

    def write(self, decision):
        while decision.events or decision.commands:
            refusal = self._refusal_of(decision)
            if refusal is None:
                break
            self.refused.append(refusal.name)
            decision = react(self.state, Refused(refusal.name, refusal.reason))
        for event in decision.events:
            self.state = saga.evolve(self.state, event)
        for told in decision.commands:
            self.told.append(told.command)
            self._give(told)

    def _refusal_of(self, decision):
        state = self.record
        for told in decision.commands:
            if told.category == "record":
                events = record.decide(told.command, state)
                if isinstance(events, Refusal):
                    return events
                state = record.record.fold(events, state)
        return None

    def _give(self, told):
        if told.category == "record":
            assert self.say(told.command) is None
            if isinstance(told.command, record.Expire):
                self.expired_at = self.now
        else:
            assert told.id == CONVERSATION
            events = conversation.decide(told.command, self.conversation)
            self.conversation = conversation.conversation.fold(events, self.conversation)

    def step(self, outcome_of=None):
        """One turn; False when the saga waits or has ended."""
        if not isinstance(self.state, saga.Running):
            return False
        match plan(self.state):
            case None:
                return False
            case Decision() as decision:
                assert decision.events
                self.write(decision)
            case Perform() as what:
                outcome = (outcome_of or self.done)(what)
                if outcome is not None:
                    self.tell(outcome)
        return True

    def run(self, outcome_of=None):
        for _ in range(100):
            if not self.step(outcome_of):
                return self
        raise AssertionError(f"the saga does not come to rest: {self.state}")

    def done(self, what):
        """What a platform and a log that work make of it: as `sagas.follow_up_steps`."""
        match what.step:
            case "ask":
                return self._ask(what)
            case "remind":
                return self._remind(what)
            case "look":
                return Done(what, as_detail(self._seen()), self._moved())
            case _:
                return self._settled(what)

    @property
    def status(self):
        follow_up = self.record.follow_up
        return follow_up.status if follow_up.number == 1 and follow_up.open else "over"

    @property
    def stands(self):
        return standing(self.history, 1, self.chase, frozenset())

    @property
    def due(self):
        return self.stands.due

    def send(self, what):
        if what.key not in self.delivered:
            self.sent.append(what.key)
            self.delivered[what.key] = f"t{len(self.sent)}"
        return self.delivered[what.key]

    def _ask(self, what):
        if self.status == "over":
            return Refused("follow_up_over", "")
        id, due = self.send(what), schedule(self.now, self.chase, frozenset())
        asks = Question("en", "Who?", ("age", "name"))
        told = record.ReportAsked(1, asks, "telegram", id, due.remind_at, due.deadline)
        sent = self._sent(id, due.remind_at)
        return Done(what, as_detail(sent), (self._told(told), *self._follow_up.opened(sent)))

    def _remind(self, what):
        if self.status == "over":
            return Refused("follow_up_over", "")
        if self.status == "paused" or self.stands.told != self.due or self.now >= self.due.deadline:
            return Refused("follow_up_paused", "")
        sent = self._sent(self.send(what), self.due.deadline)
        told = self._told(record.ReportReminded(1, sent.external_id))
        return Done(what, as_detail(sent), (told, *self._follow_up.reminded(sent)))

    def _seen(self):
        if self.status in ("over", "paused"):
            return Seen(self.status)
        return Seen("waiting", self._left(self.due.remind_at), self._left(self.due.deadline))

    def _moved(self):
        if self.status in ("over", "paused") or self.stands.told == self.due:
            return ()
        return (self._told(record.ReportRescheduled(1, self.due.remind_at, self.due.deadline)),)

    def _settled(self, what):
        if what.key not in self.delivered:
            return Done(what, "")
        sent, follow_up = self._sent(self.delivered[what.key], self.now), self._follow_up
        if what.operation == "remind":
            return Done(what, as_detail(sent), follow_up.reminded(sent))
        return Done(what, as_detail(sent), (*follow_up.opened(sent), *follow_up.closed(CONVERSATION)))

    @property
    def _follow_up(self):
        return follow_up_of(self.state)

    def _told(self, command):
        return self._follow_up.tell_record(command)

    def _sent(self, id, until):
        return Sent(id, CONVERSATION, "ann", self._left(until))

    def _left(self, until):
        return (until - self.now).total_seconds()

    def timer(self, step=None):
        self.tell(TimedOut(f"{step or self.state.step}-timeout"))

    def pass_until(self, moment):
        """The timer of the step fires as soon as its time has come."""
        self.now = max(self.now, moment)
        self.timer()
        return self.run()

    def resume_saga(self):
        self.write(Decision(saga.decide(saga.Resume(), self.state)))

    def events(self, type):
        return [event for event, _ in self.history if isinstance(event, type)]

    def statuses(self):
        return {effect.step: effect.status for effect in self.state.effects}

    def assert_over(self):
        assert isinstance(self.state, saga.Ended), self.state
        assert not {effect.status for effect in self.state.effects} & saga.OPEN
        assert self.status == "over"
        assert not any(question.open for question in self.conversation.questions)


def hours(count):
    return timedelta(hours=count)
