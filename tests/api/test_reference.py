"""The references tell all there is, and every example in them is true."""

import jsonschema
import pytest

from api.asyncapi import asyncapi_document
from api.belongings import BELONGINGS
from api.examples import ROWS
from api.resources import RESOURCES
from domain.contexts import DECIDERS
from handlers.routes import routes_of
from projections.read_models import READ_MODELS
from sagacity.wiring import catalogue
from tests.api.calls import fresh, send


@pytest.fixture(scope="module")
def openapi(platform):
    import httpx

    return httpx.get(f"{platform.url}/schema/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_operation_has_schemas_examples_and_problems(openapi):
    assert openapi["openapi"].startswith("3.1")
    for name, operation in operations(openapi):
        assert operation.get("summary"), name
        assert operation["tags"], name
        assert "application/problem+json" in operation["responses"]["default"]["content"], name
        assert any(status.startswith("2") for status in operation["responses"]), name
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media in body.get("content", {}).values():
                assert media["schema"], name
                assert "example" in media or media["examples"], name


def test_every_example_is_valid(openapi):
    checked = 0
    for _, operation in operations(openapi):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media in body.get("content", {}).values():
                examples = [each["value"] for each in media.get("examples", {}).values()]
                for example in examples + ([media["example"]] if "example" in media else []):
                    root = {**media["schema"], "components": openapi["components"]}
                    jsonschema.Draft202012Validator(root).validate(example)
                    checked += 1
    assert checked > 150


CONTRACT = {
    "/api/v1/commands": {"get", "post"},
    "/api/v1/commands/{command_id}": {"get"},
    "/api/v1/events": {"get", "post"},
    "/api/v1/events/stream": {"get"},
    "/api/v1/inbound": {"get"},
    "/api/v1/inbound/{id}": {"get"},
    "/api/v1/projections": {"get"},
    "/api/v1/projections/{name}": {"get"},
    "/api/v1/projections/{name}/rebuild": {"post"},
    "/api/v1/deployments/{id}/logs": {"get"},
    "/api/v1/deployments/{id}/timeline": {"get"},
    "/api/v1/models/{id}/labels": {"post"},
    "/api/v1/predict": {"post"},
    "/api/v1/retrain": {"post"},
    "/api/v1/datasets": {"post"},
    "/api/v1/datasets/generate": {"post"},
    "/api/v1/datasets/{id}/samples": {"get"},
    "/api/v1/features/values": {"get"},
    "/api/v1/features/values/batch": {"post"},
    "/api/v1/intake/{id}": {"get", "post"},
    "/api/v1/records/{id}/original": {"get"},
    "/api/v1/records/{id}/attachments/{number}": {"get"},
    "/api/v1/quality": {"get"},
    "/api/v1/quality/overview": {"get"},
    "/api/v1/quality/sources": {"get"},
    "/api/v1/quality/trends": {"get"},
    "/api/v1/quality/follow-ups": {"get"},
    "/api/v1/skills/{id}/workers": {"get"},
    "/api/v1/skills/{id}/figures": {"get"},
    "/api/v1/workflows/{id}/graph": {"get"},
    "/api/v1/workflows/{id}/input": {"get"},
    "/api/v1/workflows/{id}/output": {"get"},
    "/api/v1/workflow_definitions/{id}/graph": {"get"},
    "/api/v1/invocations": {"get"},
    "/api/v1/invocations/retry": {"post"},
    "/api/v1/invocations/{id}": {"get"},
    "/api/v1/invocations/{id}/input": {"get"},
    "/api/v1/invocations/{id}/output": {"get"},
    "/api/v1/execute": {"post"},
    "/health": {"get"},
    "/health/live": {"get"},
    "/health/ready": {"get"},
    "/health/startup": {"get"},
    "/metrics": {"get"},
}


def test_every_route_is_documented(openapi):
    expected = {path: set(methods) for path, methods in CONTRACT.items()}
    for name in (each.name for each in RESOURCES):
        expected.setdefault(f"/api/v1/{name}", set()).add("get")
        expected[f"/api/v1/{name}/{{id}}"] = {"get"}
    for each in BELONGINGS:
        expected[f"/api/v1/{each.resources}/{{id}}/{each.name}"] = {"get"}
    for name in (*ROWS, "inbound", "projections"):
        expected[f"/api/v1/{name}/{{id}}/events"] = {"get"}
    assert {path: set(methods) for path, methods in openapi["paths"].items()} == expected


def test_every_public_command_is_documented_with_its_fields(openapi):
    documented = openapi["paths"]["/api/v1/commands"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    public = {name for name, route in routes_of(DECIDERS).items() if not route.internal}
    assert documented.keys() == public
    for name in public:
        assert openapi["components"]["schemas"][name]["type"] == "object"


def test_every_filter_of_a_list_is_documented(openapi):
    for model in READ_MODELS:
        path = {"data_quality_tracking": "quality"}.get(model.name, model.name)
        documented = {each["name"] for each in openapi["paths"][f"/api/v1/{path}"]["get"]["parameters"]}
        for name in (*model.tables[0].filters, *model.tables[0].partial):
            assert documented & {name, f"{name}_after", f"{name}_above"}, f"{model.name}: {name}"


def test_real_answers_are_as_documented(http, openapi):
    name = fresh("org")
    position = send(http, "organization.register", name, {"name": "x"}).json()["position"]
    for template, path in {
        "/api/v1/organizations": "/api/v1/organizations",
        "/api/v1/organizations/{id}": f"/api/v1/organizations/{name}?min_position={position}",
        "/api/v1/organizations/{id}/events": f"/api/v1/organizations/{name}/events",
        "/api/v1/events": "/api/v1/events",
        "/api/v1/projections": "/api/v1/projections",
        "/api/v1/projections/{name}": "/api/v1/projections/stacks",
        "/api/v1/inbound": "/api/v1/inbound",
        "/api/v1/commands": "/api/v1/commands",
        "/health": "/health",
        "/health/live": "/health/live",
    }.items():
        media = openapi["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]
        answer = http.get(path)
        assert answer.status_code == 200
        root = {**media["schema"], "components": openapi["components"]}
        jsonschema.Draft202012Validator(root).validate(answer.json())


def references(part):
    match part:
        case dict():
            for key, value in part.items():
                if key == "$ref":
                    yield value
                else:
                    yield from references(value)
        case list():
            for value in part:
                yield from references(value)


def resolves(document, reference):
    part = document
    for name in reference.removeprefix("#/").split("/"):
        if name not in part:
            return False
        part = part[name]
    return True


def test_no_reference_leads_nowhere(openapi):
    for document in (openapi, asyncapi_document(catalogue(), routes_of(DECIDERS))):
        assert [each for each in references(document) if not resolves(document, each)] == []


def test_asyncapi_tells_every_event_command_and_the_way_in():
    types = catalogue().types()
    public = {name for name, route in routes_of(DECIDERS).items() if not route.internal}
    document = asyncapi_document(catalogue(), routes_of(DECIDERS))
    assert document["asyncapi"] == "3.0.0"
    assert document["components"]["messages"].keys() == {*types, *public, "reply", "cloudevent"}
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {
        *(f"evt.{tag.partition('.')[0]}.{{id}}.{{version}}" for tag in types),
        *(f"cmd.{name}" for name in public),
        "in.{source}.{type}",
        None,
    }
    for name in public:
        assert document["operations"][f"answer-{name}"]["reply"]["channel"] == {"$ref": "#/channels/replies"}


def test_an_event_of_the_log_is_as_asyncapi_says(http):
    name = fresh("org")
    send(http, "organization.register", name, {"name": "x"})
    (event,) = http.get(f"/api/v1/organizations/{name}/events").json()["items"]
    document = asyncapi_document(catalogue(), routes_of(DECIDERS))
    payload = document["components"]["messages"]["organization.registered"]["payload"]
    jsonschema.Draft202012Validator({**payload, "components": document["components"]}).validate(event)
