"""Checks of addresses that answer, answer otherwise, or do not."""

import asyncio
import socket
from contextlib import asynccontextmanager

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from jsonschema import Draft202012Validator

from handlers.schema_faults import faults_of
from skills.offline.http_check import http_check
from skills.skill import SkillFailed, skill_of
from tests.skills.asking import asked, context

SEEN = []
BODY = {"status": "up", "checks": [{"name": "log", "ok": True, "lag": 0}]}


async def health(request):
    SEEN.append((request.host.partition(":")[0], request.headers.get("Authorization")))
    return web.json_response(BODY)


async def repeated(request):
    return web.json_response({"said": request.headers.get("Authorization")})


async def slow(request):
    await asyncio.sleep(0.3)
    return web.Response(text="late")


async def large(request):
    return web.Response(body=b"x" * 1_500_000)


async def moved(request):
    return web.Response(status=302, headers={"Location": request.query["to"]})


@asynccontextmanager
async def served():
    app = web.Application()
    for answer in (health, repeated, slow, large, moved):
        app.router.add_get(f"/{answer.__name__}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture
async def port():
    SEEN.clear()
    async with served() as port:
        yield port


def check(port, path="/health", within=None, **given):
    return asked(skill_of(http_check), {"url": f"http://127.0.0.1:{port}{path}", **given}, within)


async def test_what_is_as_it_should_be_passes_with_its_latency(port):
    checked = await check(port, contains="up")
    assert (checked["passed"], checked["faults"], checked["status"]) == (True, [], 200)
    assert 0 < checked["milliseconds"] < 10_000
    assert checked["bytes"] > 10


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"status": [204, 201]}, "status 200, expected 204 or 201"),
        ({"contains": "down"}, "'down' is not in the body"),
        ({"jmespath": "status", "value": "down"}, 'status is "up", expected "down"'),
        ({"jmespath": "nothing"}, "nothing is not there"),
        ({"jmespath": "checks[0].lag", "value": False}, "checks[0].lag is 0, expected false"),
        ({"jmespath": "length(status, status)"}, "length"),
        ({"slowest": 0.000001}, "it took"),
    ],
)
async def test_each_expectation_that_is_not_met_is_a_fault(port, given, fault):
    checked = await check(port, **given)
    assert not checked["passed"]
    assert len(checked["faults"]) == 1
    assert fault in checked["faults"][0]


async def test_values_are_found_by_their_path(port):
    for given in (
        {"jmespath": "checks[?name=='log'] | [0].ok", "value": True},
        {"jmespath": "checks[0].lag", "value": 0},
    ):
        assert (await check(port, **given))["passed"], given


async def test_all_faults_are_told_at_once(port):
    checked = await check(port, status=[500], contains="zzz", jmespath="zzz")
    assert len(checked["faults"]) == 3


async def test_what_does_not_answer_is_a_result(port):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = await check(unused.getsockname()[1])
    assert (closed["passed"], closed["status"]) == (False, None)
    assert "ConnectError" in closed["faults"][0]
    late = await check(port, "/slow", timeout=0.05)
    assert (late["passed"], late["status"]) == (False, None)
    assert "not answered after 0.05 s" in late["faults"][0] or "Timeout" in late["faults"][0]


async def test_of_a_large_answer_only_the_beginning_is_read(port):
    checked = await check(port, "/large")
    assert (checked["bytes"], checked["faults"]) == (1_000_000, ["only the first 1000000 bytes were read"])


@pytest.fixture
def secret(port, monkeypatch):
    monkeypatch.setenv("HTTP_CHECK_HERE", f"127.0.0.1:{port} Bearer secret")
    return {"secret_headers": {"Authorization": "HTTP_CHECK_HERE"}}


async def test_redirections_stay_on_the_host_unless_asked_for_and_secrets_always_do(port, secret):
    same = await check(port, "/moved?to=/health", **secret)
    assert (same["passed"], same["url"]) == (True, f"http://127.0.0.1:{port}/health")
    assert SEEN == [("127.0.0.1", "Bearer secret")]

    away = f"/moved?to=http://localhost:{port}/health"
    kept = await check(port, away)
    assert (kept["status"], kept["passed"]) == (302, False)
    assert "it leads to another host: localhost" in kept["faults"]
    assert (await check(port, away, status=[302], redirects="none"))["passed"]
    assert len(SEEN) == 1

    assert (await check(port, away, redirects="any", **secret))["passed"]
    assert SEEN[1:] == [("localhost", None)]
    loop = await check(port, f"/moved?to=/moved%3Fto%3D/moved%253Fto%253D{'/x' * 3}")
    assert not loop["passed"]
    nowhere = await check(port, "/moved?to=http://[")
    assert (nowhere["passed"], len(nowhere["faults"]) > 0) == (False, True)


