"""A conversation at a source, and which of our questions what is said in it answers.

Only the latest questions are kept: of those that are forgotten an answer is not known for one any more.
"""

from __future__ import annotations

import hashlib

from msgspec import Struct, structs

from domain.decider import Decider
from domain.message import External, Id
from domain.record import Answers

KEPT = 50
"""Questions of a conversation; when there are more, closed ones are forgotten first."""


def id_of(source: str, conversation: str) -> str:
    """Conversations have any names, and those of two sources may have the same."""
    return hashlib.sha256(f"{source}\n{conversation}".encode()).hexdigest()


class Open(Struct, frozen=True, forbid_unknown_fields=True, tag="conversation.open"):
    """A question was asked of `sender`: `external_id` is what the platform calls it."""

    record_id: Id
    number: int
    external_id: External
    sender: External = ""


class AddMessage(Struct, frozen=True, forbid_unknown_fields=True, tag="conversation.add_message"):
    """A reminder: who replies to it answers the question."""

    record_id: Id
    number: int
    external_id: External


class CloseQuestion(Struct, frozen=True, forbid_unknown_fields=True, tag="conversation.close_question"):
    """Nothing is taken for its answer any more unless it says so."""

    record_id: Id
    number: int


# Event tags are storage: never rename one that has been written.
class Opened(Struct, frozen=True, tag="conversation.opened"):
    record_id: str
    number: int
    external_id: str
    sender: str


class MessageAdded(Struct, frozen=True, tag="conversation.message_added"):
    record_id: str
    number: int
    external_id: str


class QuestionClosed(Struct, frozen=True, tag="conversation.question_closed"):
    record_id: str
    number: int


class Question(Struct, frozen=True):
    """`messages` are those that ask it, by what the platform calls them."""

    record_id: str
    number: int
    sender: str
    messages: tuple[str, ...]
    open: bool = True


class Known(Struct, frozen=True):
    """The questions in the order in which they were asked."""

    questions: tuple[Question, ...] = ()

    def question(self, record_id: str, number: int) -> Question | None:
        asked = (each for each in self.questions if (each.record_id, each.number) == (record_id, number))
        return next(asked, None)


Command = Open | AddMessage | CloseQuestion
Event = Opened | MessageAdded | QuestionClosed
State = Known


def match(state: State, reply_to: str | None, sender: str | None = None) -> Answers | None:
    """The question that a message answers: the one it replies to, also when that is closed; else of those that are
    open (and, with `sender`, were asked of whoever says it) the one asked last."""
    for question in reversed(state.questions):
        if reply_to is not None and reply_to in question.messages:
            return Answers(question.record_id, question.number)
    for question in reversed(state.questions):
        if question.open and sender in (None, question.sender):
            return Answers(question.record_id, question.number)
    return None


def decide(command: Command, state: State) -> tuple[Event, ...]:
    """What is known already, or of no question that is kept, changes nothing."""
    question = state.question(command.record_id, command.number)
    match command:
        case Open():
            return () if question is not None else (Opened(*structs.astuple(command)),)
        case AddMessage(_, _, external_id):
            known = question is None or external_id in question.messages
            return () if known else (MessageAdded(*structs.astuple(command)),)
        case CloseQuestion():
            closed = question is None or not question.open
            return () if closed else (QuestionClosed(*structs.astuple(command)),)


def evolve(state: State, event: Event) -> State:
    match event:
        case Opened(record_id, number, external_id, sender):
            return _bounded((*state.questions, Question(record_id, number, sender, (external_id,))))
        case MessageAdded() | QuestionClosed():
            return Known(tuple(_changed(question, event) for question in state.questions))


def _bounded(questions: tuple[Question, ...]) -> Known:
    if len(questions) <= KEPT:
        return Known(questions)
    forgotten = next((each for each in questions if not each.open), questions[0])
    return Known(tuple(each for each in questions if each is not forgotten))


def _changed(question: Question, event: MessageAdded | QuestionClosed) -> Question:
    if (question.record_id, question.number) != (event.record_id, event.number):
        return question
    match event:
        case MessageAdded(external_id=external_id):
            return structs.replace(question, messages=(*question.messages, external_id))
        case QuestionClosed():
            return structs.replace(question, open=False)


conversation: Decider[Command, State, Event] = Decider(
    "conversation",
    Command,
    Event,
    State,
    Known(),
    decide,
    evolve,
    internal=(Open, AddMessage, CloseQuestion),
)
