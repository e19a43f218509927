"""A canary's counters from Prometheus: what is read, and that everything else is no data, said in one line.

The first part always runs, against a small HTTP server that answers what Prometheus' documentation says (or worse).
The second part runs where there is a `prometheus` (on PATH, or named by SAGACITY_PROMETHEUS): a real server scrapes a
real exporter, and what is read is compared with what was counted.
"""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import prometheus_client
import pytest
from aiohttp import web

from domain.analysis import PrometheusCounters
from domain.canary import Pair
from domain.measurement import Sample
from sagas.looking import MetricUnavailable
from sagas.prometheus import PrometheusReader
from tests.targets.arms import free_port

PROMETHEUS = os.environ.get("SAGACITY_PROMETHEUS") or shutil.which("prometheus")
EXPRESSIONS = {"canary_total": "a", "canary_bad": "b", "baseline_total": "c", "baseline_bad": "d"}


def vector(*values):
    """As documented for an instant vector: a sample is a time and a string."""
    result = [{"metric": {"__name__": "up", "job": "shop"}, "value": [1435781451.781, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def scalar(value, kind="scalar"):
    return {"status": "success", "data": {"resultType": kind, "result": [1435781451.781, value]}}


FINE = {"a": vector("300"), "b": vector("7"), "c": vector("310"), "d": vector("2")}


class Server:
    """Answers expressions with documents, or as `behave` says; remembers what it was asked."""

    def __init__(self):
        self.answers = dict(FINE)
        self.status = {}
        self.behave = None
        self.asked = []
        self.url = ""

    async def answer(self, request):
        self.asked.append(request)
        if self.behave is not None:
            return await self.behave(request)
        expression = request.query["query"]
        document = self.answers[expression]
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return web.Response(status=self.status.get(expression, 200), body=body, content_type="application/json")

    def counters(self, path="", **expressions):
        return PrometheusCounters(self.url + path, **{**EXPRESSIONS, **expressions})


@asynccontextmanager
async def serving(tls=None):
    served = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        served.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield served
    finally:
        await runner.cleanup()


@pytest.fixture
async def server():
    async with serving() as served:
        yield served


async def fault(counters, patience=5.0):
    with pytest.raises(MetricUnavailable) as raised:
        await PrometheusReader(patience)(counters)
    told = str(raised.value)
    assert "\n" not in told
    assert len(told) < 2000
    return told


async def test_four_counters_are_one_pair(server):
    assert await PrometheusReader()(server.counters()) == Pair(Sample(300, 7), Sample(310, 2))


async def test_they_are_asked_for_one_moment_and_all_at_once(server):
    """None is answered before all four are there."""
    together = asyncio.Barrier(4)

    async def behave(request):
        await together.wait()
        return web.json_response(vector("5"))

    server.behave = behave
    before = time.time()
    await PrometheusReader(4.0)(server.counters())
    (moment,) = {request.query["time"] for request in server.asked}
    assert before - 0.001 <= float(moment) <= time.time()
    assert {request.query["query"] for request in server.asked} == {"a", "b", "c", "d"}
    assert {(request.method, request.path) for request in server.asked} == {("GET", "/api/v1/query")}
    assert {request.query["timeout"] for request in server.asked} == {"4s"}


@pytest.mark.parametrize("path", ["/monitoring", "/monitoring/", "/monitoring?dedup=true#graph"])
async def test_a_server_may_live_below_a_path_and_take_parameters_of_its_own(server, path):
    await PrometheusReader()(server.counters(path))
    assert {request.path for request in server.asked} == {"/monitoring/api/v1/query"}
    assert {request.query.get("dedup") for request in server.asked} == {"true" if "?" in path else None}


async def test_an_expression_arrives_as_it_was_written(server):
    written = 'sum(answers{path=~"/a+b%20&c=d", shop="Käse"} offset 5m) # ?'
    server.answers[written] = vector("42")
    read = await PrometheusReader()(server.counters(canary_total=written))
    assert read.canary == Sample(42, 7)


@pytest.mark.parametrize(
    ("came", "whole"),
    [
        (vector("300.999"), 300),
        (vector("3e2"), 300),
        (vector("9.007199254740991e+15"), 2**53 - 1),
        (scalar("301"), 301),
        ({**vector("302"), "infos": ["PromQL info: metric might not be a counter, ..."]}, 302),
        ({**vector("303"), "of_a_later_version": {}}, 303),
    ],
)
async def test_fractions_are_rounded_down_and_scalars_are_as_good(server, came, whole):
    server.answers["a"] = came
    assert (await PrometheusReader()(server.counters())).canary == Sample(whole, 7)


async def test_a_bad_event_that_never_happened_is_not_there_to_be_counted(server):
    server.answers |= {"b": vector(), "d": vector()}
    assert await PrometheusReader()(server.counters()) == Pair(Sample(300, 0), Sample(310, 0))


FAULTS = {
    "nothing at all": (200, vector(), "no data"),
    "NaN": (200, vector("NaN"), "NaN, not a count"),
    "infinity": (200, scalar("+Inf"), "+Inf, not a count"),
    "minus infinity": (200, scalar("-Inf"), "-Inf, not a count"),
    "less than nothing": (200, vector("-0.5"), "-0.5, not a count"),
    "more than can be counted exactly": (200, vector("1e16"), "1e16, not a count"),
    "words": (200, vector("many"), "'many', not a number"),
    "several": (200, vector("1", "2", "3"), "3 samples, not one: is a sum() missing?"),
    "a string": (200, scalar("300", "string"), "a string, not a number"),
    "a matrix": (
        200,
        {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"]]}]}},
        "a matrix, not a number",
    ),
    "a histogram": (
        200,
        {
            "status": "success",
            "data": {
                "resultType": "vector",
                "result": [{"metric": {}, "histogram": [1, {"count": "5", "sum": "4", "buckets": []}]}],
            },
        },
        "a histogram, not a number",
    ),
    "a part of the data": (200, {**vector("3"), "warnings": ["a store is\naway"]}, "a warning: a store is away"),
    "a parse error": (
        400,
        {"status": "error", "errorType": "bad_data", "error": 'invalid parameter "query": 1:5: parse error'},
        'bad_data: invalid parameter "query": 1:5: parse error',
    ),
    "an expression that cannot be executed": (
        422,
        {"status": "error", "errorType": "execution", "error": "too many samples", "data": {"resultType": "", "x": 1}},
        "execution: too many samples",
    ),
    "an expression that takes too long": (
        503,
        {"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"},
        "timeout: query timed out in expression evaluation",
    ),
    "a gateway": (502, b"<h1>Bad Gateway</h1>", "status 502, and no answer of Prometheus' HTTP API"),
    "a success that is none": (500, vector("1"), "status 500, and no answer of Prometheus' HTTP API"),
    "somebody else": (200, {"greeting": "hello"}, "status 200, and no answer of Prometheus' HTTP API"),
    "numbers that are none": (200, vector(300), "status 200, and no answer of Prometheus' HTTP API"),
    "no data in a success": (200, {"status": "success"}, "status 200, and no answer of Prometheus' HTTP API"),
    "half an answer": (200, b'{"status":"success","data":{"resu', "status 200, and no answer of Prometheus' HTTP API"),
    "bytes that are no text": (200, b'{"status":"error","error":"\xff"}', "status 200, and no answer of"),
    "an abyss": (200, b'{"status":"success","data":' + b"[" * 100_000, "status 200, and no answer of"),
}


@pytest.mark.parametrize(("status", "came", "said"), FAULTS.values(), ids=FAULTS)
async def test_anything_but_a_count_is_no_data_and_says_what_was_asked_and_what_came(server, status, came, said):
    server.answers["sum (\n a )"] = came
    server.status["sum (\n a )"] = status
    told = await fault(server.counters(canary_total="sum (\n a )"))
    assert told.startswith(f"canary_total (sum ( a )): {said}")


@pytest.mark.parametrize("name", ["multiple", "NaN", "an error"])
async def test_bad_events_that_cannot_be_read_are_not_taken_for_none(server, name):
    documents = {
        "multiple": vector("1", "2"),
        "NaN": vector("NaN"),
        "an error": {"status": "error", "errorType": "internal", "error": "x"},
    }
    server.answers["d"] = documents[name]
    assert (await fault(server.counters())).startswith("baseline_bad (d): ")


async def test_every_fault_is_named_at_once(server):
    server.answers |= {"a": vector(), "d": vector("-1")}
    assert await fault(server.counters()) == "canary_total (a): no data; baseline_bad (d): -1, not a count"


async def test_more_bad_events_than_events_are_no_data(server):
    server.answers["d"] = vector("311")
    assert await fault(server.counters()) == "baseline_bad is 311, more than baseline_total: 310"


async def test_what_others_wrote_does_not_fill_the_log(server):
    long = "x" * 4000
    server.answers[long] = {"status": "error", "errorType": "bad_data", "error": "\x1b[31m" + "y" * 100_000}
    told = await fault(server.counters(canary_bad=long))
    assert len(told) < 450
    assert "\x1b" not in told


async def test_a_redirect_is_not_followed(server):
    async with serving() as elsewhere:

        async def behave(request):
            raise web.HTTPFound(elsewhere.url + str(request.rel_url))

        server.behave = behave
        assert "status 302, and redirects are not followed" in await fault(server.counters())
        assert elsewhere.asked == []


async def test_a_server_that_does_not_answer_is_waited_for_in_bounds(server):
    async def behave(request):
        await asyncio.sleep(30)

    server.behave = behave
    before = time.monotonic()
    told = await fault(server.counters(), patience=0.3)
    assert told == f"Prometheus at {server.url} does not answer within 0.3 s"
    assert time.monotonic() - before < 10


async def test_a_server_that_answers_drop_by_drop_is_waited_for_in_bounds(server):
    async def behave(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    server.behave = behave
    assert "does not answer within 0.3 s" in await fault(server.counters(), patience=0.3)


async def test_an_answer_without_end_is_left_early(server):
    async def behave(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    server.behave = behave
    assert "canary_total (a): an answer of more than 1048576 bytes; canary_bad" in await fault(server.counters())


async def test_a_server_that_hangs_up_is_no_data(server):
    async def behave(request):
        request.transport.abort()
        return web.Response()

    server.behave = behave
    assert (await fault(server.counters())).startswith(f"Prometheus at {server.url}: ")


async def test_a_look_can_be_broken_off(server):
    """Cancellation is no fault of the metric."""
    reached = asyncio.Event()

    async def behave(request):
        reached.set()
        await asyncio.sleep(30)

    server.behave = behave
    looking = asyncio.create_task(PrometheusReader()(server.counters()))
    await asyncio.wait_for(reached.wait(), 5)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_proxies_of_the_environment_are_not_asked(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "socks9://127.0.0.1:1")
    assert await PrometheusReader()(server.counters()) == Pair(Sample(300, 7), Sample(310, 2))


async def test_users_in_the_url_are_told_to_the_server_and_to_nobody_else(server, caplog):
    caplog.set_level("DEBUG")

    def with_user(counters):
        return PrometheusCounters(counters.url.replace("://", "://ann:secret@"), **EXPRESSIONS)

    await PrometheusReader()(with_user(server.counters()))
    assert {request.headers["Authorization"] for request in server.asked} == {"Basic YW5uOnNlY3JldA=="}
    server.behave = lambda request: asyncio.sleep(30)
    assert "secret" not in await fault(with_user(server.counters()), patience=0.1)
    assert "api/v1/query" in caplog.text
    assert "secret" not in caplog.text


async def test_nobody_there_is_no_data():
    url = f"http://127.0.0.1:{free_port()}"
    told = await fault(PrometheusCounters(url, **EXPRESSIONS))
    assert told == f"Prometheus at {url}: All connection attempts failed"


async def test_a_server_without_tls_is_not_asked_in_the_clear_for_an_https_url(server):
    url = server.url.replace("http:", "https:")
    assert (await fault(PrometheusCounters(url, **EXPRESSIONS))).startswith(f"Prometheus at {url}: ")
    assert server.asked == []


@pytest.fixture
def certificate(tmp_path):
    """Signed by itself, for 127.0.0.1; its key is beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate")
    made = tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*make.split(), *name, "-keyout", tmp_path / "key.pem", "-out", made], check=True, capture_output=True
    )
    return made


async def test_only_a_server_with_a_trusted_certificate_is_asked(certificate, monkeypatch):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    async with serving(tls) as server:
        assert "certificate verify failed" in await fault(server.counters())
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await PrometheusReader()(server.counters()) == Pair(Sample(300, 7), Sample(310, 2))


async def test_authorities_that_cannot_be_read_are_no_data(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authorities.pem")
    told = await fault(PrometheusCounters("https://127.0.0.1", **EXPRESSIONS))
    assert told.startswith("Prometheus at https://127.0.0.1: [Errno 2] No such file")


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1:9090", "http://", "http:///x", "http://127.0.0.1:70000", ""],
)
async def test_a_url_that_is_not_of_http_is_not_asked(url):
    assert await fault(PrometheusCounters(url, **EXPRESSIONS)) == "the url must be http(s)://host[:port][/path]"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:x",
        "http://[::1",
        "http://a..ö/",
        "http://\u2028/",
        "http://\ud800@127.0.0.1:1/",
        "http://127.0.0.1:0",
        f"http://{'a' * 70}.invalid/",
    ],
)
async def test_a_url_that_leads_nowhere_is_no_data(url):
    await fault(PrometheusCounters(url, **EXPRESSIONS))


class Shop(NamedTuple):
    """A real Prometheus that scrapes a real exporter; `answers` by arm and outcome."""

    url: str
    answers: prometheus_client.Counter

    def counters(self, **expressions):
        usual = {
            f"{arm}_{what}": f'sum(shop_answers_total{{arm="{arm}"{only}}})'
            for arm in ("canary", "baseline")
            for what, only in (("total", ""), ("bad", ',outcome="wrong"'))
        }
        return PrometheusCounters(self.url, **{**usual, **expressions})

    async def until(self, expected, **expressions):
        """A scrape or two later."""
        read, deadline = None, time.monotonic() + 20
        while read != expected and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            try:
                read = await PrometheusReader()(self.counters(**expressions))
            except MetricUnavailable as error:
                read = str(error)
        assert read == expected


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    if PROMETHEUS is None:
        pytest.skip("there is no prometheus on PATH, nor does SAGACITY_PROMETHEUS name one")
    home = tmp_path_factory.mktemp("prometheus")
    registry = prometheus_client.CollectorRegistry()
    answers = prometheus_client.Counter("shop_answers", "Answers.", ["arm", "outcome"], registry=registry)
    exporter, serving_thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    config = home / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\n"
        f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{exporter.server_port}']}}]}}]\n"
    )
    port = free_port()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={config}",
                f"--storage.tsdb.path={home / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_ready(port, process, home / "log")
        yield Shop(f"http://127.0.0.1:{port}", answers)
    finally:
        process.terminate()
        process.wait(20)
        exporter.shutdown()
        exporter.server_close()
        serving_thread.join(5)


def _wait_until_ready(port, process, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                pass
            if httpx.get(f"http://127.0.0.1:{port}/-/ready", trust_env=False).status_code == 200:
                return
        except (OSError, httpx.HTTPError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"prometheus is not ready: {log.read_text()}")


async def test_a_real_prometheus_shows_what_was_counted(shop):
    """The baseline has had no wrong answer, so for Prometheus there is no such counter yet."""
    shop.answers.labels("canary", "right").inc(128)
    shop.answers.labels("canary", "wrong").inc(9)
    shop.answers.labels("baseline", "right").inc(150)
    await shop.until(Pair(Sample(137, 9), Sample(150, 0)))
    for _ in range(25):
        shop.answers.labels("canary", "right").inc()
        shop.answers.labels("baseline", "wrong").inc()
    await shop.until(Pair(Sample(162, 9), Sample(175, 25)))


async def test_a_real_prometheus_gives_fractions_and_scalars(shop):
    shop.answers.labels("halved", "right").inc(101)
    half = 'sum(shop_answers_total{arm="halved"}) / 2'
    expected = Pair(Sample(50, 50), Sample(7, 3))
    await shop.until(expected, canary_total=half, canary_bad=half, baseline_total="7", baseline_bad="vector(3.9)")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("sum(nothing_like_that)", "no data"),
        ("shop_answers_total", "samples, not one: is a sum() missing?"),
        ("shop_answers_total[1m]", "a matrix, not a number"),
        ("'300'", "a string, not a number"),
        ("1 / 0", "+Inf, not a count"),
        ("0 / 0", "NaN, not a count"),
        ("-count(shop_answers_total)", ", not a count"),
        ("sum(", "bad_data: "),
        ("label_replace(vector(1), 'a', '$1', 'b', '(')", "execution: invalid regular expression"),
    ],
)
async def test_a_real_prometheus_says_what_is_wrong_with_an_expression(shop, expression, said):
    numbers = {"canary_bad": "0", "baseline_total": "1", "baseline_bad": "0"}
    for outcome in ("right", "wrong"):
        shop.answers.labels("several", outcome)
    there = 'count(shop_answers_total{arm="several"})'
    await shop.until(Pair(Sample(2, 0), Sample(1, 0)), canary_total=there, **numbers)
    told = await fault(shop.counters(canary_total=expression, **numbers))
    assert told.startswith(f"canary_total ({expression}): ")
    assert said in told
