"""Until when work may go on after the answer."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

DEFAULT_BUDGET = 50.0
"""Seconds of work after a response where no deadline is known: not on Vercel, which sends one along."""

DEADLINE_MARGIN = 5.0
"""Seconds before the platform's deadline by which everything is settled."""


def work_deadline() -> float:
    """Until when (`time.monotonic`) work may go on in this invocation: Vercel's deadline, else a modest budget."""
    runtime = sys.modules.get("vercel_runtime")  # it loads us; looking for a module that is not there costs 100 µs
    if runtime is None:
        return time.monotonic() + DEFAULT_BUDGET
    until: datetime | None = runtime.get_deadline()
    if until is None:
        return time.monotonic() + DEFAULT_BUDGET
    return time.monotonic() + max(0.0, (until - datetime.now(UTC)).total_seconds() - DEADLINE_MARGIN)
