"""A record: one message or document on its way from received to complete.

    received → enriched → analysed → scored → [asked ⇄ answered] → completed | expired

The original stays as it came. Every stage adds an event and can fail alone: what fails for good is parked with its
reason and can be retried. Stages are run by the worker (records/), questions by the follow-up saga.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain.decider import Decider, Refusal
from domain.flag import Flag
from domain.message import Attachment, External, Id, Message
from domain.pipeline import Sha256
from domain.schema import Path, Value
from domain.source import Calendar, FollowUpPolicy

LONGEST_RAW = 100_000
"""Characters."""

Route = Literal["operational", "quality", "analytics"]
Stage = Literal["enrich", "analyse", "score"]
Reason = Annotated[str, Meta(max_length=1000)]
Origin = Literal["text", "data", "attachment", "entity", "provider", "answer", "person"]


class Said(Struct, frozen=True):
    """Text that was found. `origin` is `message` or the name of an attachment; `content` the SHA-256 of the whole
    text where it is too long to be here: then `text` is its beginning. `method` is the skill that read it."""

    origin: str
    text: str
    characters: int
    method: str
    content: str | None = None


class Found(Struct, frozen=True):
    """An entity: `value` in its canonical form (ISO date, number, E.164, ...), `text` as it was written."""

    kind: Literal["amount", "date", "party", "email", "phone", "identifier", "url"]
    value: str
    text: str
    origin: str = "message"


class SkillRun(Struct, frozen=True):
    """One skill on one part of the record. `unavailable`: it is not installed or configured, which is no failure."""

    skill: str
    version: str
    part: str
    outcome: Literal["done", "failed", "unavailable", "skipped"]
    milliseconds: float
    reason: str = ""


class Enrichment(Struct, frozen=True):
    """`language` is ISO 639-1, with its confidence between 0 and 1; `tables` are rows of cells. `translation` is the
    text in the language of the source, where it was translated. `attachments` are those of the message, now fetched.
    """

    texts: tuple[Said, ...] = ()
    tables: tuple[tuple[tuple[str, ...], ...], ...] = ()
    language: str | None = None
    language_confidence: float = 0.0
    translation: Said | None = None
    entities: tuple[Found, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    flags: tuple[Flag, ...] = ()
    runs: tuple[SkillRun, ...] = ()


class Reading(Struct, frozen=True):
    """The value of a field, and where it is from. `doubtful` says why it may be wrong."""

    value: Value
    origin: Origin
    confidence: float = 1.0
    doubtful: str = ""


class Exchange(Struct, frozen=True):
    """One question to a language model, kept whole: SHA-256 of prompt and answer, tokens, and cost in `currency`."""

    provider: str
    model: str
    prompt: str
    answer: str
    prompt_tokens: int
    answer_tokens: int
    cost: float
    currency: str
    milliseconds: float


class Analysis(Struct, frozen=True):
    """`domain` with its confidence and the other candidates; `classifier` is the version that told it. `readings` are
    the fields of the schema that were found, by path."""

    domain: str
    confidence: float
    candidates: dict[str, float]
    classifier: str
    schema_version: int
    readings: dict[str, Reading]
    flags: tuple[Flag, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    runs: tuple[SkillRun, ...] = ()


class Assessment(Struct, frozen=True):
    """Scores are between 0 and 1. `score` = sum of weight x s over the weights of all applicable required fields: s is
    1 for a right value, 1/2 for a doubtful one, 0 for a missing or wrong one, and for one that was refused.
    `completeness` is the weighted share of them that is there, `validity` that of what is there: right 1, doubtful
    1/2. `root_gaps` are what is to be asked for. Fields that do not apply are in none of these sums."""

    schema_name: str
    schema_version: int
    score: float
    completeness: float
    validity: float
    missing: tuple[str, ...]
    invalid: tuple[str, ...]
    doubtful: tuple[str, ...]
    not_applicable: tuple[str, ...]
    root_gaps: tuple[str, ...]
    flags: tuple[Flag, ...]


class Chase(Struct, frozen=True):
    """How the sender is asked: of the source, when the record was scored."""

    policy: FollowUpPolicy
    calendar: Calendar
    language: str


class Question(Struct, frozen=True):
    """One message that asks for all root gaps at once."""

    language: str
    text: str
    gaps: tuple[str, ...]


class Answers(Struct, frozen=True):
    """Which question of which record a message answers."""

    record_id: str
    number: int


# People (and other systems) may receive, correct, retry, answer, chase, pause, resume and dismiss.
class Receive(Struct, frozen=True, forbid_unknown_fields=True, tag="record.receive"):
    """`raw` is the message as it came, of the media type `original_type`, where it is text and not too long; else
    `original` is the SHA-256 of what is stored of it, byte for byte. Without both the message is its own original."""

    message: Message
    raw: Annotated[str, Meta(max_length=LONGEST_RAW)] | None = None
    original: Sha256 | None = None
    original_type: Annotated[str, Meta(max_length=200)] = "application/json"


class Take(Struct, frozen=True, forbid_unknown_fields=True, tag="record.take"):
    """Receive, with everything looked up."""

    message: Message
    raw: str | None
    original: str | None
    original_type: str
    fingerprint: str | None
    duplicate_of: str | None
    answers: Answers | None


class Enrich(Struct, frozen=True, forbid_unknown_fields=True, tag="record.enrich"):
    enrichment: Enrichment


class Analyse(Struct, frozen=True, forbid_unknown_fields=True, tag="record.analyse"):
    analysis: Analysis


class Score(Struct, frozen=True, forbid_unknown_fields=True, tag="record.score"):
    """`values` are those of all fields, wherever they are from. `of` is the version of the record that was scored:
    what came meanwhile is scored anew. Without `chase` nobody is asked."""

    assessment: Assessment
    values: dict[str, Value]
    chase: Chase | None
    of: int


class FailStage(Struct, frozen=True, forbid_unknown_fields=True, tag="record.fail_stage"):
    """A stage did not work. `fallback` is what is done instead, and the next stage follows; without one the record is
    parked."""

    stage: Stage
    reason: Reason
    retryable: bool
    fallback: str = ""


class Retry(Struct, frozen=True, forbid_unknown_fields=True, tag="record.retry"):
    """A parked record goes on with the stage that failed; any other begins again with `stage`."""

    stage: Stage | None = None


class Correct(Struct, frozen=True, forbid_unknown_fields=True, tag="record.correct"):
    """A person knows better: None takes what was found away."""

    path: Path
    value: Value
    reason: Reason = ""


class Answer(Struct, frozen=True, forbid_unknown_fields=True, tag="record.answer"):
    """Values for gaps, said by the sender (in the record `by`) or entered by a person. `refused` are fields that the
    sender will not give: they are not asked for again."""

    values: dict[Path, Value] = {}
    refused: tuple[Path, ...] = ()
    by: Id | None = None
    number: int | None = None


class StartFollowUp(Struct, frozen=True, forbid_unknown_fields=True, tag="record.start_follow_up"):
    """Ask now, whatever the policy says about rounds."""


class PauseFollowUp(Struct, frozen=True, forbid_unknown_fields=True, tag="record.pause_follow_up"):
    """The clock stands still: nothing is reminded of, nothing expires."""

    reason: Reason = ""


class ResumeFollowUp(Struct, frozen=True, forbid_unknown_fields=True, tag="record.resume_follow_up"):
    pass


class Dismiss(Struct, frozen=True, forbid_unknown_fields=True, tag="record.dismiss"):
    """Nobody needs it any more: open questions end, nothing is asked."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


