"""What each stage makes of a record: one command to it. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from domain import record
from domain.flag import Flag
from domain.message import Message
from domain.record import Analysis, Assessment, Chase, Enrichment, Exchange, Known, Reading, SkillRun
from domain.schema import Field, Schema, Value
from domain.source import Configuration
from eventstore.blobs import Blobs
from records.following import Schemas

ANSWER: Final = "answer"
"""The domain of a message that answers a question: what it says belongs to another record."""

_OTHER: Final = "other"
_SURE: Final = 0.5
"""Confidence in a domain without which nobody is asked for its fields, unless the message says some of them: it may be
small talk."""

_LONGEST: Final = 200_000
"""Characters of one text that are analysed."""

_REACHED: Final = frozenset({"whatsapp", "telegram", "discord"})
"""Platforms that take an answer themselves."""


class Enriching(Protocol):
    async def enrich(self, message: Message, language_of_source: str = "en") -> Enrichment: ...


class Analysing(Protocol):
    async def analyse(
        self,
        message: Message,
        enrichment: Enrichment,
        text: str,
        schemas: Mapping[str, tuple[int, Schema]],
        only: str | None,
        earlier: Sequence[Exchange] = (),
    ) -> Analysis: ...


class ReadingAnswers(Protocol):
    """Values for gaps, and the gaps that the sender will say nothing about."""

    def __call__(
        self, text: str, data: Mapping[str, Any], gaps: Sequence[Field], language: str
    ) -> tuple[Mapping[str, Value], Sequence[str]]: ...


class Unreadable(Exception):
    """Nothing of the message could be read: there is nothing that could be scored."""


@dataclass(frozen=True)
class Stages:
    enricher: Enriching
    analyser: Analysing
    read_answer: ReadingAnswers
    schemas: Schemas
    blobs: Blobs

    async def enrich(self, known: Known, configuration: Configuration) -> record.Enrich:
        """Raises Unreadable, and what the enricher raises."""
        enrichment = await self.enricher.enrich(known.received.message, configuration.language)
        _check_readable(known.received.message, enrichment)
        return record.Enrich(enrichment)

    async def analyse(self, known: Known, configuration: Configuration) -> record.Analyse:
        message, enrichment = known.received.message, known.enrichment or Enrichment()
        text = await self.text(known)
        earlier = known.analysis.exchanges if known.analysis else ()
        schemas, only = self.schemas.latest, configuration.domain
        return record.Analyse(await self.analyser.analyse(message, enrichment, text, schemas, only, earlier))

    async def answer(
        self, known: Known, asked: Known, configuration: Configuration
    ) -> tuple[record.Answer | None, Analysis]:
        """What the message says for the record that was asked about, None for nothing; and its own analysis."""
        assert known.received.answers is not None
        gaps = self._gaps(asked)
        enrichment = known.enrichment or Enrichment()
        language = enrichment.language or configuration.language
        values, refused = self.read_answer(await self.text(known), known.received.message.data, gaps, language)
        if not values and not refused:
            return None, _of_an_answer(
                Flag("doubtful", None, "it answers a question, but none of its fields was found")
            )
        given = record.Answer(dict(values), tuple(refused), None, known.received.answers.number)
        return given, _of_an_answer()

    def score(self, known: Known, configuration: Configuration) -> record.Score:
        analysis = known.analysis or self._by_fields(known.received.message, configuration.domain)
        readings = _readings(analysis, known)
        check = self.schemas.check(analysis.domain, analysis.schema_version)
        flags = (*(known.enrichment.flags if known.enrichment else ()), *analysis.flags)
        received = known.received
        if check is None:
            assessment = _unchecked(analysis, flags)
        else:
            sent_on = received.message.sent_at.date()
            assessment = check.assess(readings, known.refused, sent_on, flags, known.late, received.duplicate_of)
        values = {path: reading.value for path, reading in readings.items()}
        told = bool(readings) or analysis.confidence >= _SURE
        return record.Score(assessment, values, self._chase(known, configuration) if told else None, known.version)

    def _by_fields(self, message: Message, only: str | None) -> Analysis:
        """What is left where a record could not be analysed: the schema that knows most of the fields that came."""
        given = dict(_members(message.data))
        known = {
            name: [field.path for field in schema.fields if field.path in given]
            for name, (_, schema) in self.schemas.latest.items()
            if only in (None, name)
        }
        domain = only or max(known, key=lambda name: len(known[name]), default=_OTHER)
        paths = known.get(domain, ())
        flags = (Flag("doubtful", None, "it could not be analysed: only what came as fields is known"),)
        if not paths and only is None:
            return Analysis(_OTHER, 0.0, {}, "", 0, {}, flags)
        version = self.schemas.latest[domain][0] if domain in self.schemas.latest else 0
        readings = {path: Reading(given[path], "data") for path in paths}
        return Analysis(domain, 1.0 if only else 0.0, {}, "", version, readings, flags)

    def _chase(self, known: Known, configuration: Configuration) -> Chase | None:
        """Nobody is asked about what is there already, or where no answer could come from."""
        received = known.received
        if received.duplicate_of is not None or received.answers is not None or not _reaches(configuration):
            return None
        language = known.enrichment.language if known.enrichment else None
        return Chase(configuration.follow_up, configuration.calendar, language or configuration.language)

    def _gaps(self, asked: Known) -> list[Field]:
        """The fields of the last question, and what is missing now."""
        found = asked.assessment
        published = self.schemas.check(found.schema_name, found.schema_version) if found else None
        gaps = {
            *(asked.follow_up.gaps if asked.follow_up else ()),
            *(asked.assessment.root_gaps if asked.assessment else ()),
        }
        return [field for field in published.schema.fields if field.path in gaps] if published else []

    async def text(self, known: Known) -> str:
        """All that was read, the message's own first."""
        parts = [known.received.message.text]
        for said in known.enrichment.texts if known.enrichment else ():
            if said.origin != "message":
                whole = (await self.blobs.get(said.content)).decode() if said.content else said.text
                parts.append(whole[:_LONGEST])
        return "\n".join(part for part in parts if part)


