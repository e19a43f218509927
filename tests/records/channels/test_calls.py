"""A local server stands for the platform's API: what it is asked, and what its answers mean."""

import asyncio
import json
import logging
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
from aiohttp import web

from domain.message import Attachment, Message, Sender
from domain.source import Configuration, Limits, Reply
from records.channels import discord_api, fetch, send
from records.channels.errors import ChannelError, FetchFailed, FetchRefused, SendFailed, SendRefused
from tests.records.channels.payloads import dc_interaction, packed

TOKEN = "123456:AAH-secret_token"
SECRETS = {"TOKEN": TOKEN, "URL": "", "OTHER": "unrelated"}
SENT = {
    "whatsapp": {"messages": [{"id": "wamid.SENT"}]},
    "telegram": {"ok": True, "result": {"message_id": 77, "chat": {"id": 42}}},
    "discord": {"id": "900"},
}
IDS = {"whatsapp": "wamid.SENT", "telegram": "42:77", "discord": "900"}


@dataclass
class Api:
    """Answers with what it was told to, in order; `asked` is method, path, headers and body of every request."""

    url: str = ""
    answers: list[web.StreamResponse] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.raw_path, headers, await request.read()))
        return self.answers.pop(0)

    def then(self, answer, status=200, **headers):
        body = answer if isinstance(answer, bytes) else packed(answer)
        self.answers.append(web.Response(body=body, status=status, headers=headers))
        return self


@pytest.fixture
async def api():
    api = Api()
    application = web.Application(client_max_size=10_000_000)
    application.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    await runner.cleanup()


@pytest.fixture
async def client():
    async with httpx.AsyncClient() as client:
        yield client


def source(platform, api, token="TOKEN", limit=1_000_000, account=None):
    reply = Reply(api=api.url, account=account, token=token)
    return Configuration(platform, "Desk", reply=reply, limits=Limits(attachment=limit))


def question_of(platform, sender="16503879439", **metadata):
    return Message(platform, "desk", "wamid.ASKED", Sender(sender), datetime.now(UTC), "42", metadata=metadata)


def attachment(remote):
    return Attachment("scan.pdf", remote=remote)


async def test_whatsapp_is_asked_in_reply_to_the_message(api, client):
    api.then(SENT["whatsapp"])
    sent = await send(client, source("whatsapp", api, account="1065"), SECRETS, question_of("whatsapp"), "Date?", "k1")
    ((method, path, headers, body),) = api.asked
    assert (sent, method, path) == ("wamid.SENT", "POST", "/1065/messages")
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "16503879439",
        "context": {"message_id": "wamid.ASKED"},
        "type": "text",
        "text": {"preview_url": False, "body": "Date?"},
        "biz_opaque_callback_data": "k1",
    }


async def test_whatsapp_answers_from_the_number_that_was_written_to_and_to_ids_of_the_business(api, client):
    api.then(SENT["whatsapp"])
    message = question_of("whatsapp", "US.1349", phone_number_id="2077")
    await send(client, source("whatsapp", api), SECRETS, message, "Date?", "k")
    assert api.asked[0][1] == "/2077/messages"
    assert json.loads(api.asked[0][3])["recipient"] == "US.1349"


async def test_telegram_is_asked_in_reply_to_the_message_and_in_its_thread(api, client):
    api.then(SENT["telegram"])
    message = question_of("telegram", message_id="12", thread_id="5")
    assert await send(client, source("telegram", api), SECRETS, message, "Date?", "k") == "42:77"
    ((method, path, _, body),) = api.asked
    assert (method, path) == ("POST", f"/bot{TOKEN}/sendMessage")
    assert json.loads(body) == {
        "chat_id": "42",
        "text": "Date?",
        "reply_parameters": {"message_id": 12, "allow_sending_without_reply": True},
        "message_thread_id": 5,
    }


