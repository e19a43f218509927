"""`sagacity worker`: offer the skills of Python modules, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from sagacity.cli import UserError

if TYPE_CHECKING:
    from domain.skill import Isolation
    from eventstore.connection import Connection
    from skills.skill import Skill
    from skills.worker import Worker

_PATIENCE: Final = 5.0
_WHERE: Final = "of `sagacity up` on this machine it is in DIR/run/nats_url, or take --data DIR"


@click.command()
@click.argument("modules", nargs=-1, metavar="MODULE...")
@click.option("--mcp", "mcp_server", metavar="WHERE", help="Tools of an MCP server too: its URL, or its command line.")
@click.option("--prefix", default="", metavar="TEXT", help="Before the names of the tools of --mcp.")
@click.option("--nats", "--nats-url", "--url", "nats_url", metavar="URL", help="NATS servers, comma-separated.")
@click.option("--data", metavar="DIR", help="Data directory of a running platform, instead of --nats (.sagacity).")
@click.option("--actor", metavar="NAME", help="Who registers the skills ($USER).")
@click.option("--name", metavar="NAME", help="Of this worker; made of host and process when missing.")
@click.option("--concurrency", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Of each skill.")
@click.option("--no-register", is_flag=True, help="The platform knows these skills.")
@click.option("--unenforced", is_flag=True, help="Run isolated skills even where a limit cannot be kept here.")
@click.option("--untrusted", is_flag=True, help="Import the modules in isolation only, and isolate every call.")
@click.option("--may-use-network", is_flag=True, help="With --untrusted: if the skill asks for it.")
@click.option("--may-read", multiple=True, metavar="DIR", help="With --untrusted: if the skill asks for it.")
@click.option("--may-write", multiple=True, metavar="DIR", help="With --untrusted: if the skill asks for it.")
def worker(
    *,
    modules: tuple[str, ...],
    mcp_server: str | None,
    prefix: str,
    nats_url: str | None,
    data: str | None,
    actor: str | None,
    name: str | None,
    concurrency: int,
    no_register: bool,
    unenforced: bool,
    untrusted: bool,
    may_use_network: bool,
    may_read: tuple[str, ...],
    may_write: tuple[str, ...],
) -> None:
    """Register the skills of each MODULE, or the tools of an MCP server, and carry out their calls, until Ctrl-C.

    Modules are found from this directory. Example:

        sagacity worker my_skills --nats nats://127.0.0.1:4222
    """
    from domain.skill import Isolation

    if not modules and mcp_server is None:
        raise UserError("name at least one MODULE, or --mcp")
    sys.path.insert(0, os.getcwd())
    url = _servers(nats_url, data)
    may = None
    if untrusted:
        may = Isolation(cpu=86_400, memory=2**40, network=may_use_network, read=may_read, write=may_write)
    elif may_use_network or may_read or may_write:
        raise UserError("--may-use-network, --may-read and --may-write go with --untrusted")
    skills = asyncio.run(_described(modules, may)) if may else _imported(modules)

    from eventstore.errors import LogUnavailable
    from sagacity.cli.connecting import ApiPlace, actor_of
    from skills.worker import Worker

    def with_tools(tools: tuple[Skill[Any, Any], ...]) -> Worker:
        return Worker([*skills, *tools], url, concurrency=concurrency, name=name, unenforced=unenforced)

    registered_by = None if no_register else actor_of(ApiPlace(None, None, actor), os.environ)
    try:
        asyncio.run(_with_tools(mcp_server, prefix, lambda tools: _serve(with_tools(tools), url, registered_by)))
    except (LogUnavailable, OSError, ValueError) as error:
        raise UserError(str(error) or type(error).__name__) from error


async def _with_tools(
    where: str | None, prefix: str, serve: Callable[[tuple[Skill[Any, Any], ...]], Awaitable[None]]
) -> None:
    """Connected to the MCP server for as long as its tools are served. Raises UserError when it cannot be reached."""
    if where is None:
        return await serve(())
    from skills.mcp_tools import mcp_server
    from skills.skill import SkillFailed

    async with mcp_server(where) as server:
        try:
            tools = await server.skills(prefix)
        except SkillFailed as error:
            raise UserError(f"--mcp {where}: {error.reason}") from error
        await serve(tools)


def _servers(nats_url: str | None, data: str | None) -> str:
    """Raises UserError. Not by `event_log`, which imports all that the platform runs."""
    from sagacity.cli.options import settings_from

    settings = settings_from({"nats_url": nats_url, "data": data})
    if settings.nats_url is not None:
        return settings.nats_url
    try:
        return (settings.data.expanduser() / "run" / "nats_url").read_text()
    except OSError as error:
        raise UserError(f"no platform runs in {settings.data}: name a NATS server with --nats") from error


def _imported(modules: tuple[str, ...]) -> list[Skill[Any, Any]]:
    """Raises UserError with every module that cannot be used."""
    from skills.skill import skills_of

    found: list[Skill[Any, Any]] = []
    faults: list[str] = []
    for name in modules:
        try:
            offered = skills_of(import_module(name))
        except Exception as error:
            faults.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
            continue
        found += offered
        if not offered:
            faults.append(f"{name} offers no skill: mark functions with @skill(...)")
    if faults:
        raise UserError("; ".join(faults))
    return found


async def _described(modules: tuple[str, ...], may: Isolation) -> tuple[Skill[Any, Any], ...]:
    from skills.isolation.describing import NotDescribed, untrusted

    try:
        return await untrusted(modules, may)
    except NotDescribed as error:
        raise UserError(str(error)) from error


async def _serve(one: Worker, url: str, registered_by: str | None) -> None:
    from eventstore.tasks import end_tasks
    from sagacity.cli.stopping import until_stopped

    async def work(stop: asyncio.Event) -> None:
        await _introduced(one, url, registered_by)
        announcing = asyncio.create_task(_announce(one))
        try:
            await one.run(stop)
        finally:
            await end_tasks(announcing)

    await until_stopped(work)


async def _introduced(one: Worker, url: str, registered_by: str | None) -> None:
    """Raises UserError for a server that does not let it work, and with every skill that the platform refuses."""
    from eventstore.connection import connect_to
    from skills.registering import NotRegistered, register

    connection = await connect_to(url, name="sagacity-cli", patience=5.0, waits=False)
    try:
        await _check_rights(connection)
        if registered_by is not None:
            await register(connection, one.skills, actor=registered_by)
    except NotRegistered as error:
        raise UserError(str(error)) from error
    finally:
        await connection.close()


async def _check_rights(connection: Connection) -> None:
    """A server passes over what one may not do, and says so beside it: an answer would be waited for in vain."""
    inbox = connection.new_inbox()
    answers = await connection.subscribe(inbox)  # pyright: ignore[reportUnknownMemberType]
    await connection.publish("$JS.API.INFO", reply=inbox)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while not answers.pending_msgs:
                if "permissions" in (refusal := str(connection.last_error)):
                    raise UserError(f"{refusal}: a worker needs the URL with user and password; {_WHERE}")
                await asyncio.sleep(0.02)
    await answers.unsubscribe()


async def _announce(one: Worker) -> None:
    from skills.isolation.confining import unenforced

    await one.ready.wait()
    for each in one.skills:
        isolation = each.specification.isolation
        missing = unenforced(isolation) if isolation is not None else ()
        note = f" (not enforced here: {'; '.join(missing)})" if missing else ""
        click.echo(f"{each.name} {each.specification.version}: {each.runs}{note}")
    click.echo(f"{one.name} takes calls; Ctrl-C ends it")