# The follow-up saga reports.
class ReportAsked(Struct, frozen=True, forbid_unknown_fields=True, tag="record.report_asked"):
    number: int
    question: Question
    channel: str
    external_id: External
    remind_at: datetime
    deadline: datetime


class ReportReminded(Struct, frozen=True, forbid_unknown_fields=True, tag="record.report_reminded"):
    number: int
    external_id: External


class ReportRescheduled(Struct, frozen=True, forbid_unknown_fields=True, tag="record.report_rescheduled"):
    """After a pause."""

    number: int
    remind_at: datetime
    deadline: datetime


class ReportUnasked(Struct, frozen=True, forbid_unknown_fields=True, tag="record.report_unasked"):
    """The question could not be sent; nobody is waited for."""

    number: int
    reason: Reason


class Expire(Struct, frozen=True, forbid_unknown_fields=True, tag="record.expire"):
    number: int


# Event tags are storage: never rename one that has been written.
class Received(Struct, frozen=True, tag="record.received"):
    message: Message
    raw: str | None
    original: str | None
    original_type: str
    fingerprint: str | None
    duplicate_of: str | None
    answers: Answers | None


class Enriched(Struct, frozen=True, tag="record.enriched"):
    enrichment: Enrichment


class Analysed(Struct, frozen=True, tag="record.analysed"):
    analysis: Analysis