async def test_discord_is_asked_in_reply_to_the_message_once_for_a_key(api, client):
    for _ in range(3):
        api.then(SENT["discord"])
    message = question_of("discord", message_id="12")
    for key in ("k1", "k1", "k2"):
        assert await send(client, source("discord", api), SECRETS, message, "Date?", key) == "900"
    method, path, headers, _ = api.asked[0]
    assert (method, path, headers["authorization"]) == ("POST", "/channels/42/messages", f"Bot {TOKEN}")
    bodies = [json.loads(body) for _, _, _, body in api.asked]
    assert bodies[0]["message_reference"] == {"message_id": "12", "fail_if_not_exists": False}
    assert bodies[0]["enforce_nonce"] is True
    assert len(bodies[0]["nonce"]) == 25
    assert bodies[0]["nonce"] == bodies[1]["nonce"] != bodies[2]["nonce"]


async def test_at_discord_who_sent_an_interaction_is_mentioned(api, client):
    api.then(SENT["discord"])
    await send(client, source("discord", api), SECRETS, question_of("discord"), "Date? @everyone", "k")
    body = json.loads(api.asked[0][3])
    assert body["content"] == "<@16503879439> Date? @everyone"
    assert body["allowed_mentions"]["parse"] == []
    assert body["allowed_mentions"]["users"] == ["16503879439"]


@pytest.mark.parametrize("platform", SENT)
@pytest.mark.parametrize(
    ("status", "headers", "wait"), [(429, {"Retry-After": "7"}, 7.0), (503, {}, None), (500, {}, None)]
)
async def test_what_may_work_later_says_when_and_then_works(api, client, platform, status, headers, wait):
    configuration = source(platform, api, account="1")
    api.then({"message": f"slow down {TOKEN}", "description": TOKEN, "error": {"message": TOKEN}}, status, **headers)
    with pytest.raises(SendFailed) as raised:
        await send(client, configuration, SECRETS, question_of(platform), "Date?", "k")
    assert (raised.value.retryable, raised.value.retry_after) == (True, wait)
    assert told_no_secret(raised.value)
    api.then(SENT[platform])
    assert await send(client, configuration, SECRETS, question_of(platform), "Date?", "k") == IDS[platform]


async def test_telegram_and_discord_say_in_the_body_how_long_to_wait(api, client):
    for platform, body in (("telegram", {"parameters": {"retry_after": 35}}), ("discord", {"retry_after": 1.5})):
        api.then(body, 429)
        with pytest.raises(SendFailed) as raised:
            await send(client, source(platform, api), SECRETS, question_of(platform), "Date?", "k")
        assert raised.value.retry_after == (35 if platform == "telegram" else 1.5)


async def test_a_limit_that_whatsapp_tells_with_status_400_passes(api, client):
    api.then({"error": {"message": "(#131056) Pair rate limit hit", "code": 131056}}, 400)
    with pytest.raises(SendFailed):
        await send(client, source("whatsapp", api, account="1"), SECRETS, question_of("whatsapp"), "Date?", "k")


@pytest.mark.parametrize("platform", SENT)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_what_is_refused_stays_refused(api, client, platform, status, caplog):
    caplog.set_level(logging.DEBUG)
    api.then({"message": f"no {TOKEN}", "description": f"no {TOKEN}", "error": {"message": f"no {TOKEN}"}}, status)
    with pytest.raises(SendRefused, match=f"{status} no •••") as raised:
        await send(client, source(platform, api, account="1"), SECRETS, question_of(platform), "Date?", "k")
    assert told_no_secret(raised.value)
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("platform", SENT)
async def test_an_answer_that_names_no_message_is_not_asked_for_again(api, client, platform):
    api.then({})
    with pytest.raises(SendFailed) as raised:
        await send(client, source(platform, api, account="1"), SECRETS, question_of(platform), "Date?", "k")
    assert not raised.value.retryable


@pytest.mark.parametrize("platform", SENT)
async def test_a_platform_that_is_away_may_be_asked_again(api, client, platform):
    configuration = source(platform, Api("http://127.0.0.1:1"), account="1")
    with pytest.raises(SendFailed) as raised:
        await send(client, configuration, SECRETS, question_of(platform), "Date?", "k")
    assert raised.value.retryable
    assert told_no_secret(raised.value)


@pytest.mark.parametrize("platform", SENT)
@pytest.mark.parametrize("secrets", [{}, {"TOKEN": ""}, {"TOKEN": "  "}])
async def test_without_a_token_nothing_is_sent(api, client, platform, secrets):
    with pytest.raises(SendRefused):
        await send(client, source(platform, api, account="1"), secrets, question_of(platform), "Date?", "k")
    assert api.asked == []


