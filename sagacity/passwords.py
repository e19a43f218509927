"""No message shows a password: URLs of servers carry them, and messages end up in logs and tickets."""

from __future__ import annotations

import re
from typing import Final

_USER: Final = re.compile(r"://(?:(?!://)\S)*@")
"""Up to the last @ of the URL: a password that should have been escaped and was not is one all the same."""

_PARAMETER: Final = re.compile(r"([?&](?:password|sslpassword)=)[^&\s'\"]*", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """The text, whose URLs name neither users nor passwords any more."""
    return _PARAMETER.sub(r"\1…", _USER.sub("://", text))
