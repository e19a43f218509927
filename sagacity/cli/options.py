"""The flags that every command with settings has in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from sagacity.cli import UserError
from sagacity.settings import Settings, SettingsError, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def settings_options(command: F) -> F:
    """Values stay text here: settings are validated in one place, and all at once."""
    for option in reversed(
        (
            click.option("--data", metavar="DIR", help="Data directory (default: .sagacity)."),
            click.option(
                "--config", metavar="FILE", help="Settings file (default: sagacity.toml in the data directory)."
            ),
            click.option("--host", metavar="ADDRESS", help="Where HTTP listens (default: 127.0.0.1)."),
            click.option("--port", metavar="N", help="HTTP port; 0 takes a free one (default: 8000)."),
            click.option(
                "--role", metavar="ROLES", help="Of api, projector, saga, worker; comma-separated (default: all)."
            ),
            click.option("--nats-url", metavar="URL", help="External NATS servers, comma-separated."),
            click.option("--database-url", metavar="URL", help="External PostgreSQL."),
            click.option("--nats-server", metavar="FILE", help="Another nats-server binary."),
            click.option("--nats-replicas", metavar="N", help="Copies of every stream: 1, 3 or 5."),
            click.option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR."),
        )
    ):
        command = option(command)
    return command


def settings_from(flags: dict[str, Any]) -> Settings:
    """Raises UserError with every wrong setting."""
    try:
        return load_settings(flags, os.environ)
    except SettingsError as error:
        raise UserError(str(error)) from error
