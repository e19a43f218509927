"""`sagacity skills|workflows` on a platform whose runs nobody works on: what happens to them is told to its log."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from msgspec import to_builtins
from rich.text import Text

from domain import workflow
from domain.workflow import Started, Value
from domain.workflow_definition import Approval, Step
from sagacity.cli.workflow_following import end_of
from sagacity.cli.workflow_lines import run_line
from sagacity.wiring import open_core
from skills.protocol import Heartbeat, heartbeat_subject
from tests.api.calls import fresh
from tests.cli.conftest import Platform, Ran, Sagacity
from tests.projections.workflow_stories import BEGAN, agreed, failed, planned, requested, started, succeeded, tell

NOBODY = ("--url", "http://127.0.0.1:9")  # the discard port: nothing listens there
DEFINITION = """
description: Plans, asks and ships
steps:
  plan: {skill: planner}
  agree: {needs: [plan], approval: {question: "All right?"}}
"""


class Run:
    """The command line, pointed at the platform, and its log."""

    def __init__(self, sagacity: Sagacity, platform: Platform) -> None:
        self._sagacity = sagacity
        self._platform = platform

    def __call__(self, *arguments: object) -> Ran:
        return self._sagacity(*arguments, "--url", self._platform.url)

    def json(self, *arguments: object) -> Any:
        ran = self(*arguments, "--json")
        assert ran.status == 0, ran
        return json.loads(ran.out)

    @property
    def nats_url(self) -> str:
        return self._platform.nats_url

    def tell(self, id: str, *events: workflow.Event) -> None:
        """And the read models know it."""
        position = asyncio.run(self._told(id, *events))
        known = httpx.get(f"{self._platform.url}/api/v1/workflows", params={"min_position": position, "wait": 20})
        assert known.status_code == 200, known.text

    async def _told(self, id: str, *events: workflow.Event) -> int:
        async with open_core(self._platform.nats_url) as core:
            return await tell(core, "workflow", id, *events)


@pytest.fixture
def run(sagacity: Sagacity, platform: Platform) -> Run:
    return Run(sagacity, platform)


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def beats(run: Run, beat: Heartbeat) -> None:
    async def tell() -> None:
        async with open_core(run.nats_url) as core:
            await core.connection.request(heartbeat_subject(beat), json.dumps(to_builtins(beat)).encode())

    asyncio.run(tell())


# --- skills --------------------------------------------------------------------------------------------------------


def test_skills_are_registered_routed_shown_and_retired(run: Run) -> None:
    name = fresh("skill")
    first = write(f"{name}.yaml", 'version: "1"\ndescription: Reads code\ncapabilities: [code]\n')
    assert run("skills", "register", first).text.startswith(f"accepted: skill/{name}, version 2")
    second = write("second.json", '{"version": "2", "capabilities": ["code", "latin"]}')
    assert run("skills", "register", second, "--id", name).status == 0
    assert run("skills", "route", name, "1=3", "2=1").status == 0
    assert name in [row["id"] for row in run.json("skills", "list", "--capability", "latin")]
    assert run.json("skills", "list", "--capability", "latin", "--text", "nonsense") == []
    shown = run("skills", "show", name).text
    assert shown.startswith(f"{name}: offered, 0 workers, 0 calls, never asked\nReads code\n")
    assert "1\t75.0 %\toffered\t60 s\t\n2\t25.0 %\toffered" in shown
    assert run("skills", "retire", name, "2", "--reason", "too slow").status == 0
    assert "2\t0.0 %\tretired" in run("skills", "show", name).text
    assert run.json("skills", "workers", name)["items"] == []
    beats(run, Heartbeat(name, "1", "w1", BEGAN, 1, 2, 0))
    assert [row["skill"] for row in run.json("skills", "workers")] == [name]
    assert run("skills", "workers").text.splitlines()[1].split("\t")[:4] == [name, "1", "w1", "True"]
    refused = run("skills", "route", name, "2=1")
    assert (refused.status, refused.text.split(":")[1]) == (1, " version_retired")


def test_figures_are_told_in_sum_and_by_day(run: Run) -> None:
    name, id = fresh("skill"), fresh("r")
    run("skills", "register", write("s.json", '{"version": "1"}'), "--id", name)
    calls = requested(id, 1, "plan", name), requested(id, 2, "plan", name)
    run.tell(id, started(), *calls, succeeded(id, 1, seconds=2.0, cost=0.5), failed(id, 2))
    header, total, day = run("skills", "figures", name).text.splitlines()
    assert header.split("\t")[:6] == ["day", "version", "definition", "step", "calls", "succeeded"]
    assert total.split("\t") == ["all", "", "", "", "2", "1", "1", "0", "2", "2", "0.5"]
    assert day.split("\t")[1:6] == ["1", "release", "plan", "2", "1"]
    assert run.json("skills", "figures", name, "--step", "ship")["total"]["calls"] == 0


def test_what_a_published_definition_names_and_is_not_there_yet_is_told(run: Run) -> None:
    here, gone, name = fresh("skill"), fresh("skill"), fresh("wf")
    for each in (here, gone):
        assert run("skills", "register", write("s.json", '{"version": "1"}'), "--id", each).status == 0
    assert run("skills", "retire", gone, "1").status == 0
    steps = {"a": {"skill": here}, "b": {"skill": gone}, "c": {"skill": "typo", "compensate": {"skill": "typo-2"}}}
    steps |= {"d": {"workflow": "wf-nowhere"}, "e": {"workflow": name, "when": "`false`"}}
    published = run("workflows", "publish", write(f"{name}.json", json.dumps({"steps": steps})), "--json")
    assert (published.status, json.loads(published.out)["outcome"]) == (0, "accepted")
    assert published.errors.splitlines() == [
        f"retired: the skill {gone}",
        "not registered yet: the skill typo",
        "not registered yet: the skill typo-2",
        "not registered yet: the workflow wf-nowhere",
    ]
    assert (
        run("workflows", "publish", write(f"{name}-2.json", json.dumps({"steps": {"a": {"skill": here}}}))).errors == ""
    )


# --- definitions and runs ------------------------------------------------------------------------------------------


def test_a_definition_is_published_and_started(run: Run) -> None:
    name = fresh("wf")
    published = run("workflows", "publish", write(f"{name}.yaml", DEFINITION))
    assert published.text.startswith(f"accepted: workflow_definition/{name}, version 1")
    assert name in [row["id"] for row in run.json("workflows", "definitions", "--skill", "planner")]
    table = run("workflows", "graph", name, "--definition").text.splitlines()
    assert table[1:] == ["plan\tskill\tdefined\tplanner\t", "agree\tapproval\tdefined\t\tplan"]
    id = fresh("r")
    begun = run("workflows", "start", name, "--input", '{"of": "shop"}', "--id", id)
    assert begun.text.startswith(f"accepted: workflow/{id}, version 1")
    assert run.json("workflows", "show", id)["input"] == {"inline": {"of": "shop"}}
    write("input.json", "[1]")
    made = run.json("workflows", "start", name, "--input", "@input.json")["stream"]["id"]
    listed = run.json("workflows", "list", "--definition", name, "--status", "running")
    assert {row["id"] for row in listed} == {id, made}
    refused = run("workflows", "start", fresh("nobody"))
    assert (refused.status, refused.text.split(":")[1]) == (1, " workflow_definition_not_found")


def test_a_question_is_answered_from_the_command_line(run: Run) -> None:
    id = fresh("r")
    run.tell(id, *agreed(id)[:-2])
    shown = run("workflows", "show", id).text
    assert shown.startswith(f"{id}: release 1, waiting, cost 1.25\nwaits for an answer to agree: All right?\n")
    assert run("workflows", "approve", id, "--note", "fine").status == 0
    assert run.json("workflows", "show", id)["steps"]["agree"]["reason"] == "fine"
    again = run("workflows", "approve", id)
    assert (again.status, again.errors) == (2, f"sagacity: {id} asks nothing at the moment\n")
    assert run("workflows", "reject", id, "agree").status == 1, "it is answered already"
    assert run("workflows", "cancel", id, "--reason", "a mistake").status == 0
    assert run.json("workflows", "show", id)["cancelling"] is True


def test_a_run_is_shown_step_by_step_in_the_order_in_which_they_begin(run: Run) -> None:
    """Whatever the lengths of their names; and what goes on says what it waits for."""
    id, of = fresh("r"), fresh("skill")
    steps = {
        "prepare": Step(skill=of),
        "b": Step(skill="planner", needs=("prepare",)),
        "agree": Step(approval=Approval("Go?"), needs=("b",)),
        "go": Step(skill="shipper", needs=("agree",)),
    }
    run.tell(id, started(steps=steps), requested(id, 1, "prepare", of))
    assert f"requested: {id}-1, {of} (no worker offers {of} 1)\n" in run("workflows", "show", id).text
    run.tell(id, succeeded(id, 1), requested(id, 2, "b", "planner"), succeeded(id, 2))
    run.tell(id, workflow.StepStarted("agree", question="Go?"))
    assert _statuses(run, id) == ["prepare succeeded", "b succeeded", "agree asked", "go waiting"]
    run.tell(id, workflow.Cancelled("enough"))
    assert _statuses(run, id) == ["prepare succeeded", "b succeeded", "agree cancelled", "go not begun"]


def test_a_run_of_one_skill_is_called_after_it(run: Run) -> None:
    id, of = fresh("r"), fresh("skill")
    run.tell(id, Started("", 0, {"call": Step(skill=of)}, Value()), workflow.RunFailed("no"))
    assert run("workflows", "show", id).text.startswith(f"{id}: {of}, failed (no)")
    assert f"\n{id}\t{of}\tfailed\t" in run("workflows", "list").text
    assert f"started: {of}, 1 steps" in run("workflows", "follow", id).text


def _statuses(run: Run, id: str) -> list[str]:
    """As `show` and `graph` have them alike."""
    tables = [run("workflows", command, id).text.splitlines() for command in ("show", "graph")]
    shown, graph = ([line.split("\t") for line in table if "\t" in line][1:] for table in tables)
    assert [line[:3] for line in shown] == [line[:3] for line in graph]
    return [f"{line[0]} {line[2]}" for line in shown]


def test_a_graph_is_printed_as_a_flowchart(run: Run) -> None:
    id = fresh("r")
    run.tell(id, *planned(id))
    chart = run("workflows", "graph", id, "--mermaid").text
    assert chart.startswith("flowchart TD\n")
    assert 'n0["plan<br/>planner<br/>succeeded · 0.5 s"]:::succeeded' in chart
    assert run.json("workflows", "graph", id)["nodes"][1]["items"] == 2


def test_dead_letters_are_listed_and_retried(run: Run) -> None:
    id, of = fresh("r"), fresh("skill")
    asked = requested(id, 1, "plan", of), requested(id, 2, "ship", of)
    broken = failed(id, 1, "no\nanswer"), failed(id, 2, kind="timeout")
    run.tell(id, started(), *asked, *broken, workflow.Parked(f"{id}-1", "no"), workflow.Parked(f"{id}-2", "no"))
    assert [row["id"] for row in run.json("workflows", "dead-letters", "--skill", of)] == [f"{id}-2", f"{id}-1"]
    late = run("workflows", "dead-letters", "--skill", of, "--failure", "timeout").text.splitlines()
    assert [line.split("\t")[0] for line in late[1:]] == [f"{id}-2"]
    assert late[0].split("\t")[5] == "failure"
    assert run("workflows", "retry", id, "--call", f"{id}-1").status == 0
    assert run("workflows", "retry", id, "--call", f"{id}-1").status == 1, "it is not parked any more"
    position = run.json("workflows", "show", id)["position"]
    assert position > 0
    other = fresh("r")
    broken = [each for number in (1, 2) for each in (requested(other, number, "plan", of), failed(other, number))]
    run.tell(other, started(), *broken, *(workflow.Parked(f"{other}-{number}", "no") for number in (1, 2)))
    several = run("workflows", "give-up", other)
    assert (several.status, f"{other}-1, {other}-2" in several.errors) == (2, True)
    assert run("workflows", "give-up", other, "--call", f"{other}-1").status == 0
    assert run("workflows", "give-up", other, "--reason", "nobody needs it").status == 0
    assert run("workflows", "give-up", other).errors == f"sagacity: no call of {other} is parked\n"
    none = run("workflows", "dead-letters", "--run", id, "--failure", "invalid", "--retry-all")
    assert (none.status, none.text.splitlines()[1:]) == (0, [])
    retried = run("workflows", "dead-letters", "--run", id, "--failure", "timeout", "--retry-all")
    assert (retried.status, retried.text.splitlines()[1:]) == (0, [f"{id}\t{id}-2\taccepted\t"])


# --- following -----------------------------------------------------------------------------------------------------


def later(work: Callable[[], None]) -> threading.Thread:
    """While the command line follows."""

    def wait_a_little() -> None:
        time.sleep(0.5)
        work()

    thread = threading.Thread(target=wait_a_little)
    thread.start()
    return thread


def test_a_run_is_followed_to_its_end(run: Run) -> None:
    id = fresh("r")
    run.tell(id, *agreed(id)[:-2])
    ends = *agreed(id)[-2:], succeeded(id, 9, seconds=1.5), workflow.Completed(Value(1), 2.0)
    telling = later(lambda: run.tell(id, *ends))
    followed = run("workflows", "follow", id)
    telling.join()
    assert followed.status == 0
    lines = [line[21:] for line in followed.text.splitlines()]
    assert lines[0] == "started: release 1, 4 steps"
    assert f"plan: planner 1 is asked ({id}-1)" in lines
    assert f"check 1: checker 1 is asked ({id}-3)" in lines
    assert "agree asks, by 2026-03-03 09:00: All right?" in lines
    assert lines[-4:] == [
        "agree is approved: looks good",
        f"ship: shipper 1 is asked ({id}-9)",
        f"{id}-9 has succeeded in 1.5 s",
        "completed, cost 2",
    ]


def test_following_goes_on_where_it_stood_when_the_platform_was_started_again(run: Run, platform: Platform) -> None:
    id = fresh("r")
    run.tell(id, started(), requested(id, 1, "plan", "planner"))

    def start_again() -> None:
        platform.stop()
        time.sleep(0.5)  # some looks find nobody
        platform.start()
        run.tell(id, failed(id, 1), workflow.RunFailed("no"))

    telling = later(start_again)
    followed = run("workflows", "follow", id)
    telling.join()
    assert (followed.status, followed.errors) == (1, "")
    assert [line[21:].split(":")[0] for line in followed.text.splitlines()] == [
        *("started", "plan", f"{id}-1, attempt 1", "failed")
    ]


def test_following_ends_where_a_person_has_to_deal_with_a_call(run: Run) -> None:
    id = fresh("r")
    parked = requested(id, 1, "ship", "shipper"), failed(id, 1), workflow.Parked(f"{id}-1", "broken")
    run.tell(id, started(), *parked)
    followed = run("workflows", "follow", id, "--json")
    assert followed.status == 1
    assert [json.loads(line)["type"] for line in followed.out.splitlines()][-1] == "workflow.parked"


def test_a_run_is_started_and_followed_at_once(run: Run) -> None:
    name, id = fresh("wf"), fresh("r")
    run("workflows", "publish", write(f"{name}.yaml", DEFINITION))
    telling = later(lambda: run.tell(id, requested(id, 1, "plan", "planner"), failed(id, 1), workflow.RunFailed("no")))
    followed = run("workflows", "start", name, "--id", id, "--follow")
    telling.join()
    assert followed.status == 1
    assert followed.text.splitlines()[-1].endswith("failed: no")
    assert run("workflows", "follow", fresh("nobody")).status == 2


def test_every_event_of_a_run_can_be_told_in_one_line() -> None:
    """Whatever markup or line breaks there are in what people and workers say."""
    odd = "[red]x[/red] [/]"
    told = [
        *agreed("r"),
        failed("r", 9, odd, retry_at=BEGAN),
        workflow.Reattempted("r-9", 2, "1", BEGAN),
        workflow.Progressed("r-9", 1, 0.5, odd),
        workflow.Parked("r-9", odd),
        workflow.Retried("r-9"),
        workflow.GivenUp("r-9", odd),
        workflow.CallCancelled("r-9", odd),
        workflow.StepSkipped("ship", odd),
        workflow.Chosen("ship", 1, {"a": 0.5}, "a", odd),
        workflow.Rejected("agree", odd, by_default=True),
        workflow.StepFailed("ship", odd),
        workflow.Revised("ship", "plan", ("plan",), 2, Value(odd)),
        workflow.CancelAsked(odd),
        workflow.CompensationStarted(odd, "failed"),
        requested("r", 10, "check", "unchecker", undo="r-2"),
        workflow.RunFailed(odd, 1),
        workflow.Cancelled(odd, 1),
        workflow.Completed(Value(odd[:0])),
        workflow.Leased("r-9", 1, "w"),
        Started("", 0, {}, Value()),
    ]
    for event in told:
        line = Text.from_markup(run_line(event)).plain
        assert (odd in line) == (odd in repr(event) and not isinstance(event, workflow.Revised)), event
        assert "\n" not in line
    assert {type(event) for event in told} == set(get_args(workflow.Event))


def test_a_run_that_waits_for_the_clock_is_not_at_its_end() -> None:
    state = workflow.workflow.fold([*agreed("r")[:-2]])
    assert end_of(state) is None
    parked = requested("r", 8, "ship", "shipper"), failed("r", 8), workflow.Parked("r-8", "x")
    assert end_of(workflow.workflow.fold(parked, state)) is None, "a person may still answer"
    assert end_of(workflow.workflow.fold([workflow.Approved("agree"), *parked], state)) == "paused"


# --- called wrongly ------------------------------------------------------------------------------------------------

BAD_CALLS = {
    "no JSON": (["workflows", "start", "w", "--input", "{"], "--input: is no JSON"),
    "no file": (["workflows", "publish", "none.yaml"], "sagacity: none.yaml cannot be read: No such file"),
    "no JSON file": (["workflows", "publish", "none.json"], "sagacity: none.json cannot be read: No such file"),
    "keys that YAML takes for something else, or twice": (
        ["workflows", "publish", "keys.yaml"],
        'keys.yaml: line 2: YAML reads the key on as true or false; write "on"; '
        "line 4: the key ship is there already, in line 3; "
        'line 5: YAML reads the key no as true or false; write "no"\n',
    ),
    "no YAML": (["workflows", "publish", "broken.yaml"], "broken.yaml: is no YAML"),
    "no platform there": (["workflows", "list", "--data", "none"], "no platform runs in none"),
    "nor where it was called otherwise": (
        ["workflows", "start", "w", "--directory", "none"],
        "no platform runs in none",
    ),
    "no version": (["workflows", "start", "w", "--version", "0"], "0 is not in the range"),
    "every fault of shares": (
        ["skills", "route", "s", "1", "2=x", "3=1", "3=2"],
        "'1' is no VERSION=WEIGHT such as 2=1; '2=x' is no VERSION=WEIGHT such as 2=1; 3 is given twice",
    ),
    "no shares": (["skills", "route", "s"], "Missing argument"),
    "no such status": (["skills", "list", "--status", "gone"], "'gone' is not one of"),
    "nobody there": (["workflows", "list"], "nothing answers at http://127.0.0.1:9"),
    "nobody to retry": (["workflows", "dead-letters", "--retry-all"], "nothing answers at http://127.0.0.1:9"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_one_line(sagacity: Sagacity, arguments: list[str], says: str) -> None:
    write("broken.yaml", "steps: {a: {")
    write("keys.yaml", "steps:\n  on: {}\n  ship: {skill: a}\n  ship: {skill: b}\n  plan: {input: {no: 1}}\n")
    called = sagacity(*arguments, *(() if "none" in arguments else NOBODY))
    assert (called.status, called.out) == (2, b"")
    assert called.errors.startswith("sagacity: ")
    assert called.errors.count("\n") == 1
    assert says in called.errors


def test_every_fault_of_a_definition_is_named(run: Run) -> None:
    called = run("workflows", "publish", write("w.json", '{"steps": {"A b": {}}, "nonsense": 1, "timeout": -1}'))
    assert (called.status, called.errors.count("\n")) == (2, 1)
    for what in ("A b", "nonsense", "/data/definition/timeout"):
        assert what in called.errors


COMMANDS = (
    *(f"skills {name}" for name in ("list", "show", "register", "retire", "route", "workers", "figures")),
    *(f"workflows {name}" for name in ("definitions", "publish", "start", "follow", "list", "show", "graph")),
    *(f"workflows {name}" for name in ("approve", "reject", "cancel", "retry", "give-up", "dead-letters")),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(sagacity: Sagacity, command: str) -> None:
    shown = sagacity(*command.split(), "--help")
    assert shown.status == 0
    assert "Example" in shown.text
    assert f"sagacity {command}" in shown.text