class Scored(Struct, frozen=True, tag="record.scored"):
    assessment: Assessment


class Persisted(Struct, frozen=True, tag="record.persisted"):
    """What the record says, for whoever works with it. `routes`: which read models take it."""

    values: dict[str, Value]
    routes: tuple[Route, ...]


class StageFailed(Struct, frozen=True, tag="record.stage_failed"):
    stage: Stage
    reason: str
    retryable: bool
    fallback: str


class Parked(Struct, frozen=True, tag="record.parked"):
    stage: Stage
    reason: str
    retryable: bool


class Retried(Struct, frozen=True, tag="record.retried"):
    stage: Stage


class Corrected(Struct, frozen=True, tag="record.corrected"):
    path: str
    value: Value
    reason: str


class FollowUpRequested(Struct, frozen=True, tag="record.follow_up_requested"):
    number: int
    gaps: tuple[str, ...]
    chase: Chase


class Asked(Struct, frozen=True, tag="record.asked"):
    number: int
    question: Question
    channel: str
    external_id: str
    remind_at: datetime
    deadline: datetime


class Reminded(Struct, frozen=True, tag="record.reminded"):
    number: int
    external_id: str


class FollowUpPaused(Struct, frozen=True, tag="record.follow_up_paused"):
    number: int
    reason: str


class FollowUpResumed(Struct, frozen=True, tag="record.follow_up_resumed"):
    number: int


class Rescheduled(Struct, frozen=True, tag="record.rescheduled"):
    number: int
    remind_at: datetime
    deadline: datetime


class Answered(Struct, frozen=True, tag="record.answered"):
    """`late`: after the question had expired or was over."""

    number: int | None
    values: dict[str, Value]
    refused: tuple[str, ...]
    by: str | None
    late: bool


class Expired(Struct, frozen=True, tag="record.expired"):
    number: int
    missing: tuple[str, ...]


class FollowUpEnded(Struct, frozen=True, tag="record.follow_up_ended"):
    """Without an answer and before its deadline: it could not be sent, or is not needed any more."""

    number: int
    reason: str


class Completed(Struct, frozen=True, tag="record.completed"):
    """Nothing is left to be asked for."""

    score: float


class Dismissed(Struct, frozen=True, tag="record.dismissed"):
    reason: str


Command = (
    Receive
    | Take
    | Enrich
    | Analyse
    | Score
    | FailStage
    | Retry
    | Correct
    | Answer
    | StartFollowUp
    | PauseFollowUp
    | ResumeFollowUp
    | Dismiss
    | ReportAsked
    | ReportReminded
    | ReportRescheduled
    | ReportUnasked
    | Expire
)
Event = (
    Received
    | Enriched
    | Analysed
    | Scored
    | Persisted
    | StageFailed
    | Parked
    | Retried
    | Corrected
    | FollowUpRequested
    | Asked
    | Reminded
    | FollowUpPaused
    | FollowUpResumed
    | Rescheduled
    | Answered
    | Expired
    | FollowUpEnded
    | Completed
    | Dismissed
)


