"""What the platforms deliver, in the form of their documentation."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)


def wa_message(kind="text", id="wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRC", sender="16503879439", **fields):
    return {"from": sender, "id": id, "timestamp": "1749416383", "type": kind, **fields}


def wa_change(*messages, **more):
    return {
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
            "contacts": [{"profile": {"name": "Sheena Nelson"}, "wa_id": "16503879439"}],
            **({"messages": list(messages)} if messages else {}),
            **more,
        },
    }


def wa_delivery(*changes):
    return packed(
        {"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": list(changes)}]}
    )


def wa_signed(body, secret):
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def tg_update(kind="message", update_id=10000, message_id=1365, **fields):
    return packed(
        {
            "update_id": update_id,
            kind: {
                "message_id": message_id,
                "from": {"id": 1111111, "is_bot": False, "first_name": "Test", "last_name": "Lastname"},
                "chat": {"id": 1111111, "type": "private", "first_name": "Test", "last_name": "Lastname"},
                "date": 1441645532,
                **fields,
            },
        }
    )


def snowflake(moment):
    return str((moment - BEGINNING) // timedelta(milliseconds=1) << 22)


def dc_interaction(kind=2, id="846462639134605312", **fields):
    return {
        "type": kind,
        "token": "A_UNIQUE_TOKEN",
        "member": {"user": {"id": "53908232506183680", "username": "mason", "global_name": "Mason"}, "roles": []},
        "id": id,
        "application_id": "775799577604522054",
        "guild_id": "290926798626357999",
        "channel_id": "645027906669510667",
        "locale": "fr",
        "version": 1,
        **fields,
    }


def dc_message(id="846462639134605312", **fields):
    return {
        "id": id,
        "type": 0,
        "channel_id": "645027906669510667",
        "author": {"id": "53908232506183680", "username": "mason"},
        "content": "hello",
        "timestamp": "2021-05-24T20:00:00+00:00",
        "edited_timestamp": None,
        "attachments": [],
        **fields,
    }


def dc_file(url="https://cdn.discordapp.com/attachments/1/2/scan.pdf?ex=1&is=2&hm=3"):
    return {"id": "77", "filename": "scan.pdf", "size": 1234, "url": url, "content_type": "application/pdf"}


def dc_signed(body, key: Ed25519PrivateKey, timestamp="1700000000"):
    signature = key.sign(timestamp.encode() + body)
    return {"x-signature-ed25519": signature.hex(), "x-signature-timestamp": timestamp}


def packed(value):
    return json.dumps(value).encode()
