"""Skills work together: a swarm reviews code of this very project, and the skill that it asks first fails; then quality
assurance sends the work of a hybrid back once, for the first round really falls short.

The definitions are in `definitions/`. Nothing leaves the machine: the runs may not use the network, and read one
directory, a copy of this project's packages.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rich.markup import escape

from domain import workflow
from sagacity.demo.story import Claim
from sagacity.demo.team import Team, Told, followed

PACKAGES: Final = (
    *("domain", "eventstore", "handlers", "models", "projections"),
    *("records", "sagas", "skills", "api", "sagacity"),
)
_KINDS: Final = (".py", ".mjs", ".json")
"""Of the files that `search_for_secrets` plans."""


async def swarm_reviews(team: Team) -> list[Claim]:
    files = _sources(team.code, ".py")
    team.tell(
        f"A swarm of skills reviews this project, {len(files)} files: {', '.join(PACKAGES)}\n"
        "Each part is given to a language model first; this run may use no network, so that rules take over."
    )
    id = await team.start("review_by_many", team.code)
    asked = await followed(team, id)
    if not asked.questions:
        return [Claim("the swarm has come to its question", False)]
    waiting = (await team.get(id, min_position=asked.position)).json()
    await team.platform.command("workflow.approve", id, {"step": "agree", "note": "all right"})
    told = await followed(team, id, asked)
    found = (await team.get(f"{id}/output", min_position=told.position)).json()
    for each in found["findings"][:3]:
        team.show(_in_words(each), False)
    chart = (await team.get(f"{id}/graph", format="mermaid", min_position=told.position)).text
    team.tell("The run as a graph, for Mermaid:\n" + _without_colours(chart))
    return [
        Claim(f"every one of the {len(files)} files was reviewed", found["reviewed"] == files),
        *_fallbacks(told, chart),
        Claim(
            f"what all of them found is one list, worst first: {_counts(found)}",
            _is_ranked(found["findings"], found["counts"]),
        ),
        Claim(
            "a person was asked, and the run went on with the answer",
            waiting["status"] == "waiting" and bool(told.all(workflow.Approved)) and told.completed,
        ),
    ]


def _fallbacks(told: Told, chart: str) -> list[Claim]:
    """Of every part of the work: who failed, and who did it instead."""
    [parts] = [each.count for each in told.all(workflow.StepStarted) if each.step == "review__work"]
    asked = {each.call: each for each in told.all(workflow.Requested) if each.step == "review__work"}
    failures = {each.call: each.reason for each in told.all(workflow.Failed) if each.call in asked}
    succeeded = {each.call for each in told.all(workflow.Succeeded)}
    model = {call for call, each in asked.items() if each.skill == "code_review_llm"}
    rules = {call: each.instead_of for call, each in asked.items() if each.skill == "code_review"}
    reasons = ", ".join(sorted(set(failures.values())))
    return [
        Claim(
            f"code_review_llm failed for {len(failures)} of {parts} parts ({reasons}), and code_review did them",
            failures.keys() == model == set(rules.values()) and rules.keys() <= succeeded and len(model) == parts > 1,
        ),
        Claim(
            f"the graph says so: {len(asked)} calls, {len(failures)} failed",
            f"succeeded · {len(asked)} calls, {len(failures)} failed" in chart,
        ),
    ]


def _in_words(finding: Mapping[str, Any]) -> str:
    place = f"{finding['file']}:{finding['line']}"
    return escape(f"{finding['severity']}: {place}: {finding['message']} ({finding['tool']}, {finding['rule']})")


def _counts(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{number} {severity}" for severity, number in found["counts"].items())


def _is_ranked(findings: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> bool:
    order = ("high", "medium", "low")
    found = [each["severity"] for each in findings]
    return bool(found) and found == sorted(found, key=order.index) and Counter(found) == Counter(counts)


async def quality_asks_again(team: Team) -> list[Claim]:
    code = team.code / "skills"
    team.tell(
        "A hybrid searches skills/ for secrets: plan, supervisor, workers, synthesis, quality assurance\n"
        "The supervisor begins with Python, and adds what quality assurance misses."
    )
    told = await followed(team, id := await team.start("search_for_secrets", code))
    if not told.completed:
        return [Claim("the hybrid is completed", False)]
    found = (await team.get(f"{id}/output", min_position=told.position)).json()
    rounds, asked = told.all(workflow.Revised), Counter(each.step for each in told.all(workflow.Requested))
    said = [remark for each in rounds for remark in each.remarks.inline["remarks"]]
    sent_back = told.events.index(rounds[0]) if rounds else len(told.events)
    first, second = _files(told.events[:sent_back]), _files(told.events[sent_back:])
    everything = _sources(code, *_KINDS)
    once = sorted(first + second) == everything
    return [
        Claim(
            f"quality assurance sends the work back once: {'; '.join(said)}",
            [each.round for each in rounds] == [2] and not rounds[0].remarks.inline["accepted"],
        ),
        Claim(
            f"round 2 looks at what was missing, and at nothing else: {', '.join(second)}",
            bool(second) and once and all(file in said[0] for file in second),
        ),
        Claim(
            f"then it is accepted: {len(everything)} files searched once each, {len(found['findings'])} secrets",
            once and found["reviewed"] == everything and (asked["search__plan"], asked["search"]) == (1, 2),
        ),
    ]


def _files(events: Sequence[workflow.Event]) -> list[str]:
    """What was to be searched, as often as it was."""
    work = [each for each in events if isinstance(each, workflow.Requested) and each.step == "search__work"]
    return [file for each in work for file in each.input.inline["files"]]


def _sources(directory: Path, *kinds: str) -> list[str]:
    found = (path for path in directory.rglob("*") if path.is_file() and path.suffix in kinds)
    return sorted(path.relative_to(directory).as_posix() for path in found)


def _without_colours(chart: str) -> str:
    return "\n".join(line for line in chart.splitlines() if "classDef" not in line)


@cache
def own_code() -> Path:
    """A copy of the packages of this project, and of nothing that they are installed beside. It is gone with this
    process."""
    directory = tempfile.TemporaryDirectory(prefix="sagacity-code-")
    atexit.register(directory.cleanup)
    for package in PACKAGES:
        [origin] = import_module(package).__path__
        shutil.copytree(origin, Path(directory.name, package), ignore=shutil.ignore_patterns("__pycache__"))
    return Path(directory.name).resolve()


CHAPTERS: Final = (swarm_reviews, quality_asks_again)
"""In this order, each with what must come out."""
