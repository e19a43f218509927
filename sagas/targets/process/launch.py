"""Becomes a release: `python launch.py PARENT_PID PROGRAM [ARGUMENT...]`, in the release's own environment.

A step of its own between fork and exec, because running Python there is not safe in a process with threads. On
Linux the kernel then kills the release when the host dies, however the host dies. Standard library only.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOT_EXECUTABLE = 126


def die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    try:
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]} cannot be executed: {error.strerror}\n")
        os._exit(_NOT_EXECUTABLE)