@pytest.mark.parametrize("platform", SENT)
async def test_a_token_that_no_header_can_hold_is_not_told(api, client, platform):
    with pytest.raises(ChannelError) as raised:
        await send(
            client, source(platform, api, account="1"), {"TOKEN": "12:se\ncret"}, question_of(platform), "?", "k"
        )
    assert "se\ncret" not in str(raised.value)
    assert "se\\ncret" not in str(raised.value)


@pytest.mark.parametrize("platform", SENT)
async def test_a_question_that_is_too_long_is_refused(api, client, platform):
    with pytest.raises(SendRefused, match="longer than"):
        await send(client, source(platform, api, account="1"), SECRETS, question_of(platform), "x" * 5_000, "k")


async def test_an_interaction_is_settled_with_its_own_token(api, client, caplog):
    caplog.set_level(logging.DEBUG)
    api.then({})
    await discord_api.settle(client, source("discord", api), packed(dc_interaction()), "Received.")
    method, path, headers, _ = api.asked[0]
    assert (method, path) == ("PATCH", "/webhooks/775799577604522054/A_UNIQUE_TOKEN/messages/@original")
    assert "authorization" not in headers
    assert "A_UNIQUE_TOKEN" not in caplog.text


async def test_media_of_whatsapp_are_fetched_in_two_steps_with_the_token(api, client):
    api.then({"url": f"{api.url}/media/1?hash=x", "file_size": 3, "id": "99"}).then(b"abc")
    assert await fetch(client, source("whatsapp", api), SECRETS, attachment("99")) == b"abc"
    assert [(method, path) for method, path, _, _ in api.asked] == [("GET", "/99"), ("GET", "/media/1?hash=x")]
    assert {headers["authorization"] for _, _, headers, _ in api.asked} == {f"Bearer {TOKEN}"}


async def test_files_of_telegram_are_fetched_in_two_steps(api, client, caplog):
    caplog.set_level(logging.DEBUG)
    api.then({"ok": True, "result": {"file_path": "documents/file 1.pdf", "file_size": 3}}).then(b"abc")
    assert await fetch(client, source("telegram", api), SECRETS, attachment("AwAD")) == b"abc"
    assert [path for _, path, _, _ in api.asked] == [f"/bot{TOKEN}/getFile", f"/file/bot{TOKEN}/documents/file%201.pdf"]
    assert json.loads(api.asked[0][3]) == {"file_id": "AwAD"}
    assert TOKEN not in caplog.text


async def test_files_of_discord_are_fetched_from_their_url_without_a_token(api, client):
    api.then(b"abc")
    assert await fetch(client, source("discord", api), SECRETS, attachment(f"{api.url}/attachments/1")) == b"abc"
    assert "authorization" not in api.asked[0][2]


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.discordapp.com/a",
        "https://cdn.discordapp.com.evil.example/a",
        "https://evildiscordapp.com/a",
        "https://cdn.discordapp.com@127.0.0.1/a",
        "https://cdn.discordapp.com:8443/a",
        "https://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/a",
        "http://localhost/a",
        "file:///etc/passwd",
        "no url",
        "http://[",
        "",
    ],
)
async def test_nothing_is_fetched_from_anywhere_else(api, client, url):
    with pytest.raises(FetchRefused):
        await fetch(client, source("discord", api), SECRETS, attachment(url))
    api.then({"url": url})
    with pytest.raises(FetchRefused):
        await fetch(client, source("whatsapp", api), SECRETS, attachment("99"))


async def test_a_redirect_leads_to_the_platform_only(api, client):
    url = f"{api.url}/a"
    api.then(b"", 302, Location="/b").then(b"abc")
    assert await fetch(client, source("discord", api), SECRETS, attachment(url)) == b"abc"
    api.then(b"", 302, Location="http://127.0.0.1:1/private")
    with pytest.raises(FetchRefused, match="not the platform's"):
        await fetch(client, source("discord", api), SECRETS, attachment(url))
    for _ in range(3):
        api.then(b"", 302, Location="/a")
    with pytest.raises(FetchRefused, match="again and again"):
        await fetch(client, source("discord", api), SECRETS, attachment(url))


