"""The one manager of this process, made on first use and shared by all requests of its event loop."""

from __future__ import annotations

import asyncio
import contextlib

from lib import environment, log
from lib.subscription_manager.manager import SubscriptionManager

_current: tuple[asyncio.AbstractEventLoop, SubscriptionManager] | None = None


def current() -> SubscriptionManager:
    """The manager for the running event loop, from the environment.

    Raises:
        SettingsError: naming everything that is missing or wrong.
    """
    global _current
    loop = asyncio.get_running_loop()
    if _current is None or _current[0] is not loop:
        settings = environment.current()
        log.configure(settings.log_level)
        # Connections belong to their loop; a loop that ended takes its own along.
        _current = (loop, SubscriptionManager(settings))
    return _current[1]


async def forget() -> None:
    """Close it and read the environment anew on next use."""
    global _current
    found, _current = _current, None
    environment.forget()
    if found is not None:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            await found[1].close()
