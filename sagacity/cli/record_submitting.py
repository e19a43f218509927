"""`sagacity records submit`: files become records."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import click
import httpx

from api.links import API, path_of
from sagacity.cli import UserError
from sagacity.cli.connecting import Api, ApiPlace, api_options, open_api, problem_of, run, unreachable
from sagacity.cli.output import json_option, print_json, print_table, progress

_AT_ONCE: Final = 4
_PATIENCE: Final = 600.0
"""Seconds that a large file may take."""

_ATTEMPTS: Final = 4
_PAUSE: Final = 0.5
_PASSING: Final = (502, 503, 504)


class _Submitted(NamedTuple):
    """`refused` says why it is not on the record."""

    file: str
    record_id: str | None = None
    duplicate: bool = False
    refused: str = ""

    @property
    def outcome(self) -> str:
        if self.refused:
            return f"refused: {self.refused}"
        return "known already" if self.duplicate else "received"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--source", required=True, metavar="ID", help="Where they come from.")
@click.option("--token-from", metavar="VARIABLE", help="The variable with the secret of the source, if it has one.")
@click.option("--follow", "stay", is_flag=True, help="Tell what happens to them until they are dealt with.")
@json_option
@api_options
@click.pass_context
def submit(
    context: click.Context,
    *,
    target: ApiPlace,
    files: tuple[Path, ...],
    source: str,
    token_from: str | None,
    stay: bool,
    as_json: bool,
) -> None:
    """Make a record of each file. The same file under the same name is the same record, however often it is given.

    Exits 0 when all are on the record (with --follow: and none was parked), 1 when some are not, 2 when none was
    sent. Example:

        sagacity records submit scans/*.pdf --source uploads --follow
    """
    faults = [*_token_faults(token_from), *_file_faults(files)]
    if faults:
        raise UserError("; ".join(faults))
    submitted = run(_submit(target, source, files, os.environ[token_from] if token_from else None))
    if as_json and not stay:
        print_json([{**each._asdict(), "outcome": each.outcome} for each in submitted])
    elif not as_json:
        rows = [(each.file, each.record_id or "", each.outcome) for each in submitted]
        print_table(("file", "record", "outcome"), rows)
    refused = any(each.refused for each in submitted)
    ids = list(dict.fromkeys(each.record_id for each in submitted if each.record_id is not None))
    if not stay or not ids:
        context.exit(1 if refused else 0)
    from sagacity.cli.record_following import follow_and_tell

    ended = run(follow_and_tell(target, ids, as_json, answers=False))
    context.exit(1 if refused or "parked" in ended else 0)


def _token_faults(variable: str | None) -> list[str]:
    return [f"--token-from: {variable} is not set"] if variable is not None and not os.environ.get(variable) else []


def _file_faults(files: Sequence[Path]) -> list[str]:
    """Every file that cannot be read: then none is sent."""
    faults: list[str] = []
    for file in files:
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            faults.append(f"{file} cannot be read: {error.strerror}")
    return faults


async def _submit(target: ApiPlace, source: str, files: Sequence[Path], token: str | None) -> list[_Submitted]:
    """A few at a time, in the order they were given. Raises UserError when the platform or the source is not there."""
    turns, done = asyncio.Semaphore(_AT_ONCE), 0
    async with open_api(target, timeout=_PATIENCE) as api:
        await api.get(path_of("source", source))
        if token is not None:
            api.client.headers["Authorization"] = f"Bearer {token}"
        with progress() as advance:

            async def one(file: Path) -> _Submitted:
                nonlocal done
                async with turns:
                    submitted = await _submit_one(api, source, file)
                done += 1
                advance("submitting", done, len(files))
                return submitted

            return await asyncio.gather(*map(one, files))


async def _submit_one(api: Api, source: str, file: Path) -> _Submitted:
    try:
        content = await asyncio.to_thread(file.read_bytes)
    except OSError as error:
        return _Submitted(str(file), refused=f"cannot be read: {error.strerror}")
    headers = {
        "Content-Type": mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='', errors='replace')}",
    }
    try:
        answer = await _sent(api, f"{API}/intake/{quote(source, safe='')}", content, headers)
    except UserError as error:
        return _Submitted(str(file), refused=error.format_message())
    if answer.status_code >= 400:
        return _Submitted(str(file), refused=problem_of(api.url, answer).format_message())
    [record] = _records_in(answer)
    return _Submitted(str(file), record["record_id"], bool(record.get("duplicate")))


async def _sent(api: Api, path: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """What passes is waited for: the same message sent again is recorded once. Raises UserError."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            answer = await api.client.post(path, content=content, headers=headers)
        except httpx.HTTPError as error:
            if attempt == _ATTEMPTS:
                raise unreachable(api.url, error) from error
        else:
            if answer.status_code not in _PASSING or attempt == _ATTEMPTS:
                return answer
        await asyncio.sleep(_PAUSE * attempt)
    raise AssertionError


def _records_in(answer: httpx.Response) -> list[Mapping[str, Any]]:
    try:
        found: list[Mapping[str, Any]] = answer.json()["records"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("the answer names no records: is that Sagacity?") from error
    return found
