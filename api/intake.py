"""Messages on their way in: webhooks of platforms, uploads and CloudEvents, each at the address of its source.

What a platform signs is checked before anything is read. The answer comes when the message is on the record, so a
sender that hears nothing may send it again: it is recorded once.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath, QueryParameter

from api.callers import caller_of, span_of
from api.links import path_of
from api.problems import BodyRefused, NotFound, refusal_of
from api.services import Services
from domain import source
from domain.source import Configuration
from eventstore.subjects import is_valid_id
from handlers.command import Directive, InvalidCommand, Outcome
from records.channels import CHANNELS, Incoming, NotGenuine, NotUnderstood
from records.intake import keep
