"""Datasets over HTTP: uploaded or made up, the same one for the same rows, and looked at."""

import asyncio
import hashlib
import io
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pyarrow
import pytest
from pyarrow import parquet

from tests.api.calls import fresh, send
from tests.api.test_bad_input import is_problem, position

CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}
PATH = "/api/v1/datasets"


def rows_of_its_own(count=3):
    """(age, churned) of each: that nobody else has, so that they are a dataset of their own."""
    tag = fresh("v")
    return [(float(20 + number), f"{tag}-{number % 2}") for number in range(count)]


def csv_of(rows):
    return "".join(["age,churned\n", *(f"{age},{churned}\n" for age, churned in rows)]).encode()


def ndjson_of(rows):
    return "".join(json.dumps({"age": age, "churned": churned}) + "\n" for age, churned in rows).encode()


def parquet_of(rows):
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table({"age": [age for age, _ in rows], "churned": [c for _, c in rows]}), sink)
    return sink.getvalue()


def upload(http, content, headers=CSV, **query):
    return http.post(PATH, content=content, params=query, headers=headers)


def values(http, id, **query):
    answer = http.get(f"{PATH}/{id}/samples", params=query)
    assert answer.status_code == 200, answer.text
    return [tuple(item["values"].values()) for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("text/csv", csv_of),
        ("Text/CSV; charset=UTF-8", csv_of),
        ("application/x-ndjson", ndjson_of),
        ("application/vnd.apache.parquet", parquet_of),
        ("application/x-parquet", parquet_of),
    ],
)
def test_an_uploaded_file_is_a_dataset_with_its_rows(http, kind, write):
    rows, id = rows_of_its_own(), fresh("ds")
    answer = upload(http, write(rows), {"Content-Type": kind}, id=id, name="Customers", target="churned")
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["dataset_id"], body["samples"], body["target"], body["quality_score"]) == (id, 3, "churned", 1.0)
    assert [(column["name"], column["type"]) for column in body["columns"]] == [
        ("age", "number"),
        ("churned", "category"),
    ]
    assert body["columns"][0]["mean"] == 21.0
    assert int(answer.headers["X-Position"]) == body["position"]
    assert values(http, id) == rows
    for path in body["_links"].values():
        assert http.get(path, params={"min_position": body["position"]}).status_code == 200, path


def test_the_record_of_an_upload_says_who_it_was_and_what_was_sent(http):
    content, id = csv_of(rows_of_its_own()), fresh("ds")
    answer = upload(http, content, {**CSV, "X-Actor": "bob", "X-Correlation-Id": "monday"}, id=id)
    (event,) = http.get(answer.json()["_links"]["events"]).json()["items"]
    assert (event["type"], event["actor"], event["correlationid"]) == ("dataset.registered", "bob", "monday")
    assert event["data"]["name"] == id
    assert event["data"]["content"] == answer.json()["content"]
    assert event["data"]["metadata"] == {"format": "csv", "file_sha256": hashlib.sha256(content).hexdigest()}
    command = http.get(answer.json()["_links"]["command"]).json()
    assert (command["command"], command["outcome"]) == ("dataset.register", "accepted")


def test_a_dataset_without_an_id_is_called_by_its_rows(http):
    """However they were written: the same rows are one dataset."""
    rows = rows_of_its_own()
    first, again, other = upload(http, csv_of(rows)), upload(http, csv_of(rows)), upload(http, ndjson_of(rows), NDJSON)
    body = first.json()
    assert body["dataset_id"] == f"ds-{body['content'][:16]}"
    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 200]
    assert again.json() == {**body, "duplicate": True}
    assert (other.json()["dataset_id"], other.json()["duplicate"]) == (body["dataset_id"], True)
    assert len(http.get(body["_links"]["events"]).json()["items"]) == 1


def test_other_rows_under_the_same_id_are_refused_on_the_record(http):
    id = fresh("ds")
    upload(http, csv_of(rows_of_its_own()), id=id)
    problem = is_problem(upload(http, csv_of(rows_of_its_own()), id=id), 409, "dataset-already-registered")
    assert http.get(f"/api/v1/commands/{problem['command_id']}").json()["outcome"] == "refused"


def test_the_same_key_is_the_same_command_whatever_is_sent_with_it(http):
    key, rows = fresh("key"), rows_of_its_own()
    first = upload(http, csv_of(rows), {**CSV, "Idempotency-Key": key})
    again = upload(http, csv_of(rows_of_its_own()), {**CSV, "Idempotency-Key": key})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "duplicate": True}


