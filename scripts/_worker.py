"""Do what the crons do, without end, for people without Vercel; any number of these may run at once."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.model import Lane

PAUSE = 2.0
"""Seconds between looks at an empty queue: one cheap indexed query each."""

LONGEST_PAUSE = 30.0
"""Seconds between tries while nothing works at all: each pause is twice the one before."""

SLICE = 5.0
"""Seconds in which one drain claims passes. A stop waits for the passes in hand and for no more than them."""

AFTER_A_FAILED_SWEEP = 60.0
"""Seconds until the next try, with drains in between: what a sweep stumbles over (a permission) may stay for long."""


def main() -> None:
    """Work until SIGTERM or Ctrl-C; passes in hand are finished first."""
    parser = argparse.ArgumentParser(
        prog="scripts/worker",
        description="Runs what is due without end, as Vercel's crons do there. Any number may run at once, on any "
        "machine. Settings come from the environment or from .env; the environment wins. "
        "SIGTERM and Ctrl-C let the passes in hand finish.",
    )
    parser.add_argument(
        "--places",
        type=_places,
        metavar="N",
        help="passes that this process runs at one time in each lane, where replicas on several machines are to share "
        "the work (as many as PANEL_CONCURRENCY lets all of them run, unless set)",
    )
    options = parser.parse_args()

    from lib.config import Settings
    from lib.errors import SettingsError
    from scripts._environment import load_env_file
    from scripts.doctor_checks.sleep import WORKER

    try:
        load_env_file()
        os.environ.setdefault("PGAPPNAME", WORKER)
        Settings.load(os.environ)
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    asyncio.run(_work(options.places))


def _places(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError("it is a whole number from 1 on")
    return int(text)


async def _work(places: int | None) -> None:
    from lib.bridge import current
    from lib.log import get_logger
    from lib.model import Lane

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    ours = current()
    log = get_logger()
    log.info("worker_started")
    worker = _Worker(ours, stop, places or ours.settings.panel_concurrency)
    # One loop for each lane, and one for the sweep: what takes long in one of them holds up no other.
    await asyncio.gather(*(worker.loop(partial(worker.drain, lane)) for lane in Lane), worker.loop(worker.sweep))
    await ours.close()
    log.info("worker_stopped")


class _Worker:
    """The loops of one process, and what they have told already."""

    def __init__(self, ours: Bridge, stop: asyncio.Event, places: int) -> None:
        self._ours = ours
        self._stop = stop
        self._places = places
        self._sweep_at = 0.0
        self._told: Counter[str] = Counter()

    async def drain(self, lane: Lane) -> bool:
        """A slice of the passes of one lane; whether there was none."""
        from lib.subscription_manager.drain import TIME_FOR_A_PASS

        deadline = time.monotonic() + SLICE + TIME_FOR_A_PASS
        drained = await self._ours.drain(deadline=deadline, workers=self._places, lanes=(lane,), migrates=True)
        return drained.passes == 0

    async def sweep(self) -> bool:
        """A slice of a sweep, when it is time; whether there was nothing to do."""
        if time.monotonic() < self._sweep_at:
            return True
        await self._ours.ensure_schema(migrates=True)
        self._sweep_at = time.monotonic() + AFTER_A_FAILED_SWEEP
        swept = await self._ours.sweep_if_due(deadline=time.monotonic() + SLICE)
        stopped = swept is not None and swept.stopped is not None
        self._sweep_at = self._sweep_at if stopped else 0.0
        return swept is None or swept.elsewhere or stopped

    async def loop(self, step: Callable[[], Awaitable[bool]]) -> None:
        """Take steps until the end, with a pause after each in which there was nothing to do."""
        pause, told = PAUSE, ""
        while not self._stop.is_set():
            try:
                idle = await step()
                pause, told = PAUSE, self._tell("", told)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else must wait for a restart
                told = self._tell(str(error) or type(error).__name__, told, error)
                idle, pause = True, min(pause * 2, LONGEST_PAUSE)
            if idle:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause)

    def _tell(self, cause: str, before: str, error: Exception | None = None) -> str:
        """Log why a loop can't go on, unless it or another one has told the same; what it has told by now."""
        from lib.errors import BridgeError
        from lib.log import get_logger

        if cause == before:
            return before
        self._told[before] -= 1
        if error is not None and self._told[cause] <= 0:
            if isinstance(error, BridgeError):
                get_logger().warning("worker_waits", reason=cause)
            else:
                get_logger().error("worker_stumbled", exc_info=error)
        self._told[cause] += 1
        return cause
