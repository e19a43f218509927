"""Skills that ask a language model: a real server that speaks OpenAI's protocol, and a real store for what was said."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from eventstore.blobs import Blobs
from records.analyse.budget import Budget, Price
from records.analyse.provider import Provider, ProviderSettings
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from skills.language import language_skills
from skills.language.model import LanguageModel
from skills.offline.code_review import code_review
from skills.skill import SkillFailed, skill_of
from tests.eventstore.servers import Servers
from tests.skills.asking import asked, context

PRICES = {"small": Price(1.0, 10.0)}
COST = 0.002  # 1,000 tokens asked and 100 answered
USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100}
WRITTEN = {"code": "def double(x):\n    return 2 * x\n", "explanation": "It doubles.", "dependencies": []}
TASK = {"task": "Double a number.", "requirements": ["negative numbers too"]}


class Server:
    """Gives the next of the answers, the last one for ever: a status, raw bytes, or what the content is to be."""

    def __init__(self):
        self.answers, self.asked = [], []

    def says(self, *answers):
        self.answers = list(answers)

    async def handle(self, request):
        self.asked.append((await request.json(), request.headers.get("Authorization")))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        content = answer if isinstance(answer, str) else json.dumps(answer)
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": content}}], "usage": USAGE})


@asynccontextmanager
async def served(server):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def log_url():
    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(initialise_server(servers.url))
        yield servers.url
    finally:
        servers.stop()


class Scene:
    def __init__(self, blobs, client, server, url):
        self.blobs, self._client, self.server, self._url = blobs, client, server, url

    def skills(self, budget=None):
        settings = ProviderSettings(self._url, "small", "secret", PRICES, pause=0.01, timeout=5.0)
        model = LanguageModel(Provider(settings, self._client, self.blobs, budget))
        return {skill.name: skill for skill in language_skills(model)}


@pytest_asyncio.fixture
async def scene(log_url):
    server = Server()
    async with open_core(log_url) as core, served(server) as url, httpx.AsyncClient() as client:
        yield Scene(Blobs(core.connection), client, server, url)


async def failure(skill, given, within=None):
    with pytest.raises(SkillFailed) as failed:
        await asked(skill, given, within)
    return failed.value


async def test_code_is_written_and_what_was_asked_and_answered_is_on_record_with_its_cost(scene):
    scene.server.says(WRITTEN)
    within = context()
    written = await asked(scene.skills()["code_generation"], TASK, within)
    assert written == WRITTEN | {"language": "python", "model": "small", "checked": True, "problems": []}
    assert within.costs == [COST]
    prompt, answer = [await scene.blobs.get(hash) for hash in within.exchanges]
    [(body, key)] = scene.server.asked
    assert json.loads(prompt) == body
    assert key == "Bearer secret"
    assert "secret" not in prompt.decode()
    assert json.loads(json.loads(answer)["choices"][0]["message"]["content"]) == WRITTEN
    assert "Double a number." in body["messages"][1]["content"]
    assert "- negative numbers too" in body["messages"][1]["content"]
    schema = body["response_format"]["json_schema"]["schema"]
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert sorted(schema["required"]) == ["code", "dependencies", "explanation"]


async def test_what_was_asked_before_is_neither_asked_nor_paid_again(scene):
    scene.server.says(WRITTEN)
    skill = scene.skills()["code_generation"]
    first, again = context(), context("run-2")
    assert await asked(skill, TASK, first) == await asked(skill, TASK, again)
    assert len(scene.server.asked) == 1
    assert again.costs == [0.0]
    assert again.exchanges == first.exchanges
    await asked(skill, TASK | {"remarks": ["too short"]})
    assert len(scene.server.asked) == 2


@pytest.mark.parametrize(
    ("language", "code", "problems"),
    [
        ("python", "def f(:\n", ["line 1: invalid syntax"]),
        ("python", "```python\nx = 1\n```", []),
        ("java", "class A {", []),
    ],
)
async def test_python_is_parsed_and_other_languages_are_said_to_be_unchecked(scene, language, code, problems):
    scene.server.says(WRITTEN | {"code": code})
    written = await asked(scene.skills()["code_generation"], TASK | {"language": language})
    assert (written["checked"], written["problems"]) == (language == "python", problems)
    assert "```" not in written["code"]


@pytest.mark.parametrize(
    ("answer", "reason", "paid"),
    [
        ("not JSON", "not by its schema", True),
        ({"code": 1}, "not by its schema", True),
        (WRITTEN | {"more": 1}, "not by its schema", True),
        (WRITTEN | {"code": " "}, "wrote no code", True),
        (b'{"choices": []}', "none of a chat", True),
        (b'{"choices": [{"message": {"content": null}}]}', "declined", True),
        (400, "answered 400", False),
    ],
)
async def test_an_answer_that_is_none_fails_and_what_it_cost_is_on_record(scene, answer, reason, paid):
    scene.server.says(answer)
    within = context()
    failed = await failure(scene.skills()["code_generation"], TASK, within)
    assert reason in failed.reason
    assert failed.retryable == (not paid)
    assert (sum(within.costs) > 0, len(within.exchanges)) == (paid, 2 * paid)
    assert len(scene.server.asked) == 1


async def test_a_server_that_is_busy_is_asked_again_and_one_that_stays_busy_fails_for_now(scene):
    scene.server.says(503, 429, WRITTEN)
    assert (await asked(scene.skills()["code_generation"], TASK))["problems"] == []
    scene.server.says(503)
    failed = await failure(scene.skills()["code_generation"], TASK | {"task": "another"})
    assert failed.retryable


async def test_over_budget_nothing_is_asked(scene):
    failed = await failure(scene.skills(Budget(per_day=0.0001, per_record=1))["code_generation"], TASK)
    assert "over the budget of the day" in failed.reason
    assert not failed.retryable
    assert scene.server.asked == []


@pytest.mark.parametrize("name", ["code_generation", "code_review_llm"])
async def test_without_a_model_or_a_network_it_fails_at_once(scene, name):
    given = TASK if name == "code_generation" else {"source": "x = 1"}
    without = {skill.name: skill for skill in language_skills(None)}
    failed = await failure(without[name], given)
    assert (failed.reason, failed.retryable) == ("no language model is configured", False)
    assert "network" in (await failure(scene.skills()[name], given, context(network=False))).reason
    assert scene.server.asked == []


def said(file, line, **more):
    told = {"severity": "high", "rule": "sql-injection", "message": "m", "suggestion": "s"}
    return {"file": file, "line": line, **told, **more}


async def test_findings_are_of_lines_that_are_there_and_the_others_are_dropped(scene, tmp_path):
    (tmp_path / "a.py").write_text("x = 1\ny = 2\n")
    (tmp_path / "b.py").write_text("z = 3\n")
    invented = [said("a.py", 3), said("c.py", 1), said("a.py", 0)]
    scene.server.says({"findings": [said("b.py", 1, severity="low"), said("a.py", 2), *invented]})
    review = await asked(scene.skills()["code_review_llm"], {"path": str(tmp_path), "focus": ["security"]})
    assert [(each["file"], each["line"], each["tool"]) for each in review["findings"]] == [
        ("a.py", 2, "small"),
        ("b.py", 1, "small"),
    ]
    assert review["remarks"] == ["3 findings of lines that are not there were dropped"]
    assert (review["reviewed"], review["summary"]["lines"]) == (["a.py", "b.py"], 3)
    [(body, _)] = scene.server.asked
    assert '<file name="a.py">\n1: x = 1\n2: y = 2\n</file>' in body["messages"][1]["content"]
    assert "for security" in body["messages"][0]["content"]


async def test_what_is_too_much_for_one_prompt_is_asked_in_several_with_the_lines_of_the_file(scene, tmp_path):
    (tmp_path / "long.py").write_text("".join(f"name_{number} = {number}\n" for number in range(2_500)))
    scene.server.says({"findings": [said("long.py", 2_500), said("long.py", 1)]})
    within = context()
    review = await asked(scene.skills()["code_review_llm"], {"path": str(tmp_path)}, within)
    numbers = [
        int(line.partition(":")[0])
        for body, _ in scene.server.asked
        for line in body["messages"][1]["content"].splitlines()[1:-1]
    ]
    assert numbers == list(range(1, 2_501))
    assert len(scene.server.asked) == len(within.costs) == len(within.exchanges) / 2 > 1
    assert all(len(body["messages"][1]["content"]) < 22_000 for body, _ in scene.server.asked)
    assert [each["line"] for each in review["findings"]] == [1, 2_500]
    assert review["remarks"] == [f"{2 * len(scene.server.asked) - 2} findings of lines that are not there were dropped"]


async def test_what_stands_in_for_it_takes_the_same_and_gives_the_same(scene):
    skill, instead = scene.skills()["code_review_llm"], skill_of(code_review)
    assert skill.specification.fallback == instead.name
    assert (skill.takes, skill.gives) == (instead.takes, instead.gives)
    given = {"source": "import os\n\neval(input())\n"}
    assert "no language model" in (await failure(language_skills(None)[1], given)).reason
    assert {each["rule"] for each in (await asked(instead, given))["findings"]} >= {"F401", "S307"}


async def test_javascript_is_reviewed_too_and_what_is_no_known_language_is_refused(scene, tmp_path):
    (tmp_path / "a.js").write_text("eval(x)\n")
    scene.server.says({"findings": [said("a.js", 1)]})
    given = {"path": str(tmp_path), "language": "javascript"}
    assert len((await asked(scene.skills()["code_review_llm"], given))["findings"]) == 1
    refused = await failure(scene.skills()["code_review_llm"], given | {"language": "cobol"})
    assert refused.reason == "cobol is not reviewed: python, javascript, java are"
