"""The stage `analyse`: which domain a record is of, and what it says of each field of that domain's schema."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

from domain.flag import Flag
from domain.message import Message
from domain.record import Analysis, Enrichment, Exchange, Reading, SkillRun
from domain.schema import Field, Schema
from eventstore.blobs import Blobs
from records.analyse.domains import Classification, DomainClassifier
from records.analyse.extraction import Extractor
from records.analyse.provider import OverBudget, Provider, ProviderFailed
from records.analyse.values import as_text, parsed, plain

OTHER: Final = "other"
LEAST: Final = 0.5
"""Confidence in a domain, below which it is doubtful."""

_AT_ONCE: Final = 20_000
"""Characters that are read without a thread."""

_VERSION: Final = "1"
"""Of the rules: another one may read other values."""

_SAID: Final = 0.7
"""Confidence in what a language model answers."""

_UNSEEN: Final = 0.4
"""In an answer that the text does not have in these words."""

Schemas = Mapping[str, tuple[int, Schema]]


class _Asked(NamedTuple):
    readings: dict[str, Reading]
    exchanges: tuple[Exchange, ...]
    run: SkillRun


class Analyser:
    """Safe for any number of concurrent callers; one a process."""

    def __init__(self, classifier: DomainClassifier, provider: Provider | None, blobs: Blobs) -> None:
        self._classifier = classifier
        self._provider = provider
        self._blobs = blobs
        self._extractors: dict[tuple[str, int], tuple[Schema, Extractor]] = {}

    async def analyse(
        self,
        message: Message,
        enrichment: Enrichment,
        text: str,
        schemas: Schemas,
        only: str | None,
        earlier: Sequence[Exchange] = (),
    ) -> Analysis:
        """`text` begins with the message's own; `earlier` are exchanges of the same record, which are not paid for
        again. `only` is the domain where the source has just one. Raises LogUnavailable, LogFull."""
        begun = perf_counter()
        told = await self._domain(message, text, only)
        flags = () if told.confidence >= LEAST else (Flag("doubtful", None, f"it may not be {told.domain}"),)
        reason = f"prediction {told.prediction}" if told.prediction else ""
        runs = (_run("domain", told.classifier, begun, reason),)
        version, schema = schemas.get(told.domain) or schemas.get(OTHER, (0, None))
        if schema is None:
            return Analysis(OTHER, told.confidence, told.candidates, told.classifier, 0, {}, flags, (), runs)
        begun = perf_counter()
        language = enrichment.language or "en"
        extractor = self._extractor(version, schema)
        own = len(message.text) if text.startswith(message.text) else 0
        given = text, message.data, enrichment.tables, enrichment.entities, language, own
        if len(text) > _AT_ONCE:
            readings = await asyncio.to_thread(extractor.extract, *given)
        else:
            readings = extractor.extract(*given)
        runs = (*runs, _run("extraction", _VERSION, begun))
        exchanges: tuple[Exchange, ...] = ()
        if self._provider is not None and text.strip():
            asked = await self._asked(self._provider, schema, readings, text, language, earlier)
            if asked is not None:
                readings, exchanges, runs = {**readings, **asked.readings}, asked.exchanges, (*runs, asked.run)
        confidence, candidates = told.confidence, told.candidates
        return Analysis(schema.name, confidence, candidates, told.classifier, version, readings, flags, exchanges, runs)

    async def _domain(self, message: Message, text: str, only: str | None) -> Classification:
        if only is not None:
            return Classification(only, 1.0, {}, "source")
        said = text if text.strip() else "\n".join(_said(message.data))
        return await self._classifier.classify(said, f"{message.source}/{message.external_id}")

    def _extractor(self, version: int, schema: Schema) -> Extractor:
        known = self._extractors.get((schema.name, version))
        if known is None or known[0] is not schema:
            known = schema, Extractor(schema.fields)
            self._extractors[schema.name, version] = known
        return known[1]

    async def _asked(
        self,
        provider: Provider,
        schema: Schema,
        readings: Mapping[str, Reading],
        text: str,
        language: str,
        earlier: Sequence[Exchange],
    ) -> _Asked | None:
        """For what the rules did not find, or found doubtful; None where there is nothing of that kind."""
        wanted = [field for field in schema.fields if _is_open(readings.get(field.path))]
        if not wanted:
            return None
        begun = perf_counter()
        model = provider.settings.model
        try:
            answer = await provider.ask(schema.name, wanted, text, language, earlier)
        except OverBudget as error:
            return _Asked({}, (), _run("provider", model, begun, str(error), outcome="skipped"))
        except ProviderFailed as error:
            paid = (error.exchange,) if error.exchange else ()
            return _Asked({}, paid, _run("provider", model, begun, str(error)[:500], outcome="failed"))
        found = _readings(wanted, answer.values, text, language)
        return _Asked(found, (answer.exchange,), _run("provider", model, begun))


def _is_open(reading: Reading | None) -> bool:
    return reading is None or bool(reading.doubtful)


def _readings(fields: Sequence[Field], values: Mapping[str, Any], text: str, language: str) -> dict[str, Reading]:
    """Each value is read as any other, and doubtful where the text does not have it."""
    found: dict[str, Reading] = {}
    said: str | None = None
    for field in fields:
        raw = values.get(field.path)
        if raw is None or raw == "":
            continue
        value = parsed(field, raw, "en")
        confidence, doubtful = _SAID, ""
        if value is not None and isinstance(value.value, str) and field.type in ("text", "identifier", "email"):
            said = said or _squeezed(text)
            if _squeezed(value.value) not in said:
                confidence, doubtful = _UNSEEN, "the text does not say it in these words"
        kept = value.value if value is not None else as_text(raw)
        found[field.path] = Reading(kept, "provider", confidence, doubtful)
    return found


def _squeezed(text: str) -> str:
    return "".join(each for each in plain(text[:200_000]) if each.isalnum())


def _said(data: Mapping[str, Any]) -> list[str]:
    """Data in words, for whoever reads only texts."""
    return [f"{name.replace('_', ' ')}: {as_text(value)}" for name, value in data.items()]


def _run(skill: str, version: str, begun: float, reason: str = "", *, outcome: Any = "done") -> SkillRun:
    milliseconds = round((perf_counter() - begun) * 1_000, 3)
    return SkillRun(skill, version, "record", outcome, milliseconds, reason)
