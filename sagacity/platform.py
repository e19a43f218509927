"""The whole platform as processes: servers, process host and roles, under one supervisor."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from eventstore.connection import connect_to
from eventstore.errors import LogMissing
from eventstore.streams import check_log
from sagacity.embedded.directory import CannotStart, DataDirectory, address_fault, free_port
from sagacity.embedded.nats_server import check_version_text, nats_service
from sagacity.embedded.postgres import postgres_service
from sagacity.embedded.probing import Probe
from sagacity.embedded.service import Service
from sagacity.embedded.supervisor import Supervisor, Tell
from sagacity.initialising import initialise
from sagacity.one_host import only_host
from sagacity.passwords import without_passwords
from sagacity.preflight import check_settings, needs_own_database
from sagacity.role_settings import ProviderAccess, RoleSettings
from sagacity.settings import Settings
from sagas.targets.process import ProcessTarget
from sagas.targets.splitter.haproxy_binary import BINARY
from skills.streams import create_skill_streams


class NotInitialised(Exception):
    """The log is not there although it should be; nothing is created silently."""


@dataclass(frozen=True)
class RunningPlatform:
    """Where it is reached; `url` is empty without the api role, `database_url` where no role here needs one."""

    url: str
    nats_url: str
    database_url: str
    directory: DataDirectory

    def pid(self, service: str) -> int:
        """The process of one of its services (`roles`, `nats-server`, `postgresql`, `process-host`)."""
        return int((self.directory.run / f"{service}.pid").read_text().split()[0])


@asynccontextmanager
async def running_platform(settings: Settings, tell: Tell) -> AsyncGenerator[RunningPlatform]:
    """Start everything; leaving stops it, in reverse.

    Raises CannotStart, StartFailed, NotInitialised, LogUnavailable.
    """
    directory = DataDirectory(settings.data.expanduser().absolute())
    with directory.taken():
        check_settings(settings)
        async with AsyncExitStack() as last, Supervisor(directory, tell) as supervisor, AsyncExitStack() as first:
            # Given back when our sagas have stopped; on a server of our own, while that can still be told.
            claims = last if settings.nats_url else first
            try:
                yield await _start(settings, directory, supervisor, claims)
            finally:
                for name in ("url", "nats_url", "database_url"):
                    (directory.run / name).unlink(missing_ok=True)


async def _start(
    settings: Settings, directory: DataDirectory, supervisor: Supervisor, claims: AsyncExitStack
) -> RunningPlatform:
    nats_url = settings.nats_url or await _own_nats(settings, directory, supervisor)
    await _ensure_log(settings, directory, nats_url)
    if "saga" in settings.role:
        await claims.enter_async_context(only_host(nats_url, directory.path, ask=settings.nats_url is not None))
        await supervisor.start(_process_host(directory, settings))
    own = needs_own_database(settings)
    database_url = await _own_postgres(directory, supervisor) if own else settings.database_url or ""
    port = settings.port or free_port()
    taken_since = address_fault(settings.host, port) if "api" in settings.role else None
    if taken_since:
        raise CannotStart(taken_since)
    roles = RoleSettings(
        roles=tuple(sorted(settings.role)),
        nats_url=nats_url,
        database_url=database_url,
        process_host=str(directory.process_host),
        host=settings.host,
        port=port,
        log_level=settings.log_level,
        retry_attempts=settings.retry_attempts,
        retry_first=settings.retry_first,
        retry_longest=settings.retry_longest,
        prediction_days=settings.prediction_days,
        prediction_bytes=settings.prediction_bytes,
        observed_days=settings.observed_days,
        provider=_provider(settings),
        ready_file=str(directory.run / "roles.ready"),
        log_home="" if settings.nats_url else str(directory.path),
        data=str(directory.path),
        skill_paths=tuple(str(path.expanduser().absolute()) for path in settings.skill_paths),
    )
    url = f"http://{'127.0.0.1' if settings.host in ('0.0.0.0', '::') else settings.host}:{port}"
    running = RunningPlatform(url if "api" in settings.role else "", nats_url, database_url, directory)
    await supervisor.start(_roles(roles, running))
    return running


def _provider(settings: Settings) -> ProviderAccess | None:
    if settings.provider_url is None or settings.provider_model is None:
        return None
    return ProviderAccess(
        settings.provider_url,
        settings.provider_model,
        settings.provider_key_variable,
        settings.provider_input_price,
        settings.provider_output_price,
        settings.provider_currency,
        settings.provider_per_day,
        settings.provider_per_record,
    )


async def _own_nats(settings: Settings, directory: DataDirectory, supervisor: Supervisor) -> str:
    service, url = nats_service(directory, directory.remembered_port("nats-server"), settings.nats_server)
    await supervisor.start(service)
    return url


async def _own_postgres(directory: DataDirectory, supervisor: Supervisor) -> str:
    service, url = postgres_service(directory, directory.remembered_port("postgresql"))
    await supervisor.start(service)
    return url


async def _ensure_log(settings: Settings, directory: DataDirectory, url: str) -> None:
    """Our own empty server gets its streams once; a log that should be there and is not is never replaced, what is
    between platform and workers is."""
    connection = await connect_to(url, waits=False, allow_reconnect=False, connect_timeout=3)
    try:
        server = connection.connected_server_version
        check_version_text(f"{server.major}.{server.minor}.{server.patch}", without_passwords(url))
        initialised = directory.path / "initialised"
        if settings.nats_url is None and not initialised.exists():
            await initialise(connection, replicas=1)
            initialised.touch()
        try:
            await check_log(connection)
        except LogMissing as error:
            raise NotInitialised(str(error)) from error
        if settings.nats_url is None:
            # Directories of before 2026-11-22 had one of them in memory: it was gone with its server.
            await create_skill_streams(connection)
    finally:
        await connection.close()


def _process_host(directory: DataDirectory, settings: Settings) -> Service:
    target = ProcessTarget(directory.process_host)

    async def ready() -> bool:
        with contextlib.suppress(Exception):
            await target.inventory()
            return True
        return False

    program = (sys.executable, "-m", "sagas.targets.process.host")
    command = (*program, "--data", str(directory.process_host), "--splitter", settings.splitter)
    environment = {BINARY: str(settings.haproxy)} if settings.haproxy is not None else {}
    return Service("process-host", command, ready, environment, grace=30.0, probe=Probe(ready))


def _roles(roles: RoleSettings, running: RunningPlatform) -> Service:
    ready_file, settings_file = Path(roles.ready_file), running.directory.run / "roles.json"

    def prepare() -> None:
        ready_file.unlink(missing_ok=True)
        _write_secret(settings_file, msgspec.json.encode(roles))
        # Before anybody is told that it is well: who asks for it here is not to be led to another platform.
        _publish(running)

    async def ready() -> bool:
        return ready_file.exists() and ("api" not in roles.roles or await _answers(roles, "startup", timeout=2.0))

    async def alive() -> bool:
        return await _answers(roles, "live", timeout=5.0)

    command = (sys.executable, "-m", "sagacity", "role", str(settings_file))
    # Without the api role nobody can ask them anything.
    return Service("roles", command, ready, prepare=prepare, probe=Probe(alive) if "api" in roles.roles else None)


async def _answers(roles: RoleSettings, question: str, timeout: float) -> bool:
    """Within `timeout` seconds. Asked often, and without TLS: the world's certificates need not be loaded for it."""
    with contextlib.suppress(httpx.HTTPError):
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=timeout) as client:
            answer = await client.get(f"http://{roles.local_host}:{roles.port}/health/{question}")
            return answer.status_code == 200
    return False


def _publish(running: RunningPlatform) -> None:
    """For the command line and other tools on this machine. The URLs of the servers hold passwords."""
    for name, value in (("url", running.url), ("nats_url", running.nats_url), ("database_url", running.database_url)):
        _write_secret(running.directory.run / name, value.encode())


def _write_secret(file: Path, content: bytes) -> None:
    """For this user's eyes only; on a command line everybody could read it. Whole, or not yet there."""
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(file)
