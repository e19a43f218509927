"""Landlock: a process gives up, for itself and whatever it starts, all files but some (Linux 5.13 and later).

Numbers and structures: linux/landlock.h; https://docs.kernel.org/userspace-api/landlock.html. No root is needed.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable
from typing import Final

_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights of files an ABI knows; 16 since the fifth."""

_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_TCP: Final = 0b11
_SCOPES: Final = 0b11

COMPLETE: Final = 3
"""The ABI from which on nothing of a file outside can be changed by opening or truncating it."""

SIGNALS: Final = 6
"""The ABI from which on processes outside cannot be signalled."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """0 where the kernel has none of it."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE, None, 0, _VERSION_FLAG)))


def restrict(read: Iterable[str], listed: Iterable[str], write: Iterable[str], *, tcp: bool) -> None:
    """From now on this thread reads (and runs) only what is in `read` and `write`, changes only what is in `write`,
    and sees the names in `listed`. Not `tcp`: nor does it connect or listen. What is not there is left out. Raises
    OSError; there are no other threads yet when it is called."""
    version = abi()
    handled = (1 << _RIGHTS.get(version, 16)) - 1
    ruleset = _Ruleset(handled, 0 if tcp or version < 4 else _TCP, _SCOPES if version >= SIGNALS else 0)
    size = 24 if version >= SIGNALS else 16 if version >= 4 else 8
    found = _call(_CREATE, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    try:
        for paths, rights in ((read, _READ), (listed, _READ_DIR), (write, handled)):
            for path in paths:
                _allow(found, path, rights & handled)
        give_up_privileges()
        _call(_RESTRICT_SELF, found, 0)
    finally:
        os.close(found)


def give_up_privileges() -> None:
    """No program that is started has more rights than who starts it. Raises OSError."""
    _checked(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        if rights:
            _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_PathBeneath(rights, opened)), 0)
    finally:
        os.close(opened)


def _call(number: int, *arguments: object) -> int:
    return _checked(_libc().syscall(number, *arguments))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