class FollowUp(Struct, frozen=True):
    """`requested`: the saga is about to ask."""

    number: int
    gaps: tuple[str, ...]
    chase: Chase
    status: Literal["requested", "waiting", "paused", "answered", "expired", "ended"] = "requested"
    deadline: datetime | None = None

    @property
    def open(self) -> bool:
        return self.status in ("requested", "waiting", "paused")


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    """`next` is the stage to be run now, None when nothing is to be done; `version` that of the record. `said` are
    values by path from answers and people, which go before everything that was read (None: taken away)."""

    received: Received
    version: int
    next: Stage | None = "enrich"
    enrichment: Enrichment | None = None
    analysis: Analysis | None = None
    assessment: Assessment | None = None
    said: dict[str, Reading] = {}
    refused: tuple[str, ...] = ()
    parked: Parked | None = None
    follow_up: FollowUp | None = None
    late: bool = False
    completed: bool = False
    dismissed: bool = False


State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Receive(), _:
            return Refusal("message_not_resolved", "a message is received with what it belongs to")
        case Take(), Unknown():
            return (Received(*structs.astuple(command)),)
        case Take(), Known():
            return ()  # delivered again
        case _, Unknown():
            return Refusal("record_not_found", "there is no such record")
        case ((Enrich() | Analyse() | Score() | FailStage()), Known()):
            return _staged(command, state)
        case ((ReportAsked() | ReportReminded() | ReportRescheduled() | ReportUnasked() | Expire()), Known()):
            return _reported(command, state)
        case _, Known(dismissed=True):
            return Refusal("record_dismissed", "the record was dismissed")
        case (
            (Retry() | Correct() | Answer() | StartFollowUp() | PauseFollowUp() | ResumeFollowUp() | Dismiss()),
            Known(),
        ):
            return _by_hand(command, state)


def _staged(command: Enrich | Analyse | Score | FailStage, state: Known) -> tuple[Event, ...]:
    """What a stage has found; of a stage that is not (any more) to be run nothing follows."""
    match command:
        case Enrich(enrichment) if state.next == "enrich":
            return (Enriched(enrichment),)
        case Analyse(analysis) if state.next == "analyse":
            return (Analysed(analysis),)
        case Score() if state.next == "score" and command.of == state.version:
            return _score(command, state)
        case FailStage(stage, reason, retryable, fallback) if state.next == stage:
            failed = StageFailed(stage, reason, retryable, fallback)
            return (failed,) if fallback else (failed, Parked(stage, reason, retryable))
        case _:
            return ()


def _score(command: Score, state: Known) -> tuple[Event, ...]:
    gaps = command.assessment.root_gaps
    routes: tuple[Route, ...] = (
        ("operational", "quality", "analytics") if command.values else ("operational", "quality")
    )
    scored = Scored(command.assessment), Persisted(command.values, routes)
    if not gaps:
        over = _ended(state, "nothing is missing any more")
        over_already = state.completed or state.dismissed
        return (*scored, *over) if over_already else (*scored, *over, Completed(command.assessment.score))
    return (*scored, *_asked(command.chase, gaps, state))


def _asked(chase: Chase | None, gaps: tuple[str, ...], state: Known) -> tuple[FollowUpRequested, ...]:
    """Unless a question is open, or no more are to be asked."""
    follow_up = state.follow_up
    if chase is None or not chase.policy.enabled or state.dismissed:
        return ()
    if follow_up is None:
        return (FollowUpRequested(1, gaps, chase),)
    return (FollowUpRequested(follow_up.number + 1, gaps, chase),) if _asks_again(follow_up, chase) else ()


def _asks_again(follow_up: FollowUp, chase: Chase) -> bool:
    """Who did not answer, or could not be reached, is not asked again by itself."""
    return follow_up.status == "answered" and follow_up.number < chase.policy.rounds


Reported = ReportAsked | ReportReminded | ReportRescheduled | ReportUnasked | Expire


