"""For how long nobody needs to ask the database what is due, so that one that scales to zero may sleep.

Two things are remembered outside the database. The *rest*: until when nothing can be due, as the last look has found.
The *stir*: from when on somebody may have made something due. Whoever looked before a stir knows nothing of it, so a
rest counts only if its look came after the last stir. Nothing here decides what is due: a rest that is missing, odd,
old or overtaken means that the database is asked.

Times are seconds since 1970 by the clocks of the machines, which agree to within a second; what the database says of
its own clock comes in as spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

LONGEST = 15 * 60.0
"""Seconds after which a look is no longer believed, whatever became of the stirs."""

BEFORE_THE_MINUTE = 30.0
"""A rest ends so much before `LONGEST`: the cron's fifteenth minute then finds it over, and not a second too young."""

SHORTEST = 60.0
"""A shorter rest spares no call of a cron that comes each minute."""

TIMES_IDLE = 3
"""A rest is at most so many times as long as nothing has happened. What was made due without a stir, because a process
died at once, is soon met while there is traffic, and a database that was in use is awake anyway."""

SUSPENDS = 5.0
"""Minutes without a query after which Neon suspends, as it comes."""

MONTH = 730.0
"""Hours."""

STIRRED_AHEAD = 10.0
"""For so many seconds one stir speaks in advance, so that of a burst only one is sent."""


class Outlook(Struct, frozen=True):
    """What one look at the database has found. Spans are seconds by the database's clock."""

    due_in: float | None
    """Until the earliest row of the queue is due; not positive: one is due now. `None`: there is none."""
    busy: bool
    """A pass or a sweep is under way: nobody knows what it will leave behind."""
    idle: float | None
    """Since the last event came in or the last pass ended; `None`: there never was one."""


class Rest(Struct, frozen=True):
    """Until when nothing can be due, and from which look that is known."""

    of: str
    """What it holds for: a database, its schema, and how this deployment works."""
    seen: float
    until: float


def rest_after(outlook: Outlook, of: str, seen: float, longest: float = LONGEST) -> Rest | None:
    """What a look allows that began at `seen`; `None`: the database is to be asked again in a minute.

    Args:
        longest: seconds that the operator allows, at most `LONGEST`.
    """
    if outlook.busy:
        return None
    spans = [min(longest, LONGEST) - BEFORE_THE_MINUTE]
    if outlook.due_in is not None:
        spans.append(outlook.due_in)
    if outlook.idle is not None:
        spans.append(TIMES_IDLE * outlook.idle)
    lasts = min(spans)
    return Rest(of, seen, seen + lasts) if lasts >= SHORTEST else None


def hours_awake(minutes: float) -> float:
    """How long a month a database is awake that nobody asks but the crons, at most every so many minutes."""
    apart = minutes if minutes * 60 - BEFORE_THE_MINUTE >= SHORTEST else SHORTEST / 60
    return MONTH * min(1.0, SUSPENDS / apart)


def holds(found: object, stir: object, of: str, now: float) -> Rest | None:
    """The rest that was found, if nothing can be due before it ends; `None`: ask the database.

    Args:
        found: what stood in the place of the rest, of any shape; `None`: nothing.
        stir: the same of the last stir.
        of: what it would have to hold for.
    """
    rest = read_rest(found)
    if rest is None or rest.of != of:
        return None
    if not now - LONGEST <= rest.seen <= now or not now < rest.until <= rest.seen + LONGEST:
        return None
    if stir is not None:
        stirred = _number(stir.get("until")) if isinstance(stir, Mapping) else None
        if stirred is None or stirred >= rest.seen:
            return None
    return rest


def read_rest(found: object) -> Rest | None:
    """A rest as it was written; `None`: this is none."""
    if not isinstance(found, Mapping):
        return None
    of, seen, until = found.get("of"), _number(found.get("seen")), _number(found.get("until"))
    if not isinstance(of, str) or seen is None or until is None:
        return None
    return Rest(of, seen, until)


def written(rest: Rest) -> dict[str, Any]:
    """How a rest is written."""
    return {"of": rest.of, "seen": rest.seen, "until": rest.until}


def stirred(until: float) -> dict[str, Any]:
    """How it is written that no look from before this moment knows everything."""
    return {"until": until}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e12 else None  # neither infinite nor none at all
