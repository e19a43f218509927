"""What would not work is said before anything is started."""

import socket

import pytest

from sagacity.embedded.directory import CannotStart
from sagacity.preflight import check_settings, needs_own_database
from sagacity.settings import load_settings

ELSEWHERE = {"nats_url": "nats://there"}
BOTH = {"nats_url": "nats://there", "database_url": "postgresql://there"}


def settings(tmp_path, **given):
    return load_settings({"data": tmp_path, "port": 0, **given}, {})


def fault(settings):
    try:
        check_settings(settings)
    except CannotStart as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("given", "roles", "own"),
    [
        ({}, "api", True),
        ({}, "saga,worker", True),
        ({"database_url": "postgresql://there"}, "api,projector", False),
        (ELSEWHERE, "api,projector", True),
        (ELSEWHERE, "api,projector,saga,worker", True),
        (ELSEWHERE, "saga,worker", False),
        (BOTH, "api", False),
        (BOTH, "projector", False),
    ],
)
def test_a_database_of_its_own_is_started_only_where_it_is_of_use(tmp_path, given, roles, own):
    """On a log elsewhere, that is where it is both filled and read; and only for those who need one."""
    found = settings(tmp_path, role=roles, **given)
    assert fault(found) is None
    assert needs_own_database(found) is own


@pytest.mark.parametrize("roles", ["api", "api,saga,worker"])
def test_an_api_on_a_log_elsewhere_needs_a_database_that_somebody_fills(tmp_path, roles):
    said = fault(settings(tmp_path, role=roles, **ELSEWHERE))
    assert said == "--database-url is missing: role api reads what a projector fills, and none fills a database here"


def test_a_projector_on_a_log_elsewhere_needs_a_database_that_somebody_reads(tmp_path):
    said = fault(settings(tmp_path, role="projector,worker", **ELSEWHERE))
    assert said == "--database-url is missing: role projector fills what an api reads, and none reads a database here"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("not-a-host.invalid", "host not-a-host.invalid is not known here; choose another --host"),
        ("a..b", "host a..b is not known here; choose another --host"),
        ("192.0.2.1", "host 192.0.2.1 is no address of this machine; choose another --host"),
    ],
)
def test_a_host_where_nobody_can_listen_is_named(tmp_path, host, said):
    assert fault(settings(tmp_path, host=host)) == said
    assert fault(settings(tmp_path, host=host, role="saga,worker")) is None


def test_a_port_that_is_taken_is_named_with_everything_else_that_is_wrong(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = fault(settings(tmp_path, port=port, role="api", **ELSEWHERE))
    assert said.startswith("--database-url is missing: ")
    assert said.endswith(f"; port {port} of 127.0.0.1 is taken; choose another --port")
