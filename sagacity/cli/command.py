"""`sagacity command`: send a command, over HTTP or NATS; the same handler answers either way."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from eventstore.envelope import new_id
from sagacity.cli import UserError
from sagacity.cli.command_list import print_commands
from sagacity.cli.connecting import ApiPlace, Problem, actor_of, api_options, open_api, run
from sagacity.cli.output import json_option, print_json

_TYPE: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")


@click.command()
@click.argument("type", required=False)
@click.option("--stream", metavar="ID", help="The aggregate: its id, or category/id. Made when missing.")
@click.option("--data", default="{}", metavar="JSON|@FILE|-", help="The command's fields; - reads standard input.")
@click.option("--expected-version", type=click.IntRange(0), metavar="N", help="Refuse unless the aggregate is there.")
@click.option("--id", "command_id", metavar="ID", help="Sent again with the same id, a command does nothing new.")
@click.option("--via", type=click.Choice(["http", "nats"]), default="http", show_default=True)
@click.option("--nats", "--nats-url", "nats_url", metavar="URL", help="NATS servers, for --via nats.")
@click.option("--wait", is_flag=True, help="Until the read models know what the command did (over HTTP).")
@click.option("--list", "listing", is_flag=True, help="Show all commands with their fields instead.")
@json_option
@functools.partial(api_options, data="--directory")
@click.pass_context
def command(
    context: click.Context,
    *,
    target: ApiPlace,
    type: str | None,
    stream: str | None,
    data: str,
    expected_version: int | None,
    command_id: str | None,
    via: str,
    nats_url: str | None,
    wait: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Send a command of TYPE and print what came of it.

    Exits 0 when it was accepted, 1 when it was refused, 2 when it is no command. Example:

    \b
        sagacity command organization.register --stream acme --data '{"name": "Acme"}'
    """
    if listing:
        print_commands(as_json)
        return
    if type is None:
        raise UserError("name the TYPE of the command: `sagacity command --list` shows all")
    body: dict[str, Any] = {"id": command_id or new_id(), "type": type, "data": json_of(data)}
    if stream is not None:
        category, _, name = stream.rpartition("/")
        body["stream"] = {"id": name, **({"category": category} if category else {})}
    if expected_version is not None:
        body["expected_version"] = expected_version
    answer = send(target, type, body, via=via, nats_url=nats_url, wait=wait)
    print_outcome(answer, as_json)
    context.exit(1 if refusal_of(answer) else 0)


def send(
    target: ApiPlace, type: str, body: Mapping[str, Any], *, via: str = "http", nats_url: str | None = None, wait: bool
) -> Mapping[str, Any]:
    """The outcome, accepted or refused. Raises UserError, which then says how to send the same again."""
    raw = msgspec.json.encode(body)
    try:
        answer = _over_nats(target, type, raw, nats_url) if via == "nats" else run(_over_http(target, raw))
    except Problem as problem:
        if problem.status == 409:
            return problem.body
        if problem.status in (503, 504):
            raise UserError(f"{problem.format_message()}; to send the same again: --id {body['id']}") from problem
        raise
    if wait:
        run(_until_known(target, answer))
    return answer


async def _over_http(target: ApiPlace, raw: bytes) -> Mapping[str, Any]:
    async with open_api(target) as api:
        return await api.post("/api/v1/commands", raw)


def _over_nats(target: ApiPlace, type: str, raw: bytes, nats_url: str | None) -> Mapping[str, Any]:
    from sagacity.cli.nats_request import request

    if not _TYPE.fullmatch(type):
        raise UserError(f"/type: there is no command {type!r}")
    return request(nats_url, target.data, f"cmd.{type}", raw, actor_of(target, os.environ))


async def _until_known(target: ApiPlace, answer: Mapping[str, Any]) -> None:
    async with open_api(target) as api:
        try:
            await api.get(answer["_links"]["resource"], min_position=answer["position"], wait=30)
        except Problem as problem:
            if problem.status != 404:  # not every aggregate has a read model
                raise UserError(f"the command was accepted, but: {problem.format_message()}") from problem


def json_of(given: str, where: str = "--data") -> msgspec.Raw:
    """In one line, whatever the form it came in. Raises UserError, which names `where` it was given."""
    try:
        if given == "-":
            content = sys.stdin.buffer.read()
        elif given.startswith("@"):
            content = Path(given[1:]).read_bytes()
        else:
            content = given.encode()
        return msgspec.Raw(msgspec.json.format(content.decode(), indent=-1).encode())
    except OSError as error:
        raise UserError(f"{where}: {given[1:]} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UserError(f"{where}: is no JSON: {error}") from error


def print_outcome(answer: Mapping[str, Any], as_json: bool) -> None:
    refusal = refusal_of(answer)
    if as_json:
        print_json(answer)
    elif refusal:
        click.echo(f"refused: {refusal}: {answer.get('detail') or 'no reason given'}")
    else:
        stream = answer["stream"]
        again = " (sent before; this is its first outcome)" if answer.get("duplicate") else ""
        where = f"{stream['category']}/{stream['id']}, version {answer['version']}, position {answer['position']}"
        click.echo(f"accepted: {where}{again}")
        for event in answer["events"]:
            click.echo(f"  {event['position']}  {event['type']}  {event['stream']} v{event['version']}")


def refusal_of(answer: Mapping[str, Any]) -> str | None:
    """Its stable name, as the log keeps it."""
    if answer.get("outcome") == "accepted":
        return None
    return str(answer.get("type", "refused")).rpartition("/")[2].replace("-", "_")
