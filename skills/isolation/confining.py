"""What a process may do no more, once it begins with what is not trusted; and what a machine cannot keep from it."""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import Final

from domain.skill import Isolation
from skills.isolation import landlock, seccomp
from skills.isolation.exchange import Confinement

_CAPABILITIES_3: Final = 0x20080522
"""linux/capability.h: _LINUX_CAPABILITY_VERSION_3, of 64 bits each."""

_OPEN_FILES: Final = 512
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full")
_FOR_NETWORK: Final = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/gai.conf",
    "/etc/ssl",
    "/etc/pki/tls",
    "/usr/share/ca-certificates",
    "/run/systemd/resolve/stub-resolv.conf",
)


def unenforced(isolation: Isolation) -> tuple[str, ...]:
    """What this machine cannot keep from an isolated call, for people; nothing on Linux 6.2 and later."""
    missing: list[str] = []
    if landlock.abi() < landlock.COMPLETE:
        missing.append("files: Landlock of Linux 6.2 or later is not there")
    if not seccomp.is_known():
        what = "processes it leaves behind" if isolation.network else "network and processes it leaves behind"
        missing.append(f"{what}: there is no filter of system calls for this machine")
    if sys.platform != "linux":
        missing.append("memory: there is no limit of address space")
    return tuple(missing)


def confine(confinement: Confinement) -> None:
    """Of this process, which has one thread, for good. What the machine cannot enforce is left out: whoever started
    it has decided on that. Raises OSError, ValueError."""
    isolation = confinement.isolation
    _limit(confinement)
    _drop_capabilities()
    version = landlock.abi()
    if version >= landlock.COMPLETE:
        network = _FOR_NETWORK if isolation.network else ()
        landlock.restrict(
            (*confinement.readable, *network, *isolation.read),
            confinement.listable,
            (confinement.room, *isolation.write, *_DEVICES),
            tcp=isolation.network,
        )
    if seccomp.is_known():
        seccomp.restrict(network=isolation.network, signals=version >= landlock.SIGNALS)


def _limit(confinement: Confinement) -> None:
    isolation, bounds = confinement.isolation, confinement.bounds
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, bounds.file, bounds.file),
        (resource.RLIMIT_CPU, isolation.cpu, isolation.cpu + 1),
        *([(resource.RLIMIT_AS, isolation.memory, isolation.memory)] if sys.platform == "linux" else []),
    ):
        most = resource.getrlimit(what)[1]
        room = [each if most == resource.RLIM_INFINITY else min(each, most) for each in (soft, hard)]
        resource.setrlimit(what, (room[0], room[1]))


def _drop_capabilities() -> None:
    """Root without them is a user like others."""
    if sys.platform != "linux":
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capabilities were not given up")
