"""Ends a process when the one that started it is gone, however that came: `kill -9` leaves nothing behind.

The starter gives it a pipe as its standard input and never writes to it. The pipe ends with the starter, on Linux as on
macOS, where there is no `setpriv --pdeathsig`. As a command it keeps another one on the leash:
`python _leash.py COMMAND ...`; only the standard library is used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

PATIENCE = 5.0
"""Seconds that an orderly end may take before it comes at once."""


def hold() -> None:
    """Have this process end as by SIGTERM when its standard input ends, and `PATIENCE` later in any case."""

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(1)

    _at_the_end(end)


def run(command: Sequence[str]) -> int:
    """Run a command until it ends, with an interrupt when our standard input does; answers its exit code."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _: process.send_signal(number))
    _at_the_end(lambda: process.send_signal(signal.SIGINT))
    return process.wait()


def _at_the_end(act: Callable[[], None]) -> None:
    def watch() -> None:
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=watch, name="leash", daemon=True).start()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
