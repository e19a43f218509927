"""`sagacity up` as a user lives with it: it comes up, takes blows, and leaves nothing behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from nats.errors import Error as NatsError

from eventstore.connection import connect_to
from eventstore.streams import ask
from sagacity.cli import main
from tests.up import Up, running_platform

SERVICES = ("nats-server", "postgresql", "process-host", "roles")


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    with running_platform(tmp_path_factory.mktemp("up")) as up:
        yield up


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def register(url, name):
    body = {"id": f"c-{name}", "type": "organization.register", "stream": name, "data": {"name": name}}
    return httpx.post(f"{url}/api/v1/commands", json=body, timeout=20)


def eventually(holds, timeout=40):
    deadline = time.monotonic() + timeout
    while True:
        try:
            if holds():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("service", SERVICES)
def test_whatever_is_killed_comes_back_and_nothing_is_lost(up, service):
    before = f"before-{service}"
    assert register(up.url, before).status_code == 201
    victim = up.pid(service)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: register(up.url, f"after-{service}").status_code in (200, 201))
    eventually(lambda: httpx.get(f"{up.url}/health").json()["status"] == "ok")
    eventually(lambda: up.pid(service) != victim)
    for name in (before, f"after-{service}"):
        eventually(lambda name=name: httpx.get(f"{up.url}/api/v1/organizations/{name}").status_code == 200)


@pytest.mark.matrix  # the same of the API alone: tests/api/test_outage.py
def test_while_the_log_is_away_commands_get_a_503_that_says_to_try_again(up):
    os.kill(up.pid("nats-server"), signal.SIGSTOP)
    try:
        answer = register(up.url, "while-away")
        health = httpx.get(f"{up.url}/health", timeout=10)
    finally:
        os.kill(up.pid("nats-server"), signal.SIGCONT)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["type"] == "/problems/log-unavailable"
    assert (health.status_code, health.json()["dependencies"]["log"]["verdict"]) == (503, "failing")
    eventually(lambda: register(up.url, "while-away").status_code in (200, 201))
    history = httpx.get(f"{up.url}/api/v1/organizations/while-away/events").json()["items"]
    assert len(history) == 1


@pytest.fixture
def command_line(capfd):
    """The real command line, called in this process: it imports everything once for all tests."""

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, exited.value.code, *capfd.readouterr())

    return run


def says(result, text):
    assert result.returncode == 2, result
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert text in result.stderr


def test_a_second_instance_on_the_same_data_says_so_and_exits_2(up):
    arguments = ("-m", "sagacity", "up", "--data", up.home, "--port", "0")
    second = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60)
    says(second, f"another instance (process {up.process.pid}")


def test_a_port_that_is_taken_is_named(command_line, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        says(command_line("up", "--data", tmp_path / "d", "--port", port), f"port {port} of 127.0.0.1 is taken")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--host", "not-a-host.invalid"], "host not-a-host.invalid is not known here; choose another --host"),
        (["--host", "192.0.2.1"], "host 192.0.2.1 is no address of this machine; choose another --host"),
        (["--role", "api", "--nats-url", "nats://127.0.0.1:1"], "--database-url is missing: role api reads what"),
    ],
)
def test_what_would_not_work_is_said_before_anything_is_started(command_line, tmp_path, flags, text):
    says(command_line("up", "--data", tmp_path / "d", "--port", "0", *flags), text)
    assert not list((tmp_path / "d" / "logs").iterdir())


def test_servers_that_cannot_be_reached_are_named_with_the_reason_and_without_the_password(command_line, tmp_path):
    url = "nats://ann:sec@ret@127.0.0.1:1"
    result = command_line("up", "--data", tmp_path / "d", "--port", "0", "--nats-url", url)
    says(result, "no connection to NATS at nats://127.0.0.1:1: [Errno 111] Connect call failed")
    assert "ret@" not in result.stderr


def test_a_log_that_was_never_initialised_is_not_made_silently(command_line, tmp_path, nats_url):
    """An empty external server gets its log by `sagacity init`, and only by it."""
    says(command_line("up", "--data", tmp_path / "d", "--nats-url", nats_url), "there is no stream EVENTS")


@pytest.mark.parametrize(
    ("file", "flags", "text"),
    [
        ("port = ", [], "is no valid TOML"),
        ("colour = 1", ["--port", "x"], "colour in the settings file: there is no such setting"),
        ("", ["--role", "boss"], "--role: Input should be 'api'"),
        ("", ["--nats-server", "/bin/true"], "2.14 or newer is needed"),
        ("", ["--nats-server", "/no/such/file"], "is no nats-server that runs here"),
        ("", ["--data", "/dev/null/x"], "/dev/null/x/sagacity.toml: cannot be read: Not a directory"),
        ("", ["--colour", "red"], "No such option"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_status_2(command_line, tmp_path, file, flags, text):
    (tmp_path / "sagacity.toml").write_text(file)
    arguments = flags if "--data" in flags else ["--data", tmp_path, *flags]
    says(command_line("up", *arguments), text)


def test_help_answers_for_every_command(command_line):
    said = command_line("--help").stdout
    for name in ("up", "demo", "status", "events", "projections", "replay", "verify", "backup", "restore"):
        assert name in said
        assert command_line(name, "--help").returncode == 0


async def test_without_a_password_one_does_not_hear_what_sagacity_reads(up):
    heard = []

    async def hear(message):
        heard.append(message.data)

    full = (up.home / "run" / "nats_url").read_text()
    guest = await connect_to("nats://" + full.rpartition("@")[2], inbox_prefix="_INBOX")
    try:
        await guest.subscribe("_INBOX.>", cb=hear)
        await guest.flush()
        await asyncio.to_thread(register, up.url, "unheard")
        history = await asyncio.to_thread(httpx.get, f"{up.url}/api/v1/organizations/unheard/events")
        assert history.json()["items"]
        await guest.request("cmd.organization.register", b'{"data": {"name": "Heard"}}', timeout=5)
        await guest.flush()
        assert not [data for data in heard if b"unheard" in data]
    finally:
        await guest.close()


def trail(url):
    """All of it: it would break off at what is no event."""
    return httpx.get(f"{url}/api/v1/events", headers={"Accept": "application/x-ndjson"}).text


def log_position(url):
    return httpx.get(f"{url}/api/v1/projections").headers["x-position"]


async def test_without_a_password_one_may_command_and_report_but_not_write_the_log(up):
    """One message that is no event would stop every reader of the log; only Sagacity itself may write there."""
    full = (up.home / "run" / "nats_url").read_text()
    guest = await connect_to("nats://" + full.rpartition("@")[2], inbox_prefix="_INBOX")
    try:
        before = log_position(up.url)
        with pytest.raises(NatsError):
            await guest.request("evt.organization.forged.1", b"forged", timeout=1)
        with pytest.raises(NatsError):
            await guest.request("$JS.API.STREAM.DELETE.EVENTS", b"", timeout=1)
        assert log_position(up.url) == before
        # Nor have somebody else write there, as the answer to a request that is allowed.
        for number, subject in enumerate(("in.ci.forged", "cmd.organization.register"), 1):
            await guest.publish(subject, b"{}", reply=f"evt.organization.forged.{number}")
        await guest.flush()
        answer = await guest.request("cmd.organization.register", b'{"data": {"name": "Guest"}}', timeout=5)
        assert json.loads(answer.data)["status"] == 201
        received = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "build.finished"}
        answer = await guest.request("in.ci.build-finished", json.dumps(received).encode(), timeout=5)
        assert "seq" in json.loads(answer.data)
        await asyncio.to_thread(eventually, lambda: "in.ci.forged" in trail(up.url))  # parked: it is no event
        assert '"organization/forged"' not in trail(up.url)
    finally:
        await guest.close()


async def delete_stream(nats_url, name):
    connection = await connect_to(nats_url)
    try:
        answer = await ask(connection, f"STREAM.DELETE.{name}")
        assert answer["success"], answer
    finally:
        await connection.close()


def test_after_a_kill_of_everything_it_comes_up_again_with_all_it_had_and_ctrl_c_leaves_no_process(up):
    """The last test of the platform that all others here have used. Its stream of heartbeats is gone, as it was once
    kept in memory."""
    assert register(up.url, "kept").status_code == 201
    asyncio.run(delete_stream((up.home / "run" / "nats_url").read_text(), "HEARTBEATS"))
    pids = [up.process.pid, *(up.pid(service) for service in SERVICES)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    up.process.wait()
    (up.home / "run" / "url").unlink()
    again = Up(up.home).wait()
    try:
        eventually(lambda: httpx.get(f"{again.url}/api/v1/organizations/kept").status_code == 200)
        eventually(lambda: httpx.get(f"{again.url}/api/v1/skills/code_review/workers").json().get("items"))
        published, ready = ((again.home / "run" / name).stat().st_mtime_ns for name in ("url", "roles.ready"))
        assert published < ready, "who waits until it is well finds it"
        pids = [again.pid(service) for service in SERVICES]
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(60) == 0
        assert not [pid for pid in pids if runs(pid)]
    finally:
        again.stop()
