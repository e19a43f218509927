"""Every event version ever written can still be read. `python -m tests.golden` adds the files of new versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventstore.envelope import recorded
from sagacity.wiring import catalogue
from tests.golden import HOME, golden_file, missing_files

CATALOGUE = catalogue()
FILES = sorted(HOME.glob("*/*.json"))


def test_every_type_has_a_golden_file_of_every_version() -> None:
    """A new event type, or a new schema version of one, comes with its file (`python -m tests.golden`)."""
    assert [str(path.relative_to(HOME)) for path in missing_files(CATALOGUE)] == []


def test_every_golden_file_belongs_to_a_type() -> None:
    """A type that was ever written is never dropped or renamed."""
    assert {path.parent.name for path in FILES} <= set(CATALOGUE.types())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_golden_file_is_read(path: Path) -> None:
    event = recorded(1, path.read_bytes())
    assert (event.type, event.envelope.schemaversion) == (path.parent.name, int(path.stem))

    decoded = CATALOGUE.decode(event.envelope)

    assert type(decoded) is CATALOGUE.types()[event.type]


@pytest.mark.parametrize("type", sorted(CATALOGUE.types()))
def test_reading_today_loses_no_field(type: str) -> None:
    """A field that was removed or renamed without an upcaster would vanish silently: here it shows."""
    path = golden_file(type, CATALOGUE.schema_version(type))
    envelope = recorded(1, path.read_bytes()).envelope

    again = msgspec.json.decode(msgspec.json.encode(CATALOGUE.decode(envelope)))

    assert _contains(again, msgspec.json.decode(envelope.data))


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _contains(whole[name], value) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(whole) == len(part) and all(map(_contains, whole, part))
    return bool(whole == part)
