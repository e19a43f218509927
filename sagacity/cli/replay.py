"""`sagacity replay`: the audit trail as a readable timeline, and the state it led to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

from domain.contexts import DECIDERS
from eventstore.envelope import Recorded, StreamId
from eventstore.subjects import is_valid_id
from sagacity.archive.lines import encode_line
from sagacity.cli import UserError
from sagacity.cli.connecting import ApiPlace, LogPlace, log_options, open_api
from sagacity.cli.connecting import run as run_http
from sagacity.cli.event_log import open_log, run
from sagacity.cli.history import Question, causes, from_api, from_log
from sagacity.cli.output import console, json_option, print_json
from sagacity.cli.parameters import CATEGORY, MOMENT
from sagacity.cli.timeline import arranged, entry_text
from sagacity.wiring import catalogue

_deciders = {decider.category: decider for decider in DECIDERS}


class Telling:
    """What is told of the events, as they come: a timeline or documents, and in the end the state."""

    def __init__(self, question: Question, with_state: bool, as_json: bool) -> None:
        self.question = question
        self.as_json = as_json
        self._with_state = with_state
        self._catalogue = catalogue()
        self._told = 0
        self._state: Any = None
        self._version = 0
        self._console = console()

    def tell(self, events: Sequence[Recorded], causes: Sequence[Recorded] = ()) -> None:
        self._told += len(events)
        if not self.as_json:
            for entry in arranged(events, causes):
                self._console.print(entry_text(entry))
        elif not self._with_state:
            for event in events:
                click.echo(encode_line(event.position, event.raw), nl=False)
        if self._with_state and events:
            decider = _deciders[events[0].stream.category]
            self._state = decider.fold([self._catalogue.decode(event.envelope) for event in events], self._state)
            self._version = events[-1].version

    def end(self) -> None:
        """Raises UserError when there was nothing to tell."""
        if not self._told:
            raise UserError("there are no such events in the log")
        if not self._with_state:
            return
        if self.as_json:
            print_json({"stream": str(self.question.stream), "version": self._version, "state": self._state})
        else:
            click.echo(f"\n{self.question.stream} at version {self._version}:")
            print_json(self._state)


class _Replay(click.Command):
    """`canary` and `drift` are no streams (no category, no id): after them come commands of their own."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in _OWN:
            return _OWN[args[0]]().make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_usage(ctx, formatter)
        for name in _OWN:
            formatter.write_usage(f"{ctx.command_path} {name}", "[OPTIONS]", prefix="  or:  ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, own().get_short_help_str(80)) for name, own in _OWN.items()])


def _canary() -> click.Command:
    from sagacity.cli.replay_canary import canary

    return canary


def _drift() -> click.Command:
    from sagacity.cli.replay_drift import drift

    return drift


_OWN: Final[Mapping[str, Callable[[], click.Command]]] = {"canary": _canary, "drift": _drift}


@click.command(cls=_Replay)
@click.argument("stream", required=False)
@click.option("--category", type=CATEGORY, help="All streams of a category.")
@click.option("--correlation-id", metavar="ID", help="Everything that belongs to one conversation.")
@click.option("--until", type=MOMENT, help="Only up to this position, or moment (RFC 3339).")
@click.option("--state", is_flag=True, help="Also the state of STREAM at that point.")
@json_option
@click.option("--url", metavar="URL", help="Read over HTTP from the platform there, instead of from the log itself.")
@log_options
def replay(
    *,
    target: LogPlace,
    stream: str | None,
    category: str | None,
    correlation_id: str | None,
    until: int | datetime | None,
    state: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Tell what happened, who did it and why: of a STREAM (category/id), a category or a conversation.

    Example:

        sagacity replay deployment/shop-1-1 --until 2026-11-21T12:00:00Z --state
    """
    question = _question(stream, category, correlation_id, until, state)
    telling = Telling(question, state, as_json)
    if url is not None or (target == LogPlace(None, None) and "SAGACITY_URL" in os.environ):
        run_http(_from_api(url, telling))
    else:
        run(_from_log(target, telling))


def _question(
    stream: str | None, category: str | None, correlation_id: str | None, until: int | datetime | None, state: bool
) -> Question:
    """Raises UserError with every fault."""
    faults: list[str] = []
    if [stream, category, correlation_id].count(None) != 2:
        faults.append("name one of STREAM, --category and --correlation-id")
    stream_id = StreamId.parse(stream) if stream is not None else None
    if stream_id is not None and not (is_valid_id(stream_id.category) and is_valid_id(stream_id.id)):
        faults.append(f"{stream!r} is no stream (category/id, such as deployment/shop-1-1)")
    elif state and (stream_id is None or stream_id.category not in _deciders):
        faults.append(f"--state: needs a STREAM of {', '.join(_deciders)}")
    if faults:
        raise UserError("; ".join(faults))
    return Question(stream_id, category, correlation_id, until)


async def _from_log(target: LogPlace, telling: Telling) -> None:
    async with open_log(target) as store:
        async for events in from_log(store, telling.question):
            telling.tell(events, () if telling.as_json else await causes(store, events))
    telling.end()


async def _from_api(url: str | None, telling: Telling) -> None:
    async with open_api(ApiPlace(url, None, None)) as api:
        async for events in from_api(api, telling.question):
            telling.tell(events)
    telling.end()