def test_a_key_of_another_command_is_no_key_of_this_one(http):
    answer = send(http, "organization.register", fresh("org"), {"name": "Acme"}, id=fresh("key")).json()
    refused = upload(http, csv_of(rows_of_its_own()), {**CSV, "Idempotency-Key": answer["command_id"]})
    assert "another command, organization.register" in is_problem(refused, 422, "invalid")["detail"]


def test_a_discarded_dataset_that_is_uploaded_again_stays_discarded_and_says_so(http):
    content, id = csv_of(rows_of_its_own()), fresh("ds")
    upload(http, content, id=id)
    assert send(http, "dataset.discard", id, {"reason": "of the wrong year"}).status_code == 201
    again = upload(http, content, id=id)
    assert (again.status_code, again.json()["discarded"]) == (200, True)


def form(name, content, field="file", **more):
    return {field: (name, content), **more}


@pytest.mark.parametrize(
    ("ending", "write"), [("csv", csv_of), ("CSV", csv_of), ("jsonl", ndjson_of), ("parquet", parquet_of)]
)
def test_a_form_with_a_file_is_an_upload_of_the_kind_that_its_name_says(http, ending, write):
    rows, id = rows_of_its_own(), fresh("ds")
    answer = http.post(PATH, files=form(f"customers.{ending}", write(rows)), params={"id": id})
    assert answer.status_code == 201, answer.text
    assert values(http, id) == rows
    (event,) = http.get(answer.json()["_links"]["events"]).json()["items"]
    assert (event["data"]["name"], event["data"]["metadata"]["file_name"]) == (f"customers.{ending}",) * 2


