"""A folder in memory for databases that live for one test: to copy one there takes a tenth of a disk's time."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder itself is made with a name of its own, for its owner alone
ENOUGH = 4 * 1024**3
"""Bytes that must be free: a container's own is often 64 MB."""
PREFIX = "bridge-tests-"


@contextmanager
def folder_in_memory() -> Iterator[Path | None]:
    """A folder that is removed at the end; `None` where there is no room in memory."""
    if not os.access(MEMORY, os.W_OK | os.X_OK) or shutil.disk_usage(MEMORY).free < ENOUGH:
        yield None
        return
    _sweep()
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def _sweep() -> None:
    """Remove what a run that was killed has left: nobody else gives the memory back."""
    for left in MEMORY.glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
