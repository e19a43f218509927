"""`sagacity role`: the roles of this process. Started by `up`; not for people."""

from __future__ import annotations

import click
import msgspec
import uvloop

from sagacity.roles import RoleSettings, run_roles


@click.command(hidden=True)
@click.argument("settings")
def role(settings: str) -> None:
    """Run the roles that SETTINGS (JSON) names, against the servers it names, until SIGTERM."""
    uvloop.run(run_roles(msgspec.json.decode(settings, type=RoleSettings)))
