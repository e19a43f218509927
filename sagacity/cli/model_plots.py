"""`sagacity models plot`: the course of a model in the terminal, and as a PNG file."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sagacity.cli import UserError
from sagacity.cli.connecting import ApiPlace, api_options, run
from sagacity.cli.parameters import MOMENT
from sagacity.plotting.picture import METRICS, Metric

if TYPE_CHECKING:
    from sagacity.plotting.picture import Picture

_WIDEST: Final = 120
_HEIGHT: Final = 16


@click.command()
@click.argument("id")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there, too.")
@click.option(
    "--metric",
    "metrics",
    type=click.Choice(METRICS),
    multiple=True,
    default=("error_rate", "psi"),
    show_default=True,
    help="A panel for each.",
)
@click.option("--rows", type=click.IntRange(1), default=100, show_default=True, help="The error rate is of so many.")
@click.option("--since", type=MOMENT, help="Only what was recorded after that.")
@click.option("--until", type=MOMENT, help="Only what was recorded up to then.")
@api_options
def plot(
    *,
    target: ApiPlace,
    id: str,
    png: Path | None,
    metrics: tuple[Metric, ...],
    rows: int,
    since: int | datetime | None,
    until: int | datetime | None,
) -> None:
    """How a model did over time, with trainings, promotions, rollbacks and verdicts of drift as vertical lines.

    Example:

        sagacity models plot segments --metric error_rate --png error-rate.png
    """
    from sagacity.cli.model_course import course_of
    from sagacity.plotting import terminal
    from sagacity.plotting.course import picture_of

    picture = picture_of(id, run(course_of(target, id, since, until)), metrics, rows)
    if picture.span is None:
        raise UserError(f"nothing was observed of the model {id} there")
    size = shutil.get_terminal_size()
    click.echo(terminal.draw(picture, width=min(size.columns, _WIDEST), height=_HEIGHT))
    if png is not None:
        _write(png, picture)


def _write(file: Path, picture: Picture) -> None:
    from sagacity.plotting.png import draw

    try:
        file.write_bytes(draw(picture))
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from error
