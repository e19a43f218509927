"""No message of ours shows a password."""

import pytest

from sagacity.passwords import without_passwords
from sagacity.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at nats://ann:secret@h:1: no", "at nats://h:1: no"),
        ("nats://secret@h", "nats://h"),
        ("nats://a:secret@h1,nats://b:secret@h2", "nats://h1,nats://h2"),
        ("postgresql://u:sec@ret@h/db", "postgresql://h/db"),
        ("postgresql://u:secret/secret,secret@h/db", "postgresql://h/db"),
        ("postgresql://h/db?user=u&password=secret&x=1", "postgresql://h/db?user=u&password=…&x=1"),
        ("http://h/x by ann@h", "http://h/x by ann@h"),
    ],
)
def test_urls_are_shown_without_users_and_passwords(text, shown):
    assert without_passwords(text) == shown


@pytest.mark.parametrize("given", ["mysql://u:secret@h/db", "u:secret@h/db", "postgresql:/u:secret@h"])
def test_a_wrong_url_in_the_settings_is_shown_without_them_too(given):
    with pytest.raises(SettingsError) as error:
        load_settings({"database_url": given}, {})
    assert "secret" not in str(error.value)
    assert str(error.value).startswith("--database-url: must be postgresql://host… or postgres://host… (given: '")
