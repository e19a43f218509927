"""A filter of system calls: what files are not, and Landlock therefore does not keep from a process.

Without a network there are no sockets at all (asyncio's own pipe is a socketpair, which stays). Nobody leaves the
process group, so that the group can be ended whole. Other processes, and modes, owners and times of files, are left
alone: Landlock decides who may open a file, not who may change what is known of it.

Numbers: linux/filter.h, linux/seccomp.h; https://docs.kernel.org/userspace-api/seccomp_filter.html.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from skills.isolation.landlock import give_up_privileges
from skills.isolation.system_calls import AARCH64, SINCE_2019, X86_64

_MACHINES: Final = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}
_X32: Final = 0x40000000
"""Another numbering of the calls of x86_64."""

_NEW_NAMESPACES: Final = 0x7E020080
"""CLONE_NEWTIME … CLONE_NEWNET: flags of clone."""

_ALWAYS_ASKED: Final = frozenset({"clone", "clone3", "kill", "tkill", "tgkill", "fcntl", "prlimit64", "socket"})
"""Refused not by name, but for what is asked of them, or not always."""

_SIGNALS: Final = frozenset({"rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "tkill"})
_SET_OWNER: Final = (8, 15)
"""F_SETOWN and F_SETOWN_EX of fcntl: who is signalled about a file."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL: Final = 0x80000000
_REFUSE: Final = 0x00050000
_ALLOW: Final = 0x7FFF0000
_PR_SET_SECCOMP, _FILTER = 22, 2


class _Instruction(NamedTuple):
    code: int
    yes: int
    no: int
    value: int


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_known() -> bool:
    """Whether there is a filter for this machine."""
    return sys.platform == "linux" and platform.machine() in _MACHINES


def restrict(*, network: bool, signals: bool) -> None:
    """From now on, for this thread and whatever it starts. `signals`: they are kept within by somebody else already.
    Raises OSError; there are no other threads yet when it is called."""
    code = b"".join(
        each.code.to_bytes(2, sys.byteorder) + bytes((each.yes, each.no)) + each.value.to_bytes(4, sys.byteorder)
        for each in _program(network, signals, os.getpid())
    )
    program = _Program(len(code) // 8, code)
    give_up_privileges()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _program(network: bool, signals: bool, own: int) -> Iterator[_Instruction]:
    machine, table = _MACHINES[platform.machine()]
    numbers = {**table, **SINCE_2019}
    yield _Instruction(_LOAD, 0, 0, 4)
    yield _Instruction(_EQUAL, 1, 0, machine)
    yield _Instruction(_RETURN, 0, 0, _KILL)
    yield _Instruction(_LOAD, 0, 0, 0)
    if table is X86_64:
        yield _Instruction(_AT_LEAST, 0, 1, _X32)
        yield _Instruction(_RETURN, 0, 0, _KILL)
    refused = numbers.keys() - _ALWAYS_ASKED - (frozenset() if not signals else _SIGNALS)
    refused |= frozenset() if network else {"socket"}
    for name in sorted(refused):
        yield from _for(numbers[name], [_Instruction(_RETURN, 0, 0, _REFUSE | errno.EPERM)])
    # Its flags lie in memory, where no filter can look; the C library then falls back on clone.
    yield from _for(numbers["clone3"], [_Instruction(_RETURN, 0, 0, _REFUSE | errno.ENOSYS)])
    yield from _for(numbers["clone"], _refused_if(0, _ANY_BIT, (_NEW_NAMESPACES,)))
    yield from _for(numbers["prlimit64"], _refused_unless(0, (0, own)))
    if not signals:
        yield from _for(numbers["kill"], _refused_unless(0, (0, own)))
        yield from _for(numbers["tgkill"], _refused_unless(0, (own,)))
        yield from _for(numbers["fcntl"], _refused_if(1, _EQUAL, _SET_OWNER))
    yield _Instruction(_RETURN, 0, 0, _ALLOW)


def _for(number: int, block: Sequence[_Instruction]) -> Iterator[_Instruction]:
    """What is done for one call; the block returns."""
    yield _Instruction(_EQUAL, 0, len(block), number)
    yield from block


def _refused_if(argument: int, test: int, values: Sequence[int]) -> list[_Instruction]:
    return _decided(argument, test, values, _REFUSE | errno.EPERM, _ALLOW)


def _refused_unless(argument: int, values: Sequence[int]) -> list[_Instruction]:
    return _decided(argument, _EQUAL, values, _ALLOW, _REFUSE | errno.EPERM)


def _decided(argument: int, test: int, values: Sequence[int], then: int, otherwise: int) -> list[_Instruction]:
    """By the lower 32 bits of an argument: the kernel reads no more of these."""
    low = 16 + 8 * argument + (4 if sys.byteorder == "big" else 0)
    tests = [_Instruction(test, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [
        _Instruction(_LOAD, 0, 0, low),
        *tests,
        _Instruction(_RETURN, 0, 0, otherwise),
        _Instruction(_RETURN, 0, 0, then),
    ]