def _reported(command: Reported, state: Known) -> tuple[Event, ...] | Refusal:
    follow_up = state.follow_up
    if follow_up is None or follow_up.number != command.number or not follow_up.open:
        return Refusal("follow_up_over", f"the question {command.number} is not open any more")
    if follow_up.status == "paused" and isinstance(command, ReportRescheduled | Expire):
        return Refusal("follow_up_paused", f"the clock of the question {command.number} stands still")
    match command:
        case ReportAsked(number, question, channel, external_id, remind_at, deadline):
            return (Asked(number, question, channel, external_id, remind_at, deadline),)
        case ReportReminded(number, external_id):
            return (Reminded(number, external_id),)
        case ReportRescheduled(number, remind_at, deadline):
            return (Rescheduled(number, remind_at, deadline),)
        case ReportUnasked(number, reason):
            return (FollowUpEnded(number, reason),)
        case Expire(number):
            missing = state.assessment.root_gaps if state.assessment else follow_up.gaps
            return (Expired(number, missing),)


ByHand = Retry | Correct | Answer | StartFollowUp | PauseFollowUp | ResumeFollowUp | Dismiss


def _by_hand(command: ByHand, state: Known) -> tuple[Event, ...] | Refusal:
    match command:
        case Retry(stage):
            return _retry(stage, state)
        case Correct(path, value, reason):
            return (Corrected(path, value, reason),)
        case Answer():
            return _answer(command, state)
        case StartFollowUp():
            return _start(state)
        case PauseFollowUp() | ResumeFollowUp():
            return _pause_or_resume(command, state)
        case Dismiss(reason):
            return (*_ended(state, f"dismissed: {reason}"), Dismissed(reason))


def _retry(stage: Stage | None, state: Known) -> tuple[Event, ...] | Refusal:
    if state.parked is not None:
        return (Retried(stage or state.parked.stage),)
    if stage is None:
        return Refusal("record_not_parked", "name the stage to begin with: the record is not parked")
    return (Retried(stage),) if state.next is None else Refusal("record_in_work", f"{state.next} is under way")


def _answer(command: Answer, state: Known) -> tuple[Event, ...] | Refusal:
    if not command.values and not command.refused:
        return Refusal("answer_empty", "give values, or name what is refused")
    twice = sorted(set(command.values) & set(command.refused))
    if twice:
        return Refusal("answer_contradictory", f"both given and refused: {', '.join(twice)}")
    follow_up = state.follow_up
    number = command.number if command.number is not None else (follow_up.number if follow_up else None)
    if number is not None and (follow_up is None or number > follow_up.number):
        return Refusal("question_unknown", f"there was no question {number}")
    is_open = follow_up is not None and follow_up.number == number and follow_up.open
    late = number is not None and not is_open
    return (Answered(number, command.values, command.refused, command.by, late),)


def _start(state: Known) -> tuple[Event, ...] | Refusal:
    if _is_open(state):
        return Refusal("follow_up_open", "a question is open already")
    if state.assessment is None or not state.assessment.root_gaps:
        return Refusal("nothing_to_ask", "nothing is missing")
    if state.follow_up is None:
        return Refusal("follow_up_unknown", "its source says nothing about questions, or it was not scored since")
    follow_up = state.follow_up
    return (FollowUpRequested(follow_up.number + 1, state.assessment.root_gaps, follow_up.chase),)


def _pause_or_resume(command: PauseFollowUp | ResumeFollowUp, state: Known) -> tuple[Event, ...] | Refusal:
    follow_up = state.follow_up
    if follow_up is None or not follow_up.open:
        return Refusal("follow_up_over", "no question is open")
    match command, follow_up.status:
        case PauseFollowUp(reason), "waiting":
            return (FollowUpPaused(follow_up.number, reason),)
        case PauseFollowUp(), "requested":
            return Refusal("follow_up_not_asked", "the question is about to be sent")
        case ResumeFollowUp(), "paused":
            return (FollowUpResumed(follow_up.number),)
        case _:
            return ()


