"""The stage as a whole, alone and with a language model behind real HTTP that is right, late, wrong, broken or dear."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from aiohttp import web
from msgspec import structs

from domain.message import Message, Sender
from domain.record import Enrichment, Found
from domain.schema import Schema
from eventstore.blobs import Blobs
from records.analyse.analyser import Analyser
from records.analyse.budget import Budget, Price
from records.analyse.domains import DomainClassifier
from records.analyse.provider import Provider, ProviderSettings
from sagacity.wiring import open_core
from tests.records.analyse.invoices import NUMBER, SCHEMA, SELLER, TOTAL

TEXT = "Please pay our invoice by bank transfer.\nInvoice number: A-17\nTotal: 80.00 EUR, VAT included\n-- Harrow Works"
SCHEMAS = {"financial": (3, Schema("financial", (NUMBER, TOTAL, SELLER)))}
USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100}
PRICES = {"small": Price(1.0, 10.0)}
CLASSIFIER = DomainClassifier()


def message(text=TEXT, **data):
    return Message(
        "email", "inbox", "m1", Sender("ann@example.org"), datetime(2026, 3, 12, tzinfo=UTC), text=text, data=data
    )


class Model:
    """Gives the next of the answers: a status, or what the content is to be; remembers what it was asked."""

    def __init__(self):
        self.answers, self.asked, self.headers = [], [], []

    def says(self, *answers):
        self.answers = list(answers)

    async def handle(self, request):
        self.asked.append(await request.json())
        self.headers.append(request.headers.get("Authorization"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return web.Response(status=answer, headers={"Retry-After": "0"} if answer == 429 else {})
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        content = answer if isinstance(answer, str) else json.dumps(answer)
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": content}}], "usage": USAGE})


class Scene:
    def __init__(self, blobs, client, server, url):
        self.blobs, self.client, self.model, self.url = blobs, client, server, url

    def provider(self, budget=None, **changed):
        settings = ProviderSettings(self.url, "small", "secret", PRICES, pause=0.01, timeout=5.0)._replace(**changed)
        return Provider(settings, self.client, self.blobs, budget)

    async def analyse(self, provider=None, text=TEXT, earlier=(), enrichment=None, only="financial", **data):
        analyser = Analyser(CLASSIFIER, provider, self.blobs)
        found = enrichment or Enrichment(language="en")
        return await analyser.analyse(message(text, **data), found, text, SCHEMAS, only, earlier)


@asynccontextmanager
async def served(handler):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture
async def scene(log_url):
    server = Model()
    async with open_core(log_url) as core, served(server.handle) as url, httpx.AsyncClient() as client:
        yield Scene(Blobs(core.connection), client, server, url)


def values(analysis):
    return {path: (reading.value, reading.origin) for path, reading in analysis.readings.items()}


RULES = {"invoice_number": ("A-17", "text"), "total": (80.0, "text")}


async def test_without_a_provider_rules_and_the_built_in_classifier_do_it_all(scene):
    found = await scene.analyse(only=None)
    assert (found.domain, found.schema_version) == ("financial", 3)
    assert values(found) == RULES
    assert found.classifier.startswith("builtin-")
    assert [(run.skill, run.outcome) for run in found.runs] == [("domain", "done"), ("extraction", "done")]
    assert found.exchanges == ()


async def test_a_source_of_one_domain_is_not_asked(scene):
    found = await scene.analyse(text="Dear all, see you at the cinema")
    assert (found.domain, found.confidence, found.classifier) == ("financial", 1.0, "source")


async def test_a_domain_without_a_schema_has_no_fields(scene):
    found = await scene.analyse(text="The patient has a fever and takes antibiotics; blood test tomorrow.", only=None)
    assert (found.domain, found.schema_version, found.readings) == ("other", 0, {})
    assert max(found.candidates, key=found.candidates.get) == "medical"


async def test_a_doubtful_domain_is_flagged(scene):
    found = await scene.analyse(text="xyzzy", only=None)
    assert [(flag.kind, flag.path) for flag in found.flags] == [("doubtful", None)]


async def test_data_alone_tells_the_domain_too(scene):
    found = await scene.analyse(
        text="", only=None, invoice_number="A-1", total=12.5, bank_account="IBAN DE89", payment="transfer"
    )
    assert found.domain == "financial"
    assert values(found) == {"invoice_number": ("A-1", "data"), "total": (12.5, "data")}


async def test_entities_and_tables_of_the_enrichment_are_used(scene):
    enrichment = Enrichment(tables=((("Supplier", "Acme"),),), entities=(Found("amount", "5 EUR", "5 €"),))
    found = await scene.analyse(text="invoice", enrichment=enrichment)
    assert values(found) == {"seller.name": ("Acme", "attachment"), "total": (5.0, "entity")}


async def test_a_provider_is_asked_for_what_is_open_and_all_of_it_is_on_record(scene):
    scene.model.says({"seller.name": "Harrow Works"})
    provider = scene.provider()
    found = await scene.analyse(provider)
    assert values(found) == {**RULES, "seller.name": ("Harrow Works", "provider")}
    (asked,) = scene.model.asked
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["seller.name"]
    assert scene.model.headers == ["Bearer secret"]
    (exchange,) = found.exchanges
    assert (exchange.provider, exchange.model, exchange.currency) == ("127.0.0.1", "small", "EUR")
    assert (exchange.prompt_tokens, exchange.answer_tokens) == (1_000, 100)
    assert exchange.cost == pytest.approx(0.002)
    assert json.loads(await scene.blobs.get(exchange.prompt)) == asked
    assert json.loads(await scene.blobs.get(exchange.answer))["usage"] == USAGE
    assert provider.budget.spent(datetime.now(UTC).date()) == pytest.approx(0.002)
    assert b"secret" not in await scene.blobs.get(exchange.prompt)


async def test_nothing_is_asked_where_nothing_is_open(scene):
    found = await scene.analyse(scene.provider(), text=f"{TEXT}\nSupplier: Harrow Works")
    assert "seller.name" in found.readings
    assert (scene.model.asked, found.exchanges) == ([], ())


async def test_what_the_text_does_not_say_is_doubtful_and_values_are_read_as_any_other(scene):
    scene.model.says({"seller.name": "Somebody Else", "total": 80})
    text = "Please pay our invoice.\nInvoice number: A-17\n-- Harrow"
    found = await scene.analyse(scene.provider(), text=text)
    assert found.readings["seller.name"].doubtful == "the text does not say it in these words"
    assert (found.readings["total"].value, found.readings["total"].doubtful) == (80.0, "")


@pytest.mark.parametrize("first", [429, 500, 503])
async def test_a_server_that_is_busy_is_asked_again(scene, first):
    scene.model.says(first, {"seller.name": "Harrow Works"})
    found = await scene.analyse(scene.provider())
    assert "seller.name" in found.readings
    assert len(scene.model.asked) == 2


@pytest.mark.parametrize(
    ("answer", "reason", "asked", "paid"),
    [
        (500, "3 attempts failed: 127.0.0.1 answered 500", 3, 0),
        (401, "127.0.0.1 answered 401", 1, 0),
        ("{no json", "the answer is no JSON", 1, 1),
        ({"seller.name": 5}, "the answer is not by the schema", 1, 1),
        ({"surprise": "x"}, "the answer is not by the schema", 1, 1),
        (b"<html>", "this is no answer of a chat", 1, 1),
        (b'{"choices": []}', "this is no answer of a chat", 1, 1),
    ],
)
async def test_a_provider_that_fails_leaves_the_rest_as_it_is(scene, answer, reason, asked, paid):
    scene.model.says(answer)
    found = await scene.analyse(scene.provider())
    assert values(found) == RULES
    run = found.runs[-1]
    assert (run.skill, run.outcome) == ("provider", "failed")
    assert run.reason.startswith(reason)
    assert (len(scene.model.asked), len(found.exchanges)) == (asked, paid)


async def test_a_provider_that_is_not_there_fails_alone(scene):
    async with served(scene.model.handle) as url:
        gone = url
    found = await scene.analyse(scene.provider(url=gone))
    assert values(found) == RULES
    assert "was not reached" in found.runs[-1].reason


async def test_over_budget_nothing_is_asked(scene):
    for provider in (scene.provider(per_record=0.000_1), scene.provider(per_day=0.000_1)):
        found = await scene.analyse(provider)
        assert (found.runs[-1].outcome, values(found), scene.model.asked) == ("skipped", RULES, [])
        assert found.runs[-1].reason.startswith("over the budget")


async def test_the_day_counts_what_was_really_spent(scene):
    """The first answer is dear, and leaves nothing for a second question."""
    scene.model.says({"seller.name": None})
    provider = scene.provider(Budget(0.013, 1.0))
    assert (await scene.analyse(provider)).runs[-1].outcome == "done"
    outcomes = [(await scene.analyse(provider, text=f"{TEXT} {number}")).runs[-1].outcome for number in range(3)]
    assert outcomes[-1] == "skipped"


async def test_a_stage_that_runs_again_does_not_ask_or_pay_again(scene):
    scene.model.says({"seller.name": "Harrow Works"})
    provider = scene.provider()
    first = await scene.analyse(provider)
    again = await scene.analyse(provider)
    elsewhere = await scene.analyse(scene.provider(), earlier=first.exchanges)
    assert values(first) == values(again) == values(elsewhere)
    assert len(scene.model.asked) == 1
    for found in (again, elsewhere):
        assert found.exchanges == (
            structs.replace(first.exchanges[0], prompt_tokens=0, answer_tokens=0, cost=0.0, milliseconds=0.0),
        )


def test_a_model_without_a_price_is_refused_before_it_costs_anything():
    with pytest.raises(ValueError, match="there is no price for the model 'large'"):
        Provider(ProviderSettings("http://127.0.0.1/v1", "large", "", PRICES), httpx.AsyncClient(), None)


def test_a_reservation_counts_until_it_is_settled():
    day, budget = datetime(2026, 3, 12, tzinfo=UTC).date(), Budget(1.0, 0.6)
    assert budget.refusal(day, 0.5, 0.0) is None
    assert budget.refusal(day, 0.3, 0.4).startswith("over the budget of a record")
    assert budget.refusal(day, 0.6, 0.0).startswith("over the budget of the day")
    budget.settle(day, 0.5, 0.1)
    assert budget.spent(day) == pytest.approx(0.1)
    assert budget.refusal(day, 0.6, 0.0) is None


def test_every_field_type_has_a_place_in_the_schema_that_a_model_gets():
    from records.analyse.prompting import answer_schema

    properties = answer_schema(SCHEMA.fields, "en")["properties"]
    assert properties["method"]["enum"] == ["transfer", "card", "direct_debit", None]
    assert properties["total"]["type"] == ["number", "null"]
    assert properties["invoice_number"]["description"] == "Which number has the invoice? (identifier)"
