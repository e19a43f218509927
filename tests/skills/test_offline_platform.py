"""Skills that give the platform's commands: on a real log, each call with one effect however often it is made."""

import asyncio

import pytest
import pytest_asyncio

from domain import deployment
from domain.environment import SettleRollout
from eventstore.blobs import Blobs
from eventstore.envelope import StreamId
from handlers.command import Caller, Directive
from models.serve.predictions import Predictions
from models.serve.serving import Predictor
from sagacity.initialising import initialise_server
from sagacity.platform_commands import LogCommands
from sagacity.wiring import open_core
from skills.offline.platform import platform_skills
from skills.offline.predict import predict_skill
from skills.skill import SkillFailed
from tests.eventstore.servers import Servers
from tests.models.trained import ROW, fresh, in_use
from tests.skills.asking import asked, context


class Scene:
    def __init__(self, core):
        self.core = core
        self.skills = {skill.name: skill for skill in platform_skills(LogCommands(core))}

    async def ask(self, name, given, call, **security):
        return await asked(self.skills[name], given, context(call, **security))

    async def tell(self, category, id, *commands):
        directives = [Directive(id=fresh(), category=category, stream_id=id, command=each) for each in commands]
        for outcome in await self.core.handler.direct(directives, Caller(actor="saga")):
            assert outcome.outcome == "accepted", outcome

    async def prepared(self):
        """An environment and a stack with a version to be deployed."""
        name = fresh("shop")
        organization = {"name": "Acme"}
        environment = {"name": "Prod", "organization_id": name, "targets": [{"name": "local"}]}
        for type, data in (
            ("organization.register", organization),
            ("environment.register", environment),
            ("stack.register", {"name": "Shop", "organization_id": name}),
            ("stack.publish_version", {"version": "1.0", "release": {"program": "shop"}}),
        ):
            await self.ask("give_command", {"type": type, "stream_id": name, "data": data}, fresh("call"))
        return {"stack_id": name, "environment_id": name, "version": "1.0"}


@pytest.fixture(scope="module")
def url():
    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(initialise_server(servers.url))
        yield servers.url
    finally:
        servers.stop()


@pytest_asyncio.fixture
async def scene(url):
    async with open_core(url) as core:
        yield Scene(core)


async def test_a_deployment_that_is_asked_for_again_by_the_same_call_is_the_same_one(scene):
    request, call = await scene.prepared(), fresh("call")
    first = await scene.ask("deploy", request, call, tenant="t1")
    again = await scene.ask("deploy", request, call, tenant="t1")
    assert first == again
    assert first["command_id"] not in ("", call), "people may call a command of theirs as the call is called"
    [requested] = await scene.core.store.load(StreamId("deployment", first["deployment_id"]))
    envelope = requested.envelope
    assert (envelope.actor, envelope.tenant, envelope.correlationid, envelope.causationid) == (
        "ann",
        "t1",
        "talk",
        first["command_id"],
    )


@pytest.mark.parametrize(
    "other",
    [{"type": "organization.describe", "data": {"description": "x"}}, {"stream_id": "another"}],
    ids=["type", "target"],
)
async def test_a_command_whose_id_another_command_has_taken_was_not_given(scene, other):
    call, name = fresh("call"), fresh("acme")
    first = {"type": "organization.register", "stream_id": name, "data": {"name": "Acme"}}
    await scene.ask("give_command", first, call)
    assert (await scene.ask("give_command", first, call))["duplicate"]
    with pytest.raises(SkillFailed, match=f"was taken by organization.register to organization/{name}") as failed:
        await scene.ask("give_command", first | other, call)
    assert not failed.value.retryable


async def test_its_end_is_waited_for_and_told_and_another_one_than_expected_fails(scene):
    deploying = await scene.ask("deploy", await scene.prepared(), fresh("call"))
    wait = {"deployment_id": deploying["deployment_id"]}
    waiting = asyncio.create_task(scene.ask("deployment_ended", wait, fresh("call")))
    await asyncio.sleep(0.3)  # it is looked at while it is on its way
    assert not waiting.done()
    undone = deployment.StartRollback("broken"), deployment.ConcludeRollback()
    await scene.tell("deployment", wait["deployment_id"], *undone)
    ended = await asyncio.wait_for(waiting, 20)
    assert ended == {**wait, "outcome": "rolled_back", "details": {"version": "1.0"}}
    with pytest.raises(SkillFailed, match="ended rolled_back, not completed"):
        await scene.ask("deployment_ended", wait | {"expected": "completed"}, fresh("call"))
    with pytest.raises(SkillFailed, match="there is no deployment d0"):
        await scene.ask("deployment_ended", {"deployment_id": "d0"}, fresh("call"))


