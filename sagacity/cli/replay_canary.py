"""`sagacity replay canary`: the recorded canaries judged again under another policy. Nothing in the log changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import click

from domain import deployment
from domain.counterfactual import Policy, rejudge
from domain.rejudged import summarise
from domain.strategy import Canary, declared
from eventstore.catalogue import tag_of
from eventstore.envelope import Recorded, recorded
from eventstore.store import EventStore
from sagacity.archive.exporting import pages
from sagacity.cli import UserError
from sagacity.cli.connecting import ApiPlace, LogPlace, log_options, open_api
from sagacity.cli.connecting import run as run_http
from sagacity.cli.event_log import open_log, run
from sagacity.cli.history import Question, from_api
from sagacity.cli.output import Advance, json_option, progress
from sagacity.cli.parameters import MOMENT
from sagacity.cli.policy_file import read_policy
from sagacity.cli.verdicts import Line, identical, print_document, print_verdicts
from sagacity.wiring import catalogue

_OPENING: Final = tag_of(deployment.Requested)


class Selection(NamedTuple):
    """Which deployments, by their request: from a position or moment up to another (both included)."""

    since: int | datetime | None
    until: int | datetime | None
    stack: str | None
    environment: str | None

    def takes(self, event: Recorded, requested: deployment.Requested) -> bool:
        if not isinstance(declared(requested.strategy), Canary) or self.ends_before(event):
            return False
        if self.stack not in (None, requested.stack_id) or self.environment not in (None, requested.environment_id):
            return False
        return self.since is None or (
            event.position >= self.since if isinstance(self.since, int) else event.time >= self.since
        )

    def ends_before(self, event: Recorded) -> bool:
        return self.until is not None and (
            event.position > self.until if isinstance(self.until, int) else event.time > self.until
        )


class Deployment(NamedTuple):
    requested: deployment.Requested
    request: Recorded
    events: list[deployment.Event]


class Judging:
    """Takes the log's deployments as they come, and judges each canary when it has ended."""

    def __init__(self, policy: Policy | None, selection: Selection, advance: Advance) -> None:
        self._lines: list[Line] = []
        self._policy = policy
        self._selection = selection
        self._advance = advance
        self._decode = catalogue().decode
        self._open: dict[str, Deployment] = {}

    async def judge(self, pages: AsyncIterator[Sequence[Recorded]], last: int) -> list[Line]:
        """In the order in which they were requested. Raises UserError when there is none."""
        async for page in pages:
            for event in page:
                await self._take(event, last)
            if self._selection.ends_before(page[-1]) and not self._open:
                break
        for id in list(self._open):
            await self._close(id)
        if not self._lines:
            raise UserError("there are no such canaries in the log")
        return sorted(self._lines, key=lambda line: line.position)

    async def _take(self, event: Recorded, last: int) -> None:
        id = event.stream.id
        if event.stream.category != deployment.deployment.category or (id not in self._open and event.type != _OPENING):
            return
        data = self._decode(event.envelope)
        if isinstance(data, deployment.Requested) and self._selection.takes(event, data):
            self._open[id] = Deployment(data, event, [])
        if id in self._open:
            self._open[id].events.append(data)
        if isinstance(data, deployment.Completed | deployment.RolledBack | deployment.Failed):
            await self._close(id)
            self._advance("judging", event.position, last)

    async def _close(self, id: str) -> None:
        """In a thread: the connection to the log is kept alive meanwhile."""
        known = self._open.pop(id, None)
        if known is None:
            return
        try:
            canaries = await asyncio.to_thread(rejudge, id, known.events, self._policy)
        except ValueError as error:
            raise UserError(f"deployment/{id}: {error}") from error
        of, at = known.requested, known.request
        about = (of.stack_id, of.environment_id, of.version, at.position, at.time)
        self._lines += [Line(*about, each) for each in canaries]


@click.command()
@click.option("--policy", metavar="FILE", help="TOML or JSON. Without one, each canary by its own: a check of the log.")
@click.option("--since", type=MOMENT, help="Only deployments requested from this position or moment (RFC 3339) on.")
@click.option("--until", type=MOMENT, help="Only deployments requested up to then.")
@click.option("--stack", metavar="ID", help="Only deployments of this stack.")
@click.option("--environment", metavar="ID", help="Only deployments to this environment.")
@click.option("--horizon", type=click.IntRange(1), metavar="N", help="Assume that no canary gets more than N requests.")
@json_option
@click.option("--url", metavar="URL", help="Read over HTTP from the platform there, instead of from the log itself.")
@log_options
@click.pass_context
def canary(
    context: click.Context,
    *,
    target: LogPlace,
    policy: str | None,
    horizon: int | None,
    as_json: bool,
    url: str | None,
    **selection: Any,
) -> None:
    """Judge the recorded canaries again, under another policy.

    Exits 1 when a canary's own policy does not lead to the verdicts that were recorded. Example:

        sagacity replay canary --policy stricter.toml --since 2026-10-01
    """
    judged_by = read_policy(policy) if policy is not None else None
    selected = Selection(**selection)
    if url is not None or (target == LogPlace(None, None) and "SAGACITY_URL" in os.environ):
        lines = run_http(_from_api(url, judged_by, selected))
    else:
        lines = run(_from_log(target, judged_by, selected))
    summary = summarise([line.canary for line in lines], horizon)
    if as_json:
        print_document(judged_by, lines, summary)
    else:
        print_verdicts(lines, summary)
    context.exit(1 if identical(lines) is False else 0)


async def _from_log(target: LogPlace, policy: Policy | None, selection: Selection) -> list[Line]:
    async with open_log(target) as store:
        last = (await store.state()).last
        after = selection.since - 1 if isinstance(selection.since, int) else 0
        with progress() as advance:
            return await Judging(policy, selection, advance).judge(_pages(store, after, last, advance), last)


async def _pages(store: EventStore, after: int, last: int, advance: Advance) -> AsyncIterator[Sequence[Recorded]]:
    async for page in pages(store, max(after, 0), last):
        yield [recorded(*each) for each in page]
        advance("judging", page[-1][0], last)


async def _from_api(url: str | None, policy: Policy | None, selection: Selection) -> list[Line]:
    category = deployment.deployment.category
    async with open_api(ApiPlace(url, None, None)) as api:
        with progress() as advance:
            found = from_api(api, Question(None, category, None, None))
            return await Judging(policy, selection, advance).judge(found, 0)
