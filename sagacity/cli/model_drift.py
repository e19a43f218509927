"""`sagacity models drift`: what is observed of a model in use, and every verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from api.links import path_of
from domain.drift import Verdict, Window
from sagacity.cli.connecting import ApiPlace, Problem, api_options, open_api, run
from sagacity.cli.output import cell, json_option, percent, print_json, print_table

_NOT_FOUND = 404


@click.command()
@click.argument("id")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Verdicts, latest first.")
@json_option
@api_options
def drift(*, target: ApiPlace, id: str, limit: int, as_json: bool) -> None:
    """What is observed of the version in use: errors, the last window of inputs, and the verdicts of drift.

    Example:

        sagacity models drift segments
    """
    watched, verdicts = run(_drift(target, id, limit))
    if as_json:
        return print_json({"monitor": watched, "verdicts": verdicts})
    if watched is None or watched["model_version"] is None:
        click.echo("no version of it is watched")
    else:
        _print_rate(watched)
        _print_errors(watched)
        _print_window(watched)
    if watched is not None and watched["unmatched"]:
        click.echo(
            f"warning: {watched['unmatched']} of {watched['labels']} labels are unmatched: there is no such prediction "
            "(any more), or it had a label"
        )
    rows = [(row["time"], row["version"], row["feature"] or row["kind"], _words(row)) for row in verdicts]
    print_table(("time", "version", "drift of", "verdict"), rows)


async def _drift(target: ApiPlace, id: str, limit: int) -> tuple[Mapping[str, Any] | None, Sequence[Mapping[str, Any]]]:
    async with open_api(target) as api:
        verdicts = (await api.get(f"{path_of('model', id)}/drift", limit=limit))["items"]
        try:
            return await api.get(path_of("monitor", id)), verdicts
        except Problem as problem:
            if problem.status != _NOT_FOUND:
                raise
            return None, verdicts


def _print_rate(watched: Mapping[str, Any]) -> None:
    click.echo(f"version {watched['model_version']}, watched since {watched['since']}")
    click.echo(f"{watched['predictions']} predictions, {watched['outcomes']} of them labelled")
    if watched["predictions_per_day"] is not None:
        click.echo(f"a day: {watched['predictions_per_day']:,.0f}; expected: {watched['expected_per_day']:,}")
    if watched["rate_warning"] is not None:
        click.echo(f"warning: {watched['rate_warning']}")


def _print_errors(watched: Mapping[str, Any]) -> None:
    if watched["error_rate"] is not None and watched["holdout_error_rate"] is not None:
        now, then = percent(watched["error_rate"]), percent(watched["holdout_error_rate"])
        click.echo(f"errors: {now}; on the rows held out of its training: {then}")


def _print_window(watched: Mapping[str, Any]) -> None:
    if watched["last_window"] is None:
        return
    window = msgspec.convert(watched["last_window"], Window)
    click.echo(
        f"\nwindow {window.number}: the latest {window.rows} rows beside the training data, up to row {window.at}"
    )
    rows = [
        (name, found.method, cell(found.statistic), f"{found.p_value:.2g}", f"{found.effect:.3f}")
        for name, found in sorted(window.features.items(), key=lambda each: -each[1].effect)
    ]
    print_table(("feature", "test", "statistic", "p-value", "PSI"), rows)
    click.echo()


def _words(row: Mapping[str, Any]) -> str:
    from sagacity.plotting.course import in_words

    fields = {name: row[name] for name in Verdict.__struct_fields__}
    return in_words(msgspec.convert(fields, Verdict))