async def test_what_is_too_large_is_refused_before_or_as_soon_as_it_shows(api, client):
    whatsapp = source("whatsapp", api, limit=10)
    api.then({"url": f"{api.url}/m", "file_size": 11})
    with pytest.raises(FetchRefused, match="larger than 10 bytes"):
        await fetch(client, whatsapp, SECRETS, attachment("99"))
    assert len(api.asked) == 1
    api.then({"url": f"{api.url}/m"}).then(b"x" * 11)
    with pytest.raises(FetchRefused, match="larger than 10 bytes"):
        await fetch(client, whatsapp, SECRETS, attachment("99"))
    api.then({"url": f"{api.url}/m"}).then(b"x" * 10)
    assert len(await fetch(client, whatsapp, SECRETS, attachment("99"))) == 10


async def test_a_stream_without_end_is_cut_off_at_the_limit(client):
    written = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                written += 65_536
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(FetchRefused, match="larger than 100,000 bytes"):
        await fetch(client, source("discord", Api(url), limit=100_000), SECRETS, attachment(f"{url}/a"))
    server.close()
    assert written < 50_000_000


@pytest.mark.parametrize(
    ("status", "error"), [(404, FetchRefused), (400, FetchRefused), (401, FetchFailed), (503, FetchFailed)]
)
async def test_an_attachment_that_is_gone_is_refused_and_one_that_is_away_is_not(api, client, status, error):
    for platform in ("whatsapp", "telegram"):
        api.then({"description": TOKEN, "error": {"message": TOKEN}}, status)
        with pytest.raises(error) as raised:
            await fetch(client, source(platform, api), SECRETS, attachment("99"))
        assert told_no_secret(raised.value)
        if isinstance(raised.value, FetchFailed):
            assert raised.value.retryable == (status == 503)
    api.then(b"", status)
    with pytest.raises(error):
        await fetch(client, source("discord", api), SECRETS, attachment(f"{api.url}/a"))


async def test_what_came_along_is_not_fetched(client):
    for platform in ("email", "http", "cloudevents", "folder", "database"):
        with pytest.raises(FetchRefused):
            await fetch(client, Configuration(platform, "x"), {}, attachment("1"))


async def test_apprise_is_given_sender_and_reference_in_its_url(api, client, caplog):
    caplog.set_level(logging.DEBUG)
    address = api.url.removeprefix("http://")
    secrets = {"URL": f"json://{address}/hook/{{to}}/{{reference}}?:token=hushhush"}
    configuration = Configuration("http", "Desk", reply=Reply(apprise="URL"))
    message = question_of("http", "ann/../bee?x=1")
    api.then({}).then({})
    first = await send(client, configuration, secrets, message, "Date?", "k1")
    assert first == await send(client, configuration, secrets, message, "Date?", "k1")
    method, path, _, body = api.asked[0]
    assert (method, path.split("?")[0].rstrip("/")) == ("POST", "/hook/ann%2F..%2Fbee%3Fx=1/wamid.ASKED")
    assert json.loads(body)["message"] == "Date?"
    assert json.loads(body)["title"] == "Desk"
    assert "hushhush" not in caplog.text


async def test_apprise_that_does_not_work_may_be_tried_again_and_one_that_is_none_may_not(api, client):
    configuration, hush = Configuration("http", "Desk", reply=Reply(apprise="URL")), "hush" * 2
    with pytest.raises(SendFailed) as raised:
        await send(client, configuration, {"URL": f"json://127.0.0.1:1/{hush}"}, question_of("http"), "Date?", "k")
    assert raised.value.retryable
    assert hush not in "".join(traceback.format_exception(raised.value))
    for url in (f"no-such-service://{hush}", "", hush):
        with pytest.raises(SendRefused) as refused:
            await send(client, configuration, {"URL": url}, question_of("http"), "Date?", "k")
        assert hush not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(SendRefused, match="sender is not known"):
        await send(client, configuration, {"URL": "json://127.0.0.1:1/{to}"}, question_of("http", ""), "Date?", "k")


async def test_a_source_that_says_nothing_about_answers_gets_none(client):
    with pytest.raises(SendRefused):
        await send(client, Configuration("folder", "Desk"), {}, question_of("folder"), "Date?", "k")


def told_no_secret(error):
    return TOKEN not in "".join(traceback.format_exception(error)) and TOKEN not in repr(error)
