"""Neon: whether a month of being awake fits into what the plan has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.doctor_checks.finding import Finding, ok, warn

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.database import Database

SMALLEST = 0.25
"""CU of Neon's smallest compute. One that is larger costs more, and is awake for as long."""

SLEEPLESS = 6
"""Hours without a pause that no idle installation has."""

WORKER = "provisioner worker"
"""How the worker's connections are called."""

_SEEN = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = %(worker)s) AS worker,
        extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float / 3600 AS hours
"""


async def check_sleep(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    """What an idle month costs, and whether something keeps the compute awake; nothing where it is not Neon's."""
    if not (urlsplit(settings.database_url.reveal()).hostname or "").endswith(".neon.tech"):
        return
    from lib.policy.quiet import MONTH, hours_awake

    seen = await database.row(_SEEN, {"worker": WORKER})
    assert seen is not None
    always = MONTH * SMALLEST
    if seen["worker"]:
        said = f"a worker looks every two seconds, so the smallest compute is awake for {always:.0f} CU hours a month"
        yield _against(settings, said, always, "On Vercel the crons do its work, and let the database sleep.")
        return
    idle, minutes = hours_awake(settings.quiet_minutes) * SMALLEST, settings.quiet_minutes
    said = f"with QUIET_MINUTES={minutes} the smallest compute is awake for {idle:.0f} CU hours in an idle month"
    yield _against(settings, said, idle, "Unset QUIET_MINUTES: the database is asked when something can be due.")
    if seen["hours"] > SLEEPLESS and idle < always:
        said = f"the compute has not slept for {seen['hours']:.0f} hours; without any sleep it is {always:.0f} CU hours"
        yield _against(settings, said, always, "docs/costs.md names what keeps it awake.")


def _against(settings: Settings, said: str, hours: float, remedy: str) -> Finding:
    """How many CU hours there are, and what to do where these are more."""
    has = settings.neon_cu_hours
    if not has:
        return ok(said)
    if hours <= has:
        return ok(f"{said}, of {has}")
    return warn(
        f"{said}, and the plan has {has}: once they are used up, every connection fails until the next month",
        f"{remedy} Or have a paid plan, and set NEON_CU_HOURS to 0.",
    )
