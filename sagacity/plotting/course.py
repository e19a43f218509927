"""From the events of a model, its trainings and what was observed of it, to a picture of its course."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, get_args

from domain import experiment, model, monitor
from domain.drift import FeatureWindow, Verdict
from sagacity.plotting.picture import Counted, Line, Mark, MarkKind, Metric, Panel, Picture, foremost, rate

Event = (
    model.Promoted
    | model.RolledBack
    | experiment.Requested
    | experiment.Concluded
    | monitor.Began
    | monitor.OutcomesObserved
    | monitor.InputsObserved
    | monitor.Judged
)
TYPES: Final[dict[str, type[Event]]] = {str(each.__struct_config__.tag): each for each in get_args(Event)}

_LEAST_PSI: Final = 1e-4
_LEAST_P: Final = 1e-12
_CHANGES: Final[tuple[MarkKind, ...]] = ("training", "promoted", "discarded", "rolled_back")


class Told(NamedTuple):
    """An event of one model's course, and when it was recorded."""

    time: datetime
    event: Event


def picture_of(model_id: str, course: Sequence[Told], metrics: Sequence[Metric], rows: int) -> Picture:
    """One panel for each metric; the error rate is that of the latest `rows` labelled rows or a few more.

    What drifts is marked once for each version: the alarm sounds again and again, as long as nothing is done.
    """
    panels = tuple(_panel(course, metric, rows) for metric in metrics)
    return Picture(model_id, panels, (*_changes(course), *_drifts(course)))


def _panel(course: Sequence[Told], metric: Metric, rows: int) -> Panel:
    match metric:
        case "error_rate":
            lines = (rate("in production", _outcomes(course), rows), _expected(course))
            title = f"error rate of the latest {rows} labelled predictions"
            return Panel(title, tuple(line for line in lines if line.values), marks=(*_CHANGES, "error_drift"))
        case "psi":
            lines = foremost(_windows(course, lambda found: max(found.effect, _LEAST_PSI)), max)
            title = "windows of inputs beside the training data: population stability index"
            return Panel(title, lines, "log", marks=(*_CHANGES, "input_drift"))
        case "p_value":
            lines = foremost(_windows(course, lambda found: max(found.p_value, _LEAST_P)), lambda values: -min(values))
            title = "windows of inputs beside the training data: p-value"
            return Panel(title, lines, "log", _alpha(course), (*_CHANGES, "input_drift"))


def _outcomes(course: Iterable[Told]) -> Iterator[Counted]:
    for time, event in course:
        if isinstance(event, monitor.OutcomesObserved):
            yield Counted(time, event.rows, event.wrong)


def _expected(course: Sequence[Told]) -> Line:
    """The error rate on the rows held out, of each version while it is in use."""
    began = [(time, event.holdout) for time, event in course if isinstance(event, monitor.Began)]
    ends = [*(time for time, _ in began[1:]), course[-1].time if course else None]
    times: list[datetime] = []
    values: list[float] = []
    for (time, holdout), end in zip(began, ends, strict=False):
        times += [time, end or time]
        values += [holdout.wrong / max(1, holdout.rows)] * 2
    return Line("on the rows held out", tuple(times), tuple(values))


def _alpha(course: Iterable[Told]) -> tuple[float, str] | None:
    began = [event.thresholds for _, event in course if isinstance(event, monitor.Began)]
    return (began[-1].window_alpha, "above this, no alarm") if began else None


def _windows(course: Iterable[Told], value: Callable[[FeatureWindow], float]) -> list[Line]:
    points: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for time, event in course:
        if isinstance(event, monitor.InputsObserved):
            for window in event.windows:
                for name, found in window.features.items():
                    points[name].append((time, value(found)))
    return [Line(name, *map(tuple, zip(*found, strict=True))) for name, found in points.items()]


def _changes(course: Iterable[Told]) -> Iterator[Mark]:
    for time, event in course:
        match event:
            case model.Promoted(version=version, experiment_id=experiment_id, reason=reason):
                by = f"by {experiment_id}" if experiment_id else f"by hand{_because(reason)}"
                yield Mark(time, "promoted", f"version {version} is promoted, {by}")
            case model.RolledBack(version=version, previous=previous, reason=reason):
                now = f"back to version {version}" if version else "no version is in use any more"
                yield Mark(time, "rolled_back", f"version {previous} is rolled back, {now}{_because(reason)}")
            case experiment.Requested(version=version, trigger=trigger, reason=reason):
                yield Mark(time, "training", f"training of version {version} begins, by {trigger}{_because(reason)}")
            case experiment.Concluded(outcome="discarded", reason=reason):
                yield Mark(time, "discarded", f"a version is discarded{_because(reason)}")
            case (
                experiment.Concluded()
                | monitor.Began()
                | monitor.OutcomesObserved()
                | monitor.InputsObserved()
                | monitor.Judged()
            ):
                pass


def _drifts(course: Iterable[Told]) -> Iterator[Mark]:
    known: set[tuple[str, str]] = set()
    inputs: dict[tuple[str, int], list[str]] = {}
    times: dict[tuple[str, int], datetime] = {}
    for time, event in course:
        if not isinstance(event, monitor.Judged) or (event.version, event.verdict.feature) in known:
            continue
        known.add((event.version, event.verdict.feature))
        if event.verdict.kind == "errors":
            yield Mark(time, "error_drift", f"drift of errors, version {event.version}: {in_words(event.verdict)}")
        else:
            inputs.setdefault((event.version, event.observation), []).append(event.verdict.feature)
            times.setdefault((event.version, event.observation), time)
    for place, features in inputs.items():
        yield Mark(times[place], "input_drift", f"drift of {', '.join(features)}, version {place[0]}")


def in_words(verdict: Verdict) -> str:
    """What a verdict was based on."""
    where = f"{verdict.method} after {verdict.at} rows"
    match verdict.method:
        case "e-detector":
            return f"{where}, ln e {verdict.statistic:.1f} (alarm at {verdict.threshold:.1f})"
        case "ks" | "chi2":
            return f"{where}, p {verdict.statistic:.2g} (alarm at {verdict.threshold:.2g})"
        case "adwin-whitened":
            return f"{where}, {verdict.statistic:.3g} (alarm at {verdict.threshold:.3g})"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
