"""Plots in a terminal, by plotext."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import click

from sagacity.plotting.picture import Line, Mark, MarkKind, Panel, Picture

_COLOURS: Final = ("blue", "yellow", "green", "magenta", "cyan", "red")
_MARKS: Final[dict[MarkKind, tuple[str, str]]] = {
    "error_drift": ("┊", "red"),
    "input_drift": ("┊", "yellow"),
    "training": ("│", "white"),
    "discarded": ("╎", "white"),
    "promoted": ("┃", "green"),
    "rolled_back": ("║", "magenta"),
}
_LIMIT: Final = ("┈", "white")
_TICKS: Final = 5
_LEAST: Final = (40, 8)


def draw(picture: Picture, *, width: int, height: int) -> str:
    """Panels one below the other, each `height` lines high, then what lines and marks mean; with ANSI colours.

    Raises ValueError when there is nothing in it.
    """
    span = picture.span
    if span is None:
        raise ValueError("there is nothing to draw")
    size = max(width, _LEAST[0]), max(height, _LEAST[1])
    parts = [_panel(panel, picture.marks_in(panel), span, size) for panel in picture.panels]
    return "\n".join([picture.title, *parts, *map(_told, picture.shown)])


def _panel(panel: Panel, marks: Sequence[Mark], span: tuple[datetime, datetime], size: tuple[int, int]) -> str:
    plotext: Any = importlib.import_module("plotext")  # it has no types
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear.all()
    figure.theme("simple").plot_size(*size).legend(False).title(panel.title)
    first, last = _time_ruler(figure, span)
    least, greatest = _value_ruler(figure, panel)
    for mark in marks:
        moment = mark.time.timestamp()
        figure.draw(_stretch(plotext, (moment, moment), (least, greatest), *_MARKS[mark.kind]))
    if panel.limit is not None:
        value = _scaled(panel, panel.limit[0])
        figure.draw(_stretch(plotext, (first, last), (value, value), *_LIMIT))
    for line, colour in zip(panel.lines, _COLOURS, strict=False):
        times, values = [time.timestamp() for time in line.times], [_scaled(panel, value) for value in line.values]
        marker = plotext.marker("braille", plotext.pixel(colour))
        figure.draw(figure.signal(times, values, marker=marker).lines(True))
    return "\n".join([figure.build().string().rstrip("\n"), *_legend(panel)])


def _stretch(plotext: Any, x: tuple[float, float], y: tuple[float, float], sign: str, colour: str) -> Any:
    return plotext.figure.segment(x, y, marker=plotext.marker(sign, plotext.pixel(colour)))


def _time_ruler(figure: Any, span: tuple[datetime, datetime]) -> tuple[float, float]:
    first, last = span[0].timestamp(), span[1].timestamp()
    last = last if last > first else first + 1
    ticks = [first + (last - first) * tick / (_TICKS - 1) for tick in range(_TICKS)]
    form = "%m-%d %H:%M" if last - first >= 86_400 else "%H:%M:%S"
    figure.ruler(0, 0).ticks(ticks, [datetime.fromtimestamp(tick, span[0].tzinfo).strftime(form) for tick in ticks])
    figure.ruler(0, 0).lim(first, last)
    return first, last


def _value_ruler(figure: Any, panel: Panel) -> tuple[float, float]:
    values = [value for line in panel.lines for value in line.values] + ([panel.limit[0]] if panel.limit else [])
    if panel.scale == "linear" or not values:
        least, greatest = 0.0, max(values, default=0.0) * 1.05 or 1.0
    else:
        low, high = math.floor(_scaled(panel, min(values))), math.ceil(_scaled(panel, max(values)))
        powers = range(low, max(high, low + 1) + 1)
        ticks = powers[:: 1 + len(powers) // _TICKS]
        figure.ruler(1, 0).ticks(list(ticks), [f"{10.0**power:g}" for power in ticks])
        least, greatest = float(powers[0]), float(powers[-1])
    figure.ruler(1, 0).lim(least, greatest)
    return least, greatest


def _scaled(panel: Panel, value: float) -> float:
    return math.log10(value) if panel.scale == "log" else value


def _legend(panel: Panel) -> list[str]:
    named: Sequence[Line] = panel.lines if len(panel.lines) > 1 else ()
    lines = [f"{click.style('⠒⠒', colour)} {line.name}" for line, colour in zip(named, _COLOURS, strict=False)]
    return [*lines, *([f"{_LIMIT[0] * 2} {panel.limit[1]}"] if panel.limit else [])]


def _told(mark: Mark) -> str:
    sign, colour = _MARKS[mark.kind]
    return f"{click.style(sign, colour)}  {mark.time:%Y-%m-%d %H:%M:%S}  {mark.text}"
