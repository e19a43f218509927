"""A process host that fails at a chosen write of its state: `dying_host.py HOW NUMBER --data ...`.

HOW: `before` and `after` kill it with -9 around the write; `full` makes that one write fail for want of space.
Writes are counted from 1, from the start of this process.
"""

import errno
import os
import signal
import sys

from sagas.targets.process import host
from sagas.targets.process.state import StateFile

how, number = sys.argv[1], int(sys.argv[2])
replace = StateFile.replace
count = 0


def failing(self: StateFile, content: bytes) -> None:
    global count
    count += 1
    if count == number and how == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if count == number and how == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(self, content)
    if count == number and how == "after":
        os.kill(os.getpid(), signal.SIGKILL)


StateFile.replace = failing
sys.exit(host.main(sys.argv[3:]))
