"""Becomes another program: `python launch.py PARENT_PID SIGNAL USER PROGRAM [ARGUMENT...]`, in its environment.

A step of its own between fork and exec, because running Python there is not safe in a process with threads. On
Linux the kernel then sends SIGNAL (a number) to the program when its parent dies, however it dies. USER is the id of
the user and group to become (PROGRAM is then a path), or - to stay who one is. Standard library only.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOT_EXECUTABLE = 126


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def die_with(parent: int, number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, _parent, _signal, _user, *_program = sys.argv
    # In this order: becoming somebody else takes the wish back.
    if _user != "-":
        become(int(_user))
    die_with(int(_parent), int(_signal))
    try:
        os.execvp(_program[0], _program)
    except OSError as error:
        sys.stderr.write(f"{_program[0]} cannot be executed: {error.strerror}\n")
        os._exit(_NOT_EXECUTABLE)
