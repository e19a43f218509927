"""The demo takes its settings from the environment as `up` does; only directory and port are its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagacity.cli import UserError
from sagacity.cli.demo import audit_trail, demo_settings
from sagacity.embedded.directory import DataDirectory
from sagacity.platform import RunningPlatform
from tests.cli.conftest import Sagacity


def test_without_any_setting_it_takes_a_directory_of_its_own_and_a_free_port(
    sagacity: Sagacity, tmp_path: Path
) -> None:
    settings = demo_settings(None, None, tmp_path / "own")
    assert (settings.data, settings.port) == (tmp_path / "own", 0)


def test_the_environment_holds_and_flags_before_it(
    sagacity: Sagacity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGACITY_DATA", str(tmp_path / "there"))
    monkeypatch.setenv("SAGACITY_PORT", "8001")
    monkeypatch.setenv("SAGACITY_LOG_LEVEL", "DEBUG")
    settings = demo_settings(None, None, tmp_path / "own")
    assert (settings.data, settings.port, settings.log_level) == (tmp_path / "there", 8001, "DEBUG")
    settings = demo_settings(str(tmp_path / "here"), "8002", tmp_path / "own")
    assert (settings.data, settings.port) == (tmp_path / "here", 8002)


def test_a_port_in_the_settings_file_holds(sagacity: Sagacity, tmp_path: Path) -> None:
    (tmp_path / "sagacity.toml").write_text("port = 8003")
    assert demo_settings(str(tmp_path), None, tmp_path / "own").port == 8003


def test_the_demo_needs_every_role(sagacity: Sagacity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGACITY_ROLE", "api,saga")
    with pytest.raises(UserError, match="the demo needs all of them; missing: projector, worker"):
        demo_settings(None, None, tmp_path / "own")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SAGACITY_NATS_SERVER", "/no/such/file", "/no/such/file is no nats-server that runs here"),
        ("SAGACITY_NATS_URL", "http://x", "SAGACITY_NATS_URL: must be nats://"),
        ("SAGACITY_ROLES", "api", "did you mean SAGACITY_ROLE?"),
    ],
)
def test_what_is_wrong_in_the_environment_is_one_line(
    sagacity: Sagacity, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    called = sagacity("demo", "--exit")
    assert called.status == 2
    assert says in called.errors
    assert called.errors.count("\n") == 1


REPLAY = "The audit trail, at any time: sagacity replay --correlation-id c-1 --data '/a place'"
GONE = "Its data is removed now; to keep it, with the audit trail: sagacity demo --exit --data DIR"
TRAIL = "The audit trail, while the platform runs: http://h:1/api/v1/events?correlation_id=c-1"


@pytest.mark.parametrize(
    ("kept", "stay", "said"),
    [
        (False, True, [TRAIL]),
        (True, True, [REPLAY, TRAIL]),
        (True, False, [REPLAY, TRAIL]),
        (False, False, [GONE, TRAIL]),
    ],
)
def test_the_audit_trail_is_shown_where_it_can_be_seen(kept: bool, stay: bool, said: list[str]) -> None:
    """No URL of a platform that stops in the same moment."""
    running = RunningPlatform("http://h:1", "", "", DataDirectory(Path("/a place")))
    assert audit_trail(running, "c-1", kept, stay) == said
