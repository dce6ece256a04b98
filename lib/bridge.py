"""The composition root: one process's settings, database and clients, and the verbs over them.

They are made here and nowhere else; `lib.kinds` says which kinds of passes there are.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import cached_property
from typing import TYPE_CHECKING

from lib import environment, loaded, log, runtime_cache
from lib.config import Settings
from lib.database import Database
from lib.database.prompt import PromptDatabase
from lib.subscription_manager import SubscriptionManager
from lib.subscription_manager.inbox import AT_ONCE

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.stripe_client import StripeClient

runtime_cache.stand_in()  # before the first request of this process


class Clients:
    """The two other sides, each loaded and made on first use: a webhook needs the database and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def stripe(self) -> StripeClient:
        """The billing side."""
        from lib.stripe_client import StripeClient

        return StripeClient(self._settings.stripe_secret_key, self._settings.stripe_api_base)

    @cached_property
    def enhance(self) -> EnhanceClient:
        """The panel's side."""
        from lib.enhance_client import EnhanceClient

        settings = self._settings
        return EnhanceClient(settings.enhance_api_url, settings.enhance_api_token, settings.enhance_org_id)

    async def close(self) -> None:
        """Close the connections of those that were made."""
        for name in ("stripe", "enhance"):
            if name in self.__dict__:
                await self.__dict__[name].close()


class Bridge(SubscriptionManager):
    """Everything this product does, over settings. Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        loaded()
        # Only acknowledgements use it: one short statement each, whatever the passes are waiting for.
        inbox = PromptDatabase(settings.database_url, size=AT_ONCE)
        self._clients = Clients(settings)
        super().__init__(settings, Database(settings.database_url), inbox, self._clients)
        self.health_lock = asyncio.Lock()
        self.health_cache: object = None

    async def close(self) -> None:
        """Close every connection."""
        await self._clients.close()
        await self.db.close()
        await self.inbox.close()


_current: tuple[asyncio.AbstractEventLoop, Bridge] | None = None


def current() -> Bridge:
    """The bridge of the running event loop, made on first use from the environment and shared by all its requests.

    Raises:
        SettingsError: naming everything that is missing or wrong.
    """
    global _current
    loop = asyncio.get_running_loop()
    if _current is None or _current[0] is not loop:
        settings = environment.current()
        log.configure(settings.log_level, report=_reporter(settings))
        # Connections belong to their loop; a loop that ended takes its own along.
        _current = (loop, Bridge(settings))
    return _current[1]


def _reporter(settings: Settings) -> log.Report | None:
    """What is told unforeseen errors; where nobody is to be told, a cold start does not pay for it."""
    if settings.sentry_dsn is None:
        return None
    from lib import crash_report

    return crash_report.of(settings)


async def forget() -> None:
    """Close it and read the environment anew on next use."""
    global _current
    found, _current = _current, None
    environment.forget()
    if found is not None:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            await found[1].close()
