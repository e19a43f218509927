from pathlib import Path

import pytest

from sagacity.settings import SettingsError, load_settings


@pytest.fixture
def data(tmp_path):
    def write(text):
        (tmp_path / "sagacity.toml").write_text(text)
        return str(tmp_path)

    return write


def test_defaults_give_way_to_the_file_the_file_to_the_environment_and_that_to_flags(data):
    home = data('port = 1001\nhost = "10.0.0.1"\nlog_level = "DEBUG"\n')
    settings = load_settings({"data": home, "port": 1003}, {"SAGACITY_PORT": "1002", "SAGACITY_HOST": "10.0.0.2"})
    assert (settings.port, settings.host, settings.log_level) == (1003, "10.0.0.2", "DEBUG")
    assert settings.nats_url is None


def test_directories_are_a_list_in_the_file_and_separated_by_commas_in_the_environment(data):
    home = data('skill_paths = ["/srv/code", "docs"]')
    paths = (Path("/srv/code"), Path("docs"))
    assert load_settings({"data": home}, {}).skill_paths == paths
    assert load_settings({"data": data("")}, {"SAGACITY_SKILL_PATHS": "/srv/code, docs"}).skill_paths == paths
    assert load_settings({"data": data("")}, {}).skill_paths == ()


def test_flags_that_were_not_given_do_not_count(data):
    assert load_settings({"data": data("port = 1001"), "port": None}, {}).port == 1001


@pytest.mark.parametrize(
    ("flags", "environ", "file", "fault"),
    [
        ({"port": "x"}, {}, "", "--port: Input should be a valid integer"),
        ({"port": 70000}, {}, "", "--port: Input should be less than or equal to 65535"),
        ({"port": -1}, {}, "", "--port: Input should be greater than or equal to 0"),
        ({"role": "boss"}, {}, "", "--role: Input should be 'api', 'projector', 'saga' or 'worker'"),
        ({"role": ""}, {}, "", "--role:"),
        ({}, {"SAGACITY_NATS_URL": "http://x"}, "", "SAGACITY_NATS_URL: must be nats://"),
        ({}, {"SAGACITY_NATS_URL": "nats://a, what"}, "", "SAGACITY_NATS_URL:"),
        ({}, {"SAGACITY_DATABASE_URL": "mysql://x"}, "", "SAGACITY_DATABASE_URL: must be postgresql://"),
        ({}, {"SAGACITY_NATS_REPLICAS": "2"}, "", "SAGACITY_NATS_REPLICAS: Input should be 1, 3 or 5"),
        ({}, {"SAGACITY_LOG_LEVEL": "LOUD"}, "", "SAGACITY_LOG_LEVEL:"),
        ({}, {}, "colour = 1", "colour in the settings file: there is no such setting"),
        ({}, {}, "port = [1]", "port in the settings file: Input should be a valid integer"),
        ({}, {}, "port = ", "is no valid TOML: Invalid value (at end of document)"),
        ({}, {}, 'retry_first = "soon"', "retry_first in the settings file:"),
        ({"config": "/nowhere/at/all.toml"}, {}, "", "/nowhere/at/all.toml: there is no such file"),
    ],
)
def test_each_wrong_setting_is_named_with_its_source(data, flags, environ, file, fault):
    with pytest.raises(SettingsError) as error:
        load_settings({"data": data(file), **flags}, environ)
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_all_wrong_settings_are_named_at_once(data):
    with pytest.raises(SettingsError) as error:
        load_settings({"data": data("colour = 1"), "port": "x"}, {"SAGACITY_LOG_LEVEL": "LOUD"})
    assert [fault.where for fault in error.value.faults] == [
        "--port",
        "SAGACITY_LOG_LEVEL",
        "colour in the settings file",
    ] or len(error.value.faults) == 3


def test_a_replicated_cluster_is_set_by_environment(data):
    settings = load_settings(
        {"data": data("")}, {"SAGACITY_NATS_URL": "nats://a,nats://b", "SAGACITY_NATS_REPLICAS": "3"}
    )
    assert settings.nats_replicas == 3


def test_variables_of_others_are_left_alone(data):
    assert load_settings({"data": data("")}, {"SAGACITY_URL": "http://x", "PORT": "1"}).port == 8000