async def test_a_deployment_on_its_way_is_rolled_back_and_one_that_has_ended_is_not(scene):
    request = await scene.prepared()
    deploying = await scene.ask("deploy", request, fresh("call"))
    undo = {"what": "deployment", "id": deploying["deployment_id"], "reason": "wrong"}
    given = await scene.ask("roll_back", undo, fresh("call"))
    assert (given["accepted"], given["category"]) == (True, "deployment")
    events = await scene.core.store.load(StreamId("deployment", undo["id"]))
    assert scene.core.store.decode(events[-1]) == deployment.CancellationRequested("wrong")
    await scene.tell("deployment", undo["id"], deployment.StartRollback("wrong"), deployment.ConcludeRollback())
    await scene.tell("environment", request["environment_id"], SettleRollout(request["stack_id"], undo["id"], None))
    with pytest.raises(SkillFailed, match="deployment_ended") as failed:
        await scene.ask("roll_back", undo, fresh("call"))
    assert not failed.value.retryable


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ({"type": "no.such"}, "there is no command 'no.such'"),
        ({"type": "organization.register", "data": {"name": 1}}, "/data/name"),
        ({"type": "environment.reserve_rollout"}, "there is no command"),
        (
            {"type": "organization.describe", "stream_id": "nobody", "data": {"description": "x"}},
            "organization_not_found",
        ),
    ],
)
async def test_what_is_no_command_or_is_refused_fails_with_the_reason_and_for_good(scene, command, reason):
    with pytest.raises(SkillFailed, match=reason) as failed:
        await scene.ask("give_command", command, fresh("call"))
    assert not failed.value.retryable


async def test_while_the_log_is_away_another_attempt_is_to_be_made(url):
    async with open_core(url) as core:
        scene = Scene(core)
    # Its connection is closed now.
    with pytest.raises(SkillFailed, match=r"organization\.register was not given") as failed:
        await scene.ask("give_command", {"type": "organization.register", "data": {"name": "x"}}, fresh("call"))
    assert failed.value.retryable


async def test_a_model_is_rolled_back_trained_anew_and_asked(scene):
    blobs, store, aggregates = Blobs(scene.core.connection), scene.core.store, scene.core.aggregates
    model = await in_use(scene.core, blobs, "1", "2", active="1")
    await scene.ask(
        "give_command", {"type": "model.promote", "stream_id": model, "data": {"version": "2"}}, fresh("call")
    )
    given = await scene.ask("roll_back", {"what": "model", "id": model}, fresh("call"))
    assert (given["category"], given["stream_id"]) == ("model", model)

    predictor = Predictor(store, aggregates, blobs, Predictions(scene.core.connection))
    running, predict = asyncio.create_task(predictor.run()), predict_skill(predictor)
    try:
        rows = [ROW | {"age": 60.0}, ROW | {"age": 20.0}]
        told = await asked(predict, {"rows": rows, "model_id": model})
        assert (told["predictions"], told["version"], len(told["ids"])) == (["yes", "no"], "1", 2)
        for given, reason in (
            ({"rows": [{"agee": 3}], "model_id": model}, "/rows/0"),
            ({"rows": rows, "model_id": "nobody"}, "there is no model"),
        ):
            with pytest.raises(SkillFailed, match=reason) as failed:
                await asked(predict, given)
            assert not failed.value.retryable
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    call = fresh("call")
    with pytest.raises(SkillFailed, match="model_not_found"):
        await scene.ask("retrain", {"model_id": "nobody"}, call)


async def test_what_is_given_of_skills_says_that_it_changes_something(scene):
    effects = {name: skill.specification.effects for name, skill in scene.skills.items()}
    assert effects == {
        "deploy": True,
        "deployment_ended": False,
        "roll_back": True,
        "retrain": True,
        "give_command": True,
    }
