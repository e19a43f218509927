"""The reference is generated, stable, and its check notices a difference."""

from __future__ import annotations

import json
from pathlib import Path

from sagacity.wiring import catalogue
from tests.cli.conftest import Sagacity


def test_the_reference_is_written_and_checked(sagacity: Sagacity) -> None:
    written = sagacity("docs", "--out", "reference")
    unchanged = sagacity("docs", "--out", "reference", "--check")
    Path("reference/events.md").write_text("old")
    changed = sagacity("docs", "--out", "reference", "--check")
    missing = sagacity("docs", "--out", "elsewhere", "--check")

    assert (written.status, written.errors) == (0, "")
    assert (unchanged.status, unchanged.out) == (0, b"")
    assert (changed.status, changed.text.count("\n")) == (1, 1)
    assert changed.text.startswith("reference/events.md differs")
    assert (missing.status, missing.text.count("\n")) == (1, 3)
    assert not Path("elsewhere").exists()


def test_the_reference_describes_what_the_program_runs_on(sagacity: Sagacity) -> None:
    sagacity("docs", "--out", "reference")
    openapi = json.loads(Path("reference/openapi.json").read_bytes())
    asyncapi = json.loads(Path("reference/asyncapi.json").read_bytes())
    events = Path("reference/events.md").read_text()

    assert "/api/v1/commands" in openapi["paths"]
    assert asyncapi["asyncapi"].startswith("3.")
    assert all(f"| `{tag}` | " in events for tag in catalogue().types())