async def test_a_secret_that_whoever_was_asked_repeats_is_not_on_the_record(port, secret):
    repeated = await check(port, "/repeated", jmespath="said", value="nothing", **secret)
    assert repeated["faults"] == ['said is "•••", expected "nothing"']
    assert (await check(port, "/repeated", contains="Bearer secret", **secret))["passed"], "it was sent"


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-API-Key", "X-Auth-Token", "Proxy-Authorization"])
def test_a_header_that_may_be_secret_is_refused_when_its_value_is_given_openly(name):
    """By the schema, before it is on the record, and by whoever is asked without it."""
    skill = skill_of(http_check)
    plain = {"url": "http://127.0.0.1/", "headers": {"Accept": "application/json"}}
    given = {**plain, "headers": {name: "abc", **plain["headers"]}}
    with pytest.raises(msgspec.ValidationError, match=f"{name}: .*name a variable of the worker in `secret_headers`"):
        skill.read(given)
    schema = Draft202012Validator(skill.specification.input)
    (fault,) = [fault for error in schema.iter_errors(given) for fault in faults_of(error)]
    assert fault.where == "/data/headers"
    assert fault.what.startswith(f"'{name}': headers that may be secret")
    assert "`secret_headers`" in fault.what
    assert list(schema.iter_errors(plain)) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "HTTP_CHECK_HERE is not set"),
        ("elsewhere.example Bearer secret", "HTTP_CHECK_HERE is not for 127.0.0.1"),
        ("127.0.0.1", "HTTP_CHECK_HERE has no value"),
        ("127.0.0.1 a\nb", "HTTP_CHECK_HERE has no value"),
    ],
)
async def test_a_secret_goes_to_the_host_that_its_variable_names_and_to_no_other(port, monkeypatch, value, reason):
    if value is not None:
        monkeypatch.setenv("HTTP_CHECK_HERE", value)
    with pytest.raises(SkillFailed, match=reason) as failed:
        await check(port, secret_headers={"Authorization": "HTTP_CHECK_HERE"})
    assert not failed.value.retryable
    assert "secret" not in failed.value.reason
    assert SEEN == []


async def test_no_other_variable_of_the_worker_can_be_had(port):
    with pytest.raises(msgspec.ValidationError):
        await check(port, secret_headers={"X": "PATH"})
    assert SEEN == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"url": "http://ann:word@127.0.0.1/"}, "must hold no password"),
        ({"url": "ftp://127.0.0.1/"}, "must begin with http"),
        ({"url": "http://"}, "must begin with http"),
        ({"url": "http://127.0.0.1/", "jmespath": "a["}, "no JMESPath"),
    ],
)
async def test_what_cannot_be_asked_is_refused(given, reason):
    with pytest.raises(SkillFailed, match=reason) as failed:
        await asked(skill_of(http_check), given)
    assert not failed.value.retryable


LINK_LOCAL = (
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "169.254.43518"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fe80::1]"),
)
TRANSLATED = ("[64:ff9b::a9fe:a9fe]", "[::a9fe:a9fe]", "[2002:a9fe:a9fe::]")
METADATA = (
    *("[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("[::ffff:100.100.100.200]", "[64:ff9b::6464:64c8]", "[2002:6464:64c8::]"),
)
METADATA_NAMES = ("metadata.google.internal", "METADATA.google.internal.", "metadata.goog")
NOBODY = ("0.0.0.0", "0", "[::]", "[::ffff:0.0.0.0]", "224.0.0.1", "[ff02::1]")


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        *((host, "link-local") for host in (*LINK_LOCAL, *TRANSLATED)),
        *((host, "a cloud gives credentials away") for host in METADATA),
        *((host, "what a cloud tells its machines") for host in METADATA_NAMES),
        *((host, "no address of one host") for host in NOBODY),
    ],
)
async def test_what_is_no_address_of_a_server_is_never_asked_however_it_is_written(port, host, reason):
    with pytest.raises(SkillFailed, match=reason) as failed:
        await asked(skill_of(http_check), {"url": f"http://{host}:{port}/health"})
    assert not failed.value.retryable
    led = await check(port, f"/moved?to=http://{host}:{port}/health", redirects="any")
    assert (led["status"], led["passed"]) == (302, False)
    assert reason in led["faults"][0]
    assert SEEN == []


async def test_a_number_with_a_dot_behind_it_reaches_nothing(port):
    for host in ("169.254.169.254.", "0.0.0.0."):
        checked = await asked(skill_of(http_check), {"url": f"http://{host}:{port}/health"})
        assert (checked["passed"], checked["status"]) == (False, None)
    assert SEEN == []


async def test_all_addresses_of_a_name_count_and_no_other_is_asked_than_those_that_were_looked_at(port, monkeypatch):
    """Names are looked up once for each request; who answers for them is not in our hands, so the answers are given."""
    looked_up, answers = [], {}

    async def getaddrinfo(loop, host, port, **_):
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.get(host, [host])]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo)
    answers["two.example"] = ["127.0.0.1", "169.254.169.254"]
    with pytest.raises(SkillFailed, match=r"two\.example has a link-local address"):
        await asked(skill_of(http_check), {"url": f"http://two.example:{port}/health"})
    assert SEEN == []

    answers["one.example"] = ["127.0.0.1"]
    checked = await asked(skill_of(http_check), {"url": f"http://one.example:{port}/health"})
    assert (checked["passed"], SEEN) == (True, [("one.example", None)])
    assert checked["url"] == f"http://one.example:{port}/health"
    assert looked_up.count("one.example") == 1

    answers["three.example"] = ["127.0.0.1", "fd00:ec2::254"]
    led = await check(port, f"/moved?to=http://three.example:{port}/health", redirects="any")
    assert (led["status"], led["passed"]) == (302, False)
    assert "three.example, which has fd00:ec2::254" in led["faults"][0]


async def test_nothing_is_asked_where_the_network_is_not_granted(port):
    with pytest.raises(SkillFailed, match="the network is not granted"):
        await check(port, within=context(network=False))
    assert SEEN == []
