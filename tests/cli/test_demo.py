"""The demo takes its settings from the environment as `up` does, and shows the verdicts on a canary as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from rich.text import Text

from domain.analysis import Analysis, Evidence, judge, observe
from domain.canary import Decision, Judged
from domain.measurement import Counts
from domain.strategy import Canary, CanaryStep
from domain.workflow_definition import Definition
from domain.workflow_faults import faults
from sagacity.cli import UserError
from sagacity.cli.demo import audit_trail, demo_settings
from sagacity.demo.lines import odds, verdict_line
from sagacity.demo.team import DEFINITIONS
from sagacity.demo.verdicts import Verdicts, slower
from sagacity.demo.workflows import own_code
from sagacity.embedded.directory import DataDirectory
from sagacity.platform import RunningPlatform
from tests.cli.conftest import Sagacity

AGENTS = Path(__file__).parents[2] / "docs" / "agents.md"


def test_without_any_setting_it_takes_a_directory_of_its_own_and_a_free_port(
    sagacity: Sagacity, tmp_path: Path
) -> None:
    settings = demo_settings(None, None, tmp_path / "own")
    assert (settings.data, settings.port) == (tmp_path / "own", 0)
    assert settings.skill_paths == (own_code(),), "which the swarm reviews"


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


CANARY = Canary(steps=(CanaryStep(10), CanaryStep(25)), analysis=Analysis(latency_quantiles=(0.5,)))


def verdict(decision: Decision, *intervals: tuple[Counts, Counts]) -> Judged:
    """On these counts of canary and baseline."""
    evidence, policy = Evidence(), CANARY.analysis or Analysis()
    for canary, baseline in intervals:
        evidence = observe(evidence, policy, 0.5, canary, baseline)
    return Judged(len(intervals), "canary-2", decision, "", judge(evidence, policy))


FAST, SLOW = Counts(100, latency={20: 60, 30: 40}), Counts(100, latency={30: 100})
WRONG = Counts(100, 20, 20, latency={20: 60, 30: 40})


def test_a_verdict_is_shown_with_its_counts_and_both_meters() -> None:
    line = Text.from_markup(verdict_line(verdict("roll_back", (WRONG, FAST)), CANARY)).plain
    assert line.startswith("look  1, step 2, 25 %:  100 requests, 20 wrong  harm ██████████ ")
    assert "no harm ░░░░░░░░░░ 1:" in line
    assert line.endswith("→ roll back")


def test_an_open_verdict_is_shown_with_the_requests_that_are_needed() -> None:
    open_ = verdict("continue", (FAST, FAST))
    assert open_.judgement is not None
    line = Text.from_markup(verdict_line(open_, CANARY)).plain
    assert line.endswith(f"about {open_.judgement.needs} requests more will tell")


@pytest.mark.parametrize(("log_e", "shown"), [(0.0, "1:1"), (3.0, "20:1"), (-1.6, "1:5"), (23.03, "10^10:1")])
def test_evidence_is_shown_as_odds(log_e: float, shown: str) -> None:
    assert odds(log_e) == shown


def test_verdicts_are_recomputed_from_their_counts() -> None:
    told = verdict("roll_back", (FAST, FAST), (SLOW, FAST))
    judgement = told.judgement
    assert judgement is not None
    verdicts = Verdicts(CANARY.analysis, (told,))
    assert verdicts.recomputed()
    assert slower(verdicts.worst) == "100 % of its answers took over 0.6 ms, 40 % of the baseline's"
    other = msgspec.structs.replace(judgement, log_e_worse=judgement.log_e_worse + 1e-6)
    assert not Verdicts(CANARY.analysis, (msgspec.structs.replace(told, judgement=other),)).recomputed()
    assert not Verdicts(Analysis(budget=21, latency_quantiles=(0.5,)), (told,)).recomputed()
    assert not Verdicts(CANARY.analysis, ()).recomputed()


@pytest.mark.parametrize("file", sorted(DEFINITIONS.iterdir()), ids=lambda file: file.stem)
def test_the_definitions_of_the_demo_are_without_fault_and_stand_in_the_docs_as_they_are(file: Path) -> None:
    definition = msgspec.convert(yaml.safe_load(file.read_text()), Definition)
    assert not faults(definition)
    assert f"cat > {file.name} <<'YAML'\n{file.read_text()}YAML\n" in AGENTS.read_text()


@pytest.mark.matrix
@pytest.mark.timeout(500)
def test_the_story_comes_out_as_told(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "sagacity", "demo", "--exit", "--data", str(tmp_path / "d"), "--port", "0"]
    told = subprocess.run(program, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "55 of 55 claims held" in told.stdout
