"""`sagacity workflows show|graph`: how far one run is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from api.links import path_of
from sagacity.cli.changing import get
from sagacity.cli.connecting import Api, ApiPlace, Problem, api_options, open_api, run
from sagacity.cli.output import cell, json_option, print_json, print_table


class _Shown(NamedTuple):
    """`unserved`: what nobody offers who could do it, by the ids of the calls that wait for it."""

    run: Mapping[str, Any]
    graph: Mapping[str, Any]
    unserved: Mapping[str, str]


@click.command()
@click.argument("id")
@json_option
@api_options
def show(*, target: ApiPlace, id: str, as_json: bool) -> None:
    """One run: its steps, and what it waits for.

    Example:

        sagacity workflows show review-1
    """
    if as_json:
        return print_json(run(get(target, path_of("workflow", id))))
    shown = run(_shown(target, id))
    found = shown.run
    of = f"{found['definition']} {found['definition_version']}" if found["definition"] else _skill_in(shown.graph)
    why = f" ({found['reason']})" if found["reason"] else ""
    click.echo(f"{found['id']}: {of}, {found['status']}{why}, cost {found['cost']:g}")
    for question in found["waiting_for"]:
        click.echo(f"waits for an answer to {question['step']}: {question['question']}")
    for call, each in found["under_way"].items():
        status, nobody = each.get("status", "requested"), shown.unserved.get(call, "")
        click.echo(f"{status}: {call}, {each['skill']} {nobody}{each.get('reason', '')}".rstrip())
    rows = [
        (node["id"], node["kind"], _status(node), node["calls"], cell(node["seconds"] or None), _why(node))
        for node in shown.graph["nodes"]
    ]
    print_table(("step", "kind", "status", "calls", "seconds", "reason"), rows)


@click.command()
@click.argument("id")
@click.option("--definition", is_flag=True, help="ID is a definition's name; else it is a run's id.")
@click.option("--mermaid", is_flag=True, help="As a flowchart of Mermaid.")
@json_option
@api_options
def graph(*, target: ApiPlace, id: str, definition: bool, mermaid: bool, as_json: bool) -> None:
    """A run (or a definition) as a graph: steps, and what they need.

    Example:

        sagacity workflows graph review-1 --mermaid
    """
    path = f"{path_of('workflow_definition' if definition else 'workflow', id)}/graph"
    if mermaid:
        return click.echo(run(_chart(target, path)), nl=False)
    found = run(get(target, path))
    if as_json:
        return print_json(found)
    needs = {
        node["id"]: [edge["source"] for edge in found["edges"] if edge["target"] == node["id"]]
        for node in found["nodes"]
    }
    rows = [
        (node["id"], node["kind"], _status(node), ", ".join(node["asks"]), ", ".join(needs[node["id"]]))
        for node in found["nodes"]
    ]
    print_table(("step", "kind", "status", "asks", "after"), rows)


async def _chart(target: ApiPlace, path: str) -> str:
    async with open_api(target) as api:
        return (await api.send("GET", path, {"format": "mermaid"})).text


async def skills_of(target: ApiPlace, runs: Sequence[str]) -> dict[str, str]:
    """What was asked for in runs of one skill alone."""
    async with open_api(target) as api:
        graphs = await asyncio.gather(*(api.get(f"{path_of('workflow', run)}/graph") for run in runs))
        return {run: _skill_in(graph) for run, graph in zip(runs, graphs, strict=True)}


def _skill_in(graph: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(skill for node in graph["nodes"] for skill in node["asks"]))


async def _shown(target: ApiPlace, id: str) -> _Shown:
    path = path_of("workflow", id)
    async with open_api(target) as api:
        found = await api.get(path)
        graph = await api.get(f"{path}/graph")
        waits = any(call.get("status", "requested") == "requested" for call in found["under_way"].values())
        return _Shown(found, graph, await _unserved(api, id) if waits else {})


async def _unserved(api: Api, id: str) -> dict[str, str]:
    """By the heartbeats of workers."""
    page = await api.get("/api/v1/invocations", run=id, status="requested", limit=500)
    calls = [call for call in page["items"] if call["kind"] == "skill"]
    skills = sorted({call["skill"] for call in calls})
    heard = await asyncio.gather(*(_workers(api, skill) for skill in skills))
    offered = {(each["skill"], each["version"]) for workers in heard for each in workers if each["alive"]}
    return {
        call["id"]: f"(no worker offers {call['skill']} {call['skill_version']})"
        for call in calls
        if (call["skill"], call["skill_version"]) not in offered
    }


async def _workers(api: Api, skill: str) -> list[Mapping[str, Any]]:
    try:
        return (await api.get(f"{path_of('skill', skill)}/workers"))["items"]
    except Problem as problem:
        if problem.status == 404:  # it is not registered
            return []
        raise


def _status(node: Mapping[str, Any]) -> str:
    return node["status"].replace("_", " ")


def _why(node: Mapping[str, Any]) -> str:
    undone = f"{node['undone']} undone" if node["undone"] else ""
    return "; ".join(each for each in (node["reason"], undone) if each)
