"""Do what the crons do, without end, for people without Vercel; any number of these may run at once."""

import argparse
import asyncio
import os
import signal
import time
from contextlib import suppress

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
    parser.parse_args()

    from lib.config import Settings
    from lib.errors import SettingsError
    from scripts._environment import load_env_file

    try:
        load_env_file()
        Settings.load(os.environ)
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    asyncio.run(_work())


async def _work() -> None:
    from lib.errors import BridgeError
    from lib.log import get_logger
    from lib.subscription_manager import manager
    from lib.subscription_manager.manager import TIME_FOR_A_PASS

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    ours = manager()
    log = get_logger()
    log.info("worker_started")
    sweep_at, pause, told = 0.0, PAUSE, ""
    while not stop.is_set():
        idle = True
        try:
            deadline = time.monotonic() + SLICE + TIME_FOR_A_PASS
            drained = await ours.drain(deadline=deadline, workers=ours.settings.panel_concurrency, migrates=True)
            idle = drained.passes == 0
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + AFTER_A_FAILED_SWEEP
                swept = await ours.sweep_if_due(deadline=time.monotonic() + SLICE)
                stopped = swept is not None and swept.stopped is not None
                sweep_at = sweep_at if stopped else 0.0
                idle = idle and (swept is None or swept.elsewhere or stopped)
            pause, told = PAUSE, ""
        except Exception as error:  # whatever it is, the passes of everybody else must not wait for a restart
            if str(error) != told:  # the same cause is told once
                told = str(error)
                if isinstance(error, BridgeError):
                    log.warning("worker_waits", reason=told)
                else:
                    log.exception("worker_stumbled")
            pause = min(pause * 2, LONGEST_PAUSE)
        if idle:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
    await ours.close()
    log.info("worker_stopped")
