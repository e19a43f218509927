"""`sagacity deployments` on a whole platform: list, follow to the end, logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Sagacity
from tests.up import Up, running_platform

SERVICE = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ["STATUS"]))
        self.end_headers()
    def log_message(self, *_):
        pass
print("I listen", flush=True)
print("to you", file=sys.stderr, flush=True)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_platform(tmp_path_factory.mktemp("deployments")) as up:
        yield up


def deploy(sagacity: Sagacity, up: Up, id: str, status: int) -> None:
    release = {"program": sys.executable, "arguments": ["-c", SERVICE], "environment": {"STATUS": str(status)}}
    policy = {"healthy_checks": 1, "unhealthy_checks": 1, "health_interval": 0.05}
    commands = [
        ("organization.register", "acme", {"name": "Acme"}),
        ("environment.register", "test", {"name": "T", "organization_id": "acme", "targets": [{"name": "here"}]}),
        ("stack.register", id, {"name": id, "organization_id": "acme"}),
        ("stack.publish_version", id, {"version": "1", "release": release}),
        ("deployment.request", id, {"stack_id": id, "environment_id": "test", "version": "1", "policy": policy}),
    ]
    for type, stream, data in commands:
        sent = sagacity("command", type, "--stream", stream, "--data", json.dumps(data), "--wait", "--url", up.url)
        assert sent.status == 0 or "already_registered" in sent.text, sent


def test_a_deployment_is_followed_to_its_end(up: Up, sagacity: Sagacity) -> None:
    deploy(sagacity, up, "good", 200)
    followed = sagacity("deployments", "follow", "good", "--url", up.url)
    assert followed.status == 0
    assert "1" in followed.text.splitlines()[0]
    assert len(followed.text.splitlines()) > 10
    written = sagacity("deployments", "logs", "good", "--url", up.url)
    assert (written.status, written.text, written.errors) == (0, "I listen\n", "to you\n")


def test_one_that_is_rolled_back_has_another_exit_status(up: Up, sagacity: Sagacity) -> None:
    deploy(sagacity, up, "sick", 500)
    followed = sagacity("deployments", "follow", "sick", "--url", up.url, "--json")
    assert followed.status == 1
    assert json.loads(followed.text.splitlines()[-1])["type"] == "deployment.rolled_back"
    listed = sagacity("deployments", "list", "--stack", "sick", "--url", up.url, "--json")
    assert [(row["id"], row["status"]) for row in json.loads(listed.out)] == [("sick", "rolled_back")]


def test_what_is_not_there(up: Up, sagacity: Sagacity) -> None:
    for command in ("follow", "logs"):
        called = sagacity("deployments", command, "nobody", "--url", up.url)
        assert (called.status, called.errors.count("\n")) == (2, 1)
        assert "nobody" in called.errors
