"""The one manager of this process, made on first use and shared by all requests of its event loop."""

from __future__ import annotations

import asyncio
import os

from lib import log
from lib.config import Settings
from lib.subscription_manager.manager import SubscriptionManager

_managers: dict[int, tuple[asyncio.AbstractEventLoop, SubscriptionManager]] = {}


def manager() -> SubscriptionManager:
    """The manager for the running event loop, from the environment.

    Raises:
        SettingsError: naming everything that is missing or wrong.
    """
    loop = asyncio.get_running_loop()
    found = _managers.get(id(loop))
    if found is None or found[0] is not loop:
        settings = Settings.load(os.environ)
        log.configure(settings.log_level)
        _managers.clear()  # connections belong to their loop; a loop that ended takes its own along
        found = _managers[id(loop)] = (loop, SubscriptionManager(settings))
    return found[1]