def _reaches(configuration: Configuration) -> bool:
    """Whether the source says how its senders are answered."""
    reply = configuration.reply
    if configuration.platform == "email" and reply.api is not None:
        return True
    return reply.apprise is not None or (configuration.platform in _REACHED and reply.token is not None)


def _check_readable(message: Message, enrichment: Enrichment) -> None:
    """Raises Unreadable, with every reason. What only needs a program that is not here is not unreadable."""
    unreadable = [flag for flag in enrichment.flags if flag.kind == "unreadable"]
    said = any(text.text.strip() for text in enrichment.texts) or message.text.strip() or message.data
    if unreadable and not said and not enrichment.tables:
        reasons = [": ".join(filter(None, (flag.path, flag.detail or flag.kind))) for flag in unreadable]
        raise Unreadable("; ".join(reasons))


def _readings(analysis: Analysis, known: Known) -> dict[str, Reading]:
    """What the sender or a person said goes before what was read."""
    together = {**analysis.readings, **known.said}
    return {path: reading for path, reading in together.items() if reading.value is not None}


def _of_an_answer(*flags: Flag) -> Analysis:
    run = SkillRun("read-answer", "1", "message", "done", 0.0)
    return Analysis(ANSWER, 1.0, {}, "", 0, {}, flags, (), (run,))


def _members(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Leaves that can be values of a field, by path."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _members(cast(dict[str, Any], value), f"{prefix}{name}.")
        elif value is None or isinstance(value, (str, bool, int, float)):
            yield f"{prefix}{name}", value


def _unchecked(analysis: Analysis, flags: tuple[Flag, ...]) -> Assessment:
    """Without a schema nothing can be missing."""
    return Assessment(analysis.domain, 0, 1.0, 1.0, 1.0, (), (), (), (), (), flags)
