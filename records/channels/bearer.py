"""Deliveries that are not signed by a platform, but by who knows a secret of the source."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from records.channels import form
from records.channels.errors import NotGenuine


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    """`Authorization: Bearer <secret>`. Raises NotGenuine."""
    scheme, _, said = form.header(headers, "Authorization").partition(" ")
    right = hmac.compare_digest(said.strip().encode("utf-8", "replace"), secret.encode())
    if scheme.lower() != "bearer" or not right:
        raise NotGenuine("Authorization is missing, or not the secret of this source")