def _ended(state: Known, reason: str) -> tuple[Event, ...]:
    """The open question, if there is one."""
    follow_up = state.follow_up
    return (FollowUpEnded(follow_up.number, reason[:1000]),) if follow_up and follow_up.open else ()


def _is_open(state: Known) -> bool:
    return state.follow_up is not None and state.follow_up.open


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Received(), _:
            return Known(event, 1)
        case _, Unknown():
            return state
        case _, Known():
            return _evolved(structs.replace(state, version=state.version + 1), event)


def _evolved(state: Known, event: Event) -> Known:
    match event:
        case Received():
            return state
        case Enriched(enrichment):
            return structs.replace(state, enrichment=enrichment, next="analyse")
        case Analysed(analysis):
            return structs.replace(state, analysis=analysis, next="score")
        case Scored(assessment):
            return structs.replace(state, assessment=assessment, next=None)
        case StageFailed(stage):
            return structs.replace(state, next=_AFTER[stage])
        case Parked():
            return structs.replace(state, parked=event, next=None)
        case Retried(stage):
            return structs.replace(state, parked=None, next=stage)
        case Corrected(path, value):
            return _told(state, {path: Reading(value, "person")})
        case Answered(_, values, refused):
            return _answered(state, event, values, refused)
        case Persisted():
            return state
        case Completed():
            return structs.replace(state, completed=True)
        case Dismissed():
            return structs.replace(state, dismissed=True)
        case FollowUpRequested(number, gaps, chase):
            return structs.replace(state, follow_up=FollowUp(number, gaps, chase))
        case Asked() | Reminded() | FollowUpPaused() | FollowUpResumed() | Rescheduled() | Expired() | FollowUpEnded():
            return _followed(state, event)


_AFTER: dict[Stage, Stage | None] = {"enrich": "analyse", "analyse": "score", "score": None}


def _told(state: Known, readings: dict[str, Reading]) -> Known:
    """What is known is scored anew, unless an earlier stage is still to come."""
    next: Stage | None = state.next or ("score" if state.parked is None else None)
    return structs.replace(state, said={**state.said, **readings}, next=next)


def _answered(state: Known, event: Answered, values: dict[str, Value], refused: tuple[str, ...]) -> Known:
    origin: Origin = "person" if event.by is None else "answer"
    told = _told(state, {path: Reading(value, origin) for path, value in values.items()})
    still = tuple(path for path in {*state.refused, *refused} if path not in values)
    late = event.late and event.by is not None  # what a person enters is not
    follow_up = state.follow_up
    if follow_up is not None and follow_up.open and follow_up.number == event.number:
        follow_up = structs.replace(follow_up, status="answered")
    return structs.replace(told, refused=tuple(sorted(still)), late=state.late or late, follow_up=follow_up)


Followed = Asked | Reminded | FollowUpPaused | FollowUpResumed | Rescheduled | Expired | FollowUpEnded


def _followed(state: Known, event: Followed) -> Known:
    follow_up = state.follow_up
    if follow_up is None or follow_up.number != event.number:
        return state
    match event:
        case Asked(deadline=deadline) | Rescheduled(deadline=deadline):
            changed = structs.replace(follow_up, status="waiting", deadline=deadline)
        case Reminded():
            changed = follow_up
        case FollowUpPaused():
            changed = structs.replace(follow_up, status="paused")
        case FollowUpResumed():
            changed = structs.replace(follow_up, status="waiting")
        case Expired():
            changed = structs.replace(follow_up, status="expired")
        case FollowUpEnded():
            changed = structs.replace(follow_up, status="ended")
    return structs.replace(state, follow_up=changed)


record: Decider[Command, State, Event] = Decider(
    "record",
    Command,
    Event,
    State,
    Unknown(),
    decide,
    evolve,
    internal=(
        Take,
        Enrich,
        Analyse,
        Score,
        FailStage,
        ReportAsked,
        ReportReminded,
        ReportRescheduled,
        ReportUnasked,
        Expire,
    ),
    opening=(Receive, Take),
)
