"""The command line. Every fault of the user's is one line on stderr and exit status 2."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from sagacity.passwords import without_passwords

COMMANDS = {
    "up": "sagacity.cli.up:up",
    "demo": "sagacity.cli.demo:demo",
    "init": "sagacity.cli.init:init",
    "status": "sagacity.cli.status:status",
    "command": "sagacity.cli.command:command",
    "deployments": "sagacity.cli.deployments:deployments",
    "models": "sagacity.cli.models:models",
    "datasets": "sagacity.cli.datasets:datasets",
    "sources": "sagacity.cli.sources:sources",
    "records": "sagacity.cli.records:records",
    "quality": "sagacity.cli.quality:quality",
    "schemas": "sagacity.cli.schemas:schemas",
    "automations": "sagacity.cli.automations:automations",
    "skills": "sagacity.cli.skills:skills",
    "workflows": "sagacity.cli.workflows:workflows",
    "worker": "sagacity.cli.worker:worker",
    "mcp": "sagacity.cli.mcp:mcp",
    "events": "sagacity.cli.events:events",
    "projections": "sagacity.cli.projections:projections",
    "replay": "sagacity.cli.replay:replay",
    "verify": "sagacity.cli.verify:verify",
    "backup": "sagacity.cli.backup:backup",
    "restore": "sagacity.cli.backup:restore",
    "docs": "sagacity.cli.docs:docs",
    "role": "sagacity.cli.role:role",
}
"""Command → where it is defined; imported only when it is used, so that --help answers at once."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name != "role"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, name = where.split(":")
        return getattr(import_module(module), name)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sagacity")
def sagacity() -> None:
    """The event-sourced control plane for teams that ship software and models."""


class UserError(click.ClickException):
    """Something the user can mend: shown as one line, exit status 2."""

    exit_code = 2


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `sagacity`. Exits 0, 1 (a check did not hold) or 2 (the call cannot be carried out)."""
    try:
        status = sagacity.main(arguments, prog_name="sagacity", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"sagacity: {without_passwords(' '.join(error.format_message().split()))}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
