"""Plots as PNG files, by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from PIL import Image

from sagacity.plotting.picture import Mark, MarkKind, Panel, Picture

_WIDTH: Final = 8.0
_PANEL_HEIGHT: Final = 2.4
_DPI: Final = 100
_PALETTE: Final = 128
_MARGIN: Final = 0.01
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which the colour-blind can tell apart."""


class _Stroke(NamedTuple):
    """A mark: no two look alike without their colours. What is wider is drawn below what is narrower."""

    colour: str
    pattern: str
    width: float
    words: str


_STROKES: Final[dict[MarkKind, _Stroke]] = {
    "error_drift": _Stroke("#e06060", "-", 4.0, "drift of errors"),
    "input_drift": _Stroke("#e0a060", "-", 4.0, "drift of inputs"),
    "training": _Stroke("#606060", "--", 1.2, "training begins"),
    "promoted": _Stroke("#007a33", "-", 1.4, "promoted"),
    "discarded": _Stroke("#000000", ":", 1.4, "discarded"),
    "rolled_back": _Stroke("#8000a0", "-.", 1.4, "rolled back"),
}


def draw(picture: Picture) -> bytes:
    """The same picture gives the same bytes with the same matplotlib. Raises ValueError when there is nothing in it."""
    span = picture.span
    if span is None:
        raise ValueError("there is nothing to draw")
    figure = Figure(figsize=(_WIDTH, 0.6 + _PANEL_HEIGHT * len(picture.panels)), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: list[Axes] = list(figure.subplots(len(picture.panels), 1, sharex=True, squeeze=False)[:, 0])
    named: set[MarkKind] = set()
    for place, panel in zip(axes, picture.panels, strict=True):
        _panel(place, panel, picture.marks_in(panel), named)
    _title(axes[0], picture.title)
    _time_axis(axes[-1], *span)
    canvas.draw()
    return _compressed(canvas)


def _compressed(canvas: FigureCanvasAgg) -> bytes:
    """A palette is enough for lines and letters, and a third of the size."""
    image = Image.frombuffer("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB")
    file = BytesIO()
    image.quantize(_PALETTE, Image.Quantize.MAXCOVERAGE).save(file, "png", optimize=True)
    return file.getvalue()


def _title(place: Axes, text: str) -> None:
    plot: Any = place
    plot.set_title(text, loc="right", fontsize=9)


def _panel(place: Axes, panel: Panel, marks: Sequence[Mark], named: set[MarkKind]) -> None:
    """`named`: the kinds of marks that a legend explains already."""
    plot: Any = place  # matplotlib's types leave most arguments open
    for line, colour in zip(panel.lines, _COLOURS, strict=False):
        plot.plot(line.times, line.values, color=colour, linewidth=1.4, marker=".", markersize=3, label=line.name)
    if panel.limit is not None:
        value, words = panel.limit
        plot.axhline(value, color="#404040", linewidth=0.8, linestyle=(0, (1, 3)), label=words)
    for mark in marks:
        stroke = _STROKES[mark.kind]
        words = None if mark.kind in named else stroke.words
        named.add(mark.kind)
        order = 1.5 - stroke.width / 10  # below the lines, which are at 2
        plot.axvline(
            mark.time, color=stroke.colour, linestyle=stroke.pattern, linewidth=stroke.width, zorder=order, label=words
        )
    plot.set_title(panel.title, loc="left", fontsize=9)
    plot.set_yscale(panel.scale)
    if panel.scale == "linear":
        plot.set_ylim(bottom=0)
    plot.tick_params(labelsize=8)
    plot.grid(visible=True, alpha=0.25, linewidth=0.6)
    plot.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _time_axis(place: Axes, first: datetime, last: datetime) -> None:
    plot: Any = place
    locator = AutoDateLocator(tz=first.tzinfo)
    plot.xaxis.set_major_locator(locator)
    plot.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=first.tzinfo))
    margin = (last - first) * _MARGIN
    if margin:
        plot.set_xlim(first - margin, last + margin)
