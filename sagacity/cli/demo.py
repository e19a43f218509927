"""`sagacity demo`: the main job, on real servers and a real service, as a story that must come out as told."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.markup import escape

from eventstore.errors import EventStoreError
from eventstore.tasks import end_tasks
from sagacity.cli import UserError
from sagacity.cli.stopping import until_stopped
from sagacity.demo import paperwork, workflows
from sagacity.demo.blue_green import back_at_once
from sagacity.demo.canaries import good_canary, introduce, slow_canary, wrong_canary
from sagacity.demo.fallback import another_target
from sagacity.demo.following import follow
from sagacity.demo.mailbox import VARIABLE, Mailbox, address
from sagacity.demo.model_scene import scene_at
from sagacity.demo.models import CHAPTERS, KNOWN
from sagacity.demo.paperwork import Office
from sagacity.demo.platform import Platform, platform_at
from sagacity.demo.stage import Stage
from sagacity.demo.story import (
    Claim,
    broken_release,
    crash_in_the_middle,
    first_release,
    on_the_record,
    prepare,
    update_under_traffic,
)
from sagacity.demo.team import Team
from sagacity.demo.traffic import Traffic
from sagacity.demo.workflows import own_code
from sagacity.embedded.directory import CannotStart, free_port
from sagacity.embedded.service import StartFailed
from sagacity.passwords import without_passwords
from sagacity.platform import NotInitialised, RunningPlatform, running_platform
from sagacity.settings import Settings, SettingsError, load_settings
from sagas.targets.process import ProcessTarget


@click.command()
@click.option("--data", metavar="DIR", help="Data directory (default: a temporary one, removed afterwards).")
@click.option("--port", metavar="N", help="HTTP port (default: a free one).")
@click.option("--exit", "exit_", is_flag=True, help="Stop after the story; exit 0 only if it came out as told.")
def demo(data: str | None, port: str | None, exit_: bool) -> int:
    """Bring the platform up and tell the story of a service, of a model, of some documents and of skills at work.

    A service goes out as 1.0, is updated to 1.1 under constant traffic, a broken 1.2 rolls itself back, and the
    platform is killed in the middle of 1.3. Then three canaries are judged by evidence: 1.4 is too slow, 1.5 is wrong
    now and then, and 1.6 is fine. 1.7 goes out blue/green and back at once, and a target is lost in the middle of a
    deployment. Then a model is trained and asked under constant traffic; the world changes, its drift is found, and a
    new version takes its place by evidence; a sabotaged training is refused. Then a folder of documents becomes
    records, and the sender of an incomplete one is asked, and answers. At last a swarm of skills reviews code of this
    project, one of them fails and another does its work, and quality assurance sends a hybrid's work back once. It
    takes three to five minutes. Settings in the environment (SAGACITY_…) hold here as for `up`; only data directory and
    port have defaults of their own. Example:

        sagacity demo --exit
    """
    own = Path(tempfile.mkdtemp(prefix="sagacity-demo-"))
    try:
        settings = demo_settings(data, port, own)
        telling = Telling(Console(highlight=False), kept=settings.data != own)
        return asyncio.run(telling.tell(settings, stay=not exit_))
    except (SettingsError, CannotStart, StartFailed, NotInitialised, EventStoreError) as error:
        raise UserError(str(error)) from error
    finally:
        shutil.rmtree(own, ignore_errors=True)


def demo_settings(data: str | None, port: str | None, own: Path) -> Settings:
    """As for `up`, but with the data directory `own` and a free port unless others are given; skills may read the code
    that they review.

    Raises SettingsError, and UserError when a role is left out.
    """
    home = data or os.environ.get("SAGACITY_DATA") or str(own)
    settings = load_settings({"data": home, "port": port}, os.environ)
    missing = Settings.model_fields["role"].default - settings.role
    if missing:
        raise UserError(f"role: the demo needs all of them; missing: {', '.join(sorted(missing))}")
    port_of = {} if "port" in settings.model_fields_set else {"port": 0}
    return settings.model_copy(update={**port_of, "skill_paths": (*settings.skill_paths, own_code())})


class Telling:
    """One telling of the story, with what is printed of it."""

    def __init__(self, console: Console, *, kept: bool) -> None:
        """`kept`: whether the data directory is there afterwards."""
        self._console = console
        self._kept = kept
        self._is_told = False
        self._began = time.monotonic()
        self._claims: list[Claim] = []
        self._traffic: Traffic | None = None
        self._mailbox = Mailbox()

    async def tell(self, settings: Settings, *, stay: bool) -> int:
        """0 when every claim held, 1 when not, 130 when it was stopped before the end."""
        await until_stopped(partial(self._tell, settings, stay))
        if not self._is_told:
            return 130
        return 0 if all(claim.holds for claim in self._claims) else 1

    async def _tell(self, settings: Settings, stay: bool, stop: asyncio.Event) -> None:
        self._chapter("The platform comes up: nats-server, PostgreSQL, the process host and all roles")
        port = free_port()
        os.environ[VARIABLE] = address(port)
        async with self._mailbox.open(port), running_platform(settings, self._aside) as running:
            self._console.print(f"{self._time()} Sagacity is ready: [bold]{running.url}[/bold]")
            story, stopping = asyncio.create_task(self._story(running)), asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({story, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not story.done():
                    return
                self._end(running, await story, stay)
                if stay:
                    self._console.print("The platform stays up; Ctrl-C stops it.")
                    await stopping
            finally:
                await end_tasks(story, stopping)

    async def _story(self, running: RunningPlatform) -> str:
        run = f"{int(time.time()):x}"
        async with platform_at(running.url) as platform:
            last = await self._deployments(platform, running, run)
            await self._models(running, run)
            await self._records(platform, running, run)
            await self._workflows(platform, running, run)
            return last

    async def _deployments(self, platform: Platform, running: RunningPlatform, run: str) -> str:
        """The correlation id of a whole canary."""

        async def watch(id: str) -> dict[str, Any]:
            return await follow(platform, id, self._line)

        shop = await prepare(platform, run, self._chapter)
        url, claims = await first_release(shop, watch, self._chapter)
        self._check(claims)
        async with Traffic(url) as self._traffic:
            self._check(await update_under_traffic(shop, self._traffic, watch, self._chapter))
            self._check(await broken_release(shop, self._traffic, watch, self._chapter))
            pid = lambda: running.pid("roles")  # noqa: E731 - asked again after the crash
            self._check(await crash_in_the_middle(shop, self._traffic, watch, self._chapter, pid))
            stage = Stage(shop, self._traffic, ProcessTarget(running.directory.process_host), watch, self._chapter)
            await introduce(stage)
            for chapter in (slow_canary, wrong_canary, good_canary, back_at_once):
                self._check(await chapter(stage))
            self._check(await another_target(stage, running.directory))
            last = await platform.deployment(shop.id_of("1.6"))
            self._check(await on_the_record(shop))
        self._traffic = None
        return last["correlation_id"]

    async def _models(self, running: RunningPlatform, run: str) -> None:
        async with scene_at(running.url, running.nats_url, run, self._chapter, self._line, KNOWN) as scene:
            for chapter in CHAPTERS:
                self._check(await chapter(scene))

    async def _records(self, platform: Platform, running: RunningPlatform, run: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix="sagacity-scans-"))
        try:
            async with httpx.AsyncClient(base_url=running.url, timeout=40, headers={"X-Actor": "demo"}) as client:
                office = Office(platform, client, self._mailbox, folder, run, self._chapter, self._line)
                for chapter in paperwork.CHAPTERS:
                    self._check(await chapter(office))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _workflows(self, platform: Platform, running: RunningPlatform, run: str) -> None:
        async with httpx.AsyncClient(base_url=running.url, timeout=40, headers={"X-Actor": "demo"}) as client:
            team = Team(platform, client, own_code(), run, self._chapter, self._line)
            for chapter in workflows.CHAPTERS:
                self._check(await chapter(team))

    def _line(self, text: str, is_verdict: bool) -> None:
        traffic = ""
        if self._traffic is not None and not is_verdict:
            traffic = f"  [dim]{self._traffic.total} requests, {self._traffic.failed} failed[/dim]"
        self._console.print(f"{self._time()}   {text}{traffic}", soft_wrap=True)

    def _check(self, claims: list[Claim]) -> None:
        self._claims += claims
        for claim in claims:
            mark = "[green]✓[/green]" if claim.holds else "[bold red]✗[/bold red]"
            self._console.print(f"{self._time()} {mark} {escape(claim.text)}", soft_wrap=True)

    def _end(self, running: RunningPlatform, correlation: str, stay: bool) -> None:
        self._is_told = True
        held = sum(claim.holds for claim in self._claims)
        self._chapter(f"{held} of {len(self._claims)} claims held")
        for line in audit_trail(running, correlation, self._kept, stay):
            self._console.print(escape(line), soft_wrap=True)

    def _chapter(self, text: str) -> None:
        """What follows the first line explains it."""
        title, *more = text.split("\n")
        self._console.print(f"{self._time()} [bold]{title}[/bold]", soft_wrap=True)
        for line in more:
            self._aside(line)

    def _aside(self, text: str) -> None:
        self._console.print(f"{self._time()}   [dim]{escape(without_passwords(text))}[/dim]", soft_wrap=True)

    def _time(self) -> str:
        return f"[dim]{time.monotonic() - self._began:6.1f} s[/dim]"


def audit_trail(running: RunningPlatform, correlation: str, kept: bool, stay: bool) -> list[str]:
    """Where the last deployment's trail is: at a URL while the platform runs, with a command once it is stopped."""
    lines: list[str] = []
    if kept:
        place = shlex.quote(str(running.directory.path))
        lines.append(f"The audit trail, at any time: sagacity replay --correlation-id {correlation} --data {place}")
    elif not stay:
        lines.append("Its data is removed now; to keep it, with the audit trail: sagacity demo --exit --data DIR")
    url = f"{running.url}/api/v1/events?correlation_id={correlation}"
    return [*lines, f"The audit trail, while the platform runs: {url}"]
