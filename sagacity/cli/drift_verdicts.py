"""Drift judged again, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from models.observe.drift_changes import Change, Comparison, Rejudged
from models.observe.drift_policy import Policy
from sagacity.cli.output import print_json, print_table


def identical(found: Sequence[Rejudged]) -> bool | None:
    """None: they were judged by another policy."""
    checked = [each.identical for each in found if each.identical is not None]
    return all(checked) if checked else None


def print_document(policy: Policy | None, found: Sequence[Rejudged]) -> None:
    print_json(
        {"policy": policy, "identical": identical(found), "difference": _first_difference(found), "models": found}
    )


def print_verdicts(policy: Policy | None, found: Sequence[Rejudged]) -> None:
    if policy is None:
        columns = ("model", "observations", "verdicts", "comparisons", "identical")
        print_table(columns, [_checked(each) for each in found])
        same = identical(found)
        click.echo(f"\nidentical: {'true' if same else f'false: {_first_difference(found)}'}")
        return
    columns = ("model", "verdict", "recorded", "under the policy", "comparison")
    drift = [_changed(each, change) for each in found for change in each.changes.changes]
    compared = [_compared(each, one) for each in found for one in each.changes.comparisons]
    print_table(columns, [*drift, *compared])
    total = sum(each.changes.recorded for each in found)
    same, undecidable = (sum(getattr(each.changes, name) for each in found) for name in ("same", "undecidable"))
    click.echo(f"\n{total} verdicts of drift: {same} the same, {undecidable} undecidable; {_counted(found)}")


def _checked(each: Rejudged) -> tuple[object, ...]:
    changes = each.changes
    return each.model_id, each.observations, changes.recorded, len(changes.comparisons), str(each.identical).lower()


def _changed(each: Rejudged, change: Change) -> tuple[str, ...]:
    about = f"feature {change.feature}" if change.kind == "feature" else change.kind
    return (
        each.model_id,
        f"version {change.version}: {about} ({change.method})",
        "not said" if change.recorded_at is None else f"at row {change.recorded_at}",
        "not said" if change.replayed_at is None else f"at row {change.replayed_at}",
        change.what,
    )


def _compared(each: Rejudged, one: Comparison) -> tuple[str, ...]:
    unknown = one.replayed == "unknown"
    same = (one.recorded, one.recorded_rows) == (one.replayed, one.replayed_rows)
    return (
        each.model_id,
        f"{one.kind} of {one.experiment_id}",
        f"{one.recorded} after {one.recorded_rows} rows",
        f"unknown, undecided after {one.replayed_rows} rows"
        if unknown
        else f"{one.replayed} after {one.replayed_rows} rows",
        "undecidable" if unknown else "same" if same else "changed",
    )


def _counted(found: Sequence[Rejudged]) -> str:
    counts = Counter(change.what for each in found for change in each.changes.changes)
    return ", ".join(f"{counts[what]} {words}" for what, words in _WORDS.items())


def _first_difference(found: Sequence[Rejudged]) -> str | None:
    return next((f"{each.model_id}: {each.difference}" for each in found if each.difference), None)


_WORDS = {"appears": "appear", "vanishes": "vanish", "moves": "move"}
