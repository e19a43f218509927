"""All that was found in a message, as much of it as an event takes."""

from __future__ import annotations

from collections.abc import Sequence

from domain.flag import Flag
from domain.message import Attachment
from domain.record import Enrichment, Said, SkillRun
from records.enrich import fitting
from records.enrich.fitting import fitted, fitted_tables
from records.enrich.language import Told
from records.enrich.studying import Studied


def on_record(
    studied: Sequence[Studied],
    attachments: tuple[Attachment, ...],
    spoken: Told | None,
    translation: Said | None,
    flags: tuple[Flag, ...],
    runs: tuple[SkillRun, ...],
) -> Enrichment:
    """`flags` and `runs` are those of the message as a whole."""
    tables, fewer_tables = fitted_tables((table for each in studied for table in each.tables), fitting.TABLES)
    found, fewer = fitted((entity for each in studied for entity in each.found), fitting.ENTITIES)
    kept, _ = fitted((*(flag for each in studied for flag in each.flags), *flags), fitting.FLAGS)
    left_out = [name for name, some in (("tables", fewer_tables), ("entities", fewer)) if some]
    if left_out:
        kept = (*kept, Flag("doubtful", None, f"there are more {' and '.join(left_out)} than a record keeps"))
    return Enrichment(
        texts=tuple(each.said for each in studied if each.said is not None),
        tables=tables,
        language=spoken.language if spoken else None,
        language_confidence=spoken.confidence if spoken else 0.0,
        translation=translation,
        entities=found,
        attachments=attachments,
        flags=kept,
        runs=fitted((*(run for each in studied for run in each.runs), *runs), fitting.RUNS)[0],
    )
