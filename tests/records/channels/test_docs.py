import json
import re
from pathlib import Path

import msgspec

from domain.source import Register
from records.channels import CHANNELS

PAGE = (Path(__file__).parents[3] / "docs" / "channels.md").read_text()


def test_every_command_of_the_page_is_one():
    commands = [json.loads(text) for text in re.findall(r"```json source\n(.*?)```", PAGE, re.DOTALL)]
    assert {command["data"]["platform"] for command in commands} == {
        "whatsapp",
        "telegram",
        "discord",
        "email",
        "http",
        "cloudevents",
    }
    for command in commands:
        msgspec.convert({"type": command["type"], **command["data"]}, type=Register)


def test_every_platform_is_on_the_page():
    assert [platform for platform in CHANNELS if f"`{platform}`" not in PAGE] == []