def named(name, content):
    """The body of a form with one file."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n' % name
    return {
        "content": head + content + b"\r\n--x--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    }


@pytest.mark.parametrize("name", [b"a\0b.csv", b"x" * 3000 + b".csv", b"../\xc3\xbc.csv", b"%00a.csv"])
def test_a_file_may_be_called_whatever_its_system_lets_it(http, name):
    answer = http.post(PATH, **named(name, csv_of(rows_of_its_own())))
    assert answer.status_code == 201, answer.text
    (event,) = http.get(answer.json()["_links"]["events"]).json()["items"]
    assert 0 < len(event["data"]["name"]) <= 120


def test_a_name_that_is_no_text_is_refused(http):
    is_problem(http.post(PATH, **named(b"\xff.csv", b"a\n1\n")), 400, "malformed")


@pytest.mark.parametrize(
    ("files", "status", "name", "text"),
    [
        (form("a.xlsx", b"a\n1\n"), 415, "unsupported-media-type", "'a.xlsx' does not end as a table does: .csv"),
        (form("a.csv", b"a\n1\n", field="data"), 400, "malformed", "it has 'data'"),
        (form("a.csv", b"a\n1\n", more=("b.csv", b"b\n1\n")), 400, "malformed", "it has 'file', 'more'"),
        ({"file": (None, b"a\n1\n")}, 400, "malformed", "it has 'file'"),
        ({"file": (None, b"\xff")}, 400, "malformed", "cannot be read"),
    ],
    ids=["another kind", "another field", "two files", "no file", "no text"],
)
def test_a_form_that_is_no_upload_is_refused(http, files, status, name, text):
    assert text in is_problem(http.post(PATH, files=files), status, name)["detail"]


@pytest.mark.parametrize("body", [b"", b"--x\r\n", b"no form at all"])
def test_a_form_that_is_cut_off_is_refused(http, body):
    answer = http.post(PATH, content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    is_problem(answer, 400, "malformed")
    is_problem(http.post(PATH, content=body, headers={"Content-Type": "multipart/form-data"}), 400, "malformed")


def test_a_form_of_another_sites_page_is_refused(http):
    """A browser sends forms without asking whether it may."""
    answer = http.post(PATH, files=form("a.csv", b"a\n1\n"), headers={"Origin": "https://elsewhere.example"})
    is_problem(answer, 403, "other-origin")
    own = str(http.base_url).rstrip("/")
    assert http.post(PATH, files=form("a.csv", csv_of(rows_of_its_own())), headers={"Origin": own}).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "image/png", "text/csv; charset=latin-1", None])
def test_a_body_of_another_kind_is_not_taken(http, kind):
    before = position(http)
    answer = upload(http, b"a\n1\n", {} if kind is None else {"Content-Type": kind})
    is_problem(answer, 415, "unsupported-media-type")
    assert position(http) == before


def test_everything_that_is_wrong_with_a_file_is_named_at_once_and_nothing_is_recorded(http):
    before = position(http)
    answer = upload(http, b"a,a,c\n1,2\ninf,1,x\n")
    faults = is_problem(answer, 422, "invalid")["faults"]
    assert [fault["what"] for fault in faults] == [
        "row 1: has 2 cells, not 3",
        "column 2: is called 'a', as column 1 is",
        "row 2, column 'a': is infinite",
    ]
    assert {fault["where"] for fault in faults} == {"body"}
    assert position(http) == before


@pytest.mark.parametrize(
    ("query", "headers", "where"),
    [
        ({"id": "a b"}, {}, ["id"]),
        ({"id": "generate"}, {}, ["id"]),
        ({"id": "", "name": "a\0"}, {"Idempotency-Key": "a.b"}, ["id", "name", "header idempotency-key"]),
        ({"target": "shoe"}, {}, ["target"]),
        ({}, {"X-Actor": "a\tb"}, ["header x-actor"]),
    ],
)
def test_what_a_dataset_cannot_be_called_is_named_all_at_once(http, query, headers, where):
    before = position(http)
    answer = upload(http, csv_of(rows_of_its_own()), {**CSV, **headers}, **query)
    assert [fault["where"] for fault in is_problem(answer, 422, "invalid")["faults"]] == where
    assert position(http) == before


@pytest.mark.parametrize("name", ["", "x" * 121])
def test_a_name_has_up_to_120_characters(http, name):
    is_problem(upload(http, b"a\n1\n", name=name), 422, "invalid-query")


def in_chunks(size):
    for _ in range(size // 1_000_000):
        yield b"1\n" * 500_000


@pytest.mark.parametrize("as_a_form", [False, True])
def test_a_file_that_is_too_large_is_refused_and_its_sender_is_told(http, as_a_form):
    content = b"a\n" + b"1\n" * 34_000_000
    answer = http.post(PATH, files=form("a.csv", content)) if as_a_form else upload(http, content)
    assert "at most 67108864 bytes" in is_problem(answer, 413, "too-large")["detail"]


def test_a_stream_without_a_length_that_is_too_large_is_refused_too(http):
    assert "67108864" in is_problem(upload(http, in_chunks(80_000_000)), 413, "too-large")["detail"]


def test_the_record_of_a_table_fits_a_message_of_the_log_or_the_table_is_refused(http):
    """A thousand columns with ordinary names and long values do; with names of 800 bytes each they do not."""
    long = ",".join(["x" * 50] * 1000)
    wide = "\n".join([",".join(f"c{number}" for number in range(1000)), long, long])
    assert upload(http, wide.encode(), id=fresh("ds")).status_code == 201
    names = ",".join(f"{number}".rjust(200, "🙂") for number in range(1000))
    wider = "\n".join([names, *(",".join([f"{row}".rjust(60, "🙂")] * 1000) for row in range(4))])
    is_problem(upload(http, wider.encode(), id=fresh("ds")), 413, "too-large")


def generate(http, path=f"{PATH}/generate", **body):
    return http.post(path, json=body)


@pytest.mark.parametrize("path", [f"{PATH}/generate", "/generate"])
def test_a_dataset_can_be_made_up_and_made_again_from_its_record(http, path):
    seed = time.time_ns() % 2**53
    answer = generate(http, path, samples=200, seed=seed)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["samples"], body["target"]) == (200, "target")
    assert [column["name"] for column in body["columns"]] == ["feature1", "feature2", "target"]
    (event,) = http.get(body["_links"]["events"]).json()["items"]
    made = event["data"]["metadata"]
    assert made == {"generator": "two_features/1", "samples": 200, "seed": seed}
    assert event["data"]["source"] == "generated"
    again = generate(http, path, samples=made["samples"], seed=made["seed"])
    assert (again.status_code, again.json()["content"]) == (200, body["content"])


def test_a_made_up_dataset_is_called_as_it_is_wanted(http):
    id, seed = fresh("ds"), time.time_ns() % 2**53
    assert generate(http, samples=5, seed=seed, id=id, name="Five").json()["dataset_id"] == id
    (event,) = http.get(f"{PATH}/{id}/events").json()["items"]
    assert event["data"]["name"] == "Five"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, [""]),
        ({"samples": 0, "seed": -1, "shape": "round"}, ["", "/samples", "/seed"]),
        ({"samples": 1_000_001}, ["/samples"]),
        ({"samples": 2.5, "id": "a b", "name": ""}, ["/id", "/name", "/samples"]),
        ({"samples": True}, ["/samples"]),
        ({"samples": 1, "id": "generate"}, ["id"]),
        ([], [""]),
    ],
)
def test_what_cannot_be_made_up_is_refused_with_every_fault(http, body, where):
    answer = http.post(f"{PATH}/generate", json=body)
    assert [fault["where"] for fault in is_problem(answer, 422, "invalid")["faults"]] == where


@pytest.mark.parametrize(
    ("raw", "kind", "status", "name"),
    [
        (b"", "application/json", 400, "malformed"),
        (b'{"samples": 1', "application/json", 400, "malformed"),
        (b'{"samples": 1}', "text/plain", 415, "unsupported-media-type"),
        (b"\xff", "application/json", 400, "malformed"),
    ],
)
def test_a_wish_that_cannot_be_read_is_refused(http, raw, kind, status, name):
    is_problem(http.post(f"{PATH}/generate", content=raw, headers={"Content-Type": kind}), status, name)


def test_rows_come_in_pages_that_lead_to_each_other(http):
    rows, id = rows_of_its_own(7), fresh("ds")
    upload(http, csv_of(rows), id=id)
    path, seen = f"{PATH}/{id}/samples?limit=3", []
    while path:
        page = http.get(path).json()
        seen += [(item["row"], *item["values"].values()) for item in page["items"]]
        path = page["_links"].get("next")
    assert seen == [(number, *row) for number, row in enumerate(rows, 1)]


def test_rows_are_found_wherever_they_stand_in_a_large_dataset(http):
    """A file holds them in groups of 65,536."""
    id = fresh("ds")
    rows = [(float(number), "x") for number in range(140_000)]
    upload(http, csv_of(rows), id=id)
    for offset in (0, 65_535, 65_536, 131_071, 139_998):
        assert values(http, id, offset=offset, limit=2) == rows[offset : offset + 2]
    for offset in (140_000, 2**63 - 1):
        assert values(http, id, offset=offset) == []


def test_what_is_missing_is_null(http):
    id = fresh("ds")
    upload(http, b"age,city\n1,\n,oslo\n", id=id)
    assert values(http, id) == [(1.0, None), (None, "oslo")]


@pytest.mark.parametrize("id", ["nothing", "a.b"])
def test_there_are_no_rows_of_what_is_not_there(http, id):
    is_problem(http.get(f"{PATH}/{id}/samples"), 404, "not-found")


@pytest.mark.parametrize("query", [{"offset": -1}, {"limit": 0}, {"limit": 501}, {"offset": "x"}])
def test_a_page_that_cannot_be_is_refused(http, query):
    is_problem(http.get(f"{PATH}/any/samples", params=query), 422, "invalid-query")


def test_nobody_waits_while_a_large_table_is_in_work(http):
    """It is read, described and written in a thread; others are answered meanwhile."""
    content = b"".join(b'{"row": %d, "of": "%d"}\n' % (number, time.time_ns()) for number in range(200_000))
    began, longest = time.monotonic(), 0.0
    with ThreadPoolExecutor(1) as thread:
        uploaded = thread.submit(upload, http, content, NDJSON)
        while not uploaded.done():
            asked = time.monotonic()
            assert http.get("/health/live").status_code == 200
            longest = max(longest, time.monotonic() - asked)
    assert uploaded.result().status_code == 201
    assert longest < (time.monotonic() - began) / 2


async def test_uploads_wait_for_each_other_and_too_many_are_told_to_come_later(platform):
    """Four are taken in at a time, the files of sixteen more are left where they are, and nothing is lost."""
    cell, ends = b"x" * 999, asyncio.Event()

    async def file(tag, begun):
        yield b"tag,text\n" + (b"%s,%s\n" % (tag, cell)) * 16_000  # more than sockets hold: somebody is reading
        begun.set()
        await ends.wait()
        yield b"%s,end\n" % tag

    async with asyncio.timeout(60), httpx.AsyncClient(base_url=platform.url, timeout=60) as client:
        begun = [asyncio.Event() for _ in range(4)]
        slow = [
            asyncio.create_task(client.post(PATH, content=file(b"%d" % n, begun[n]), headers=CSV)) for n in range(4)
        ]
        await asyncio.gather(*(each.wait() for each in begun))
        more = [
            asyncio.create_task(client.post(PATH, content=csv_of(rows_of_its_own()), headers=CSV)) for _ in range(20)
        ]
        refused = [await each for each in itertools.islice(asyncio.as_completed(more), 4)]
        assert (await client.get("/health/live")).status_code == 200
        waiting = [each for each in (*slow, *more) if not each.done()]
        ends.set()
        taken = await asyncio.gather(*waiting)
    for answer in refused:
        is_problem(answer, 503, "overloaded")
        assert answer.headers["Retry-After"] == "1"
    assert len(taken) == 20
    assert {answer.status_code for answer in taken} == {201}
