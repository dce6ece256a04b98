"""The bracket around one change in the panel: its intent before, what became of it after, whatever happens inside."""

from __future__ import annotations

import random
import time
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, TypeVar

from lib.config import Settings
from lib.database import Database, brake, ledger
from lib.database.journal import Journal
from lib.database.leases import insist
from lib.errors import Limited, OutcomeUnknown, Refused, Retryable, Unavailable
from lib.log import get_logger
from lib.model import Payer, ServiceKey
from lib.model.reason import WaitReason
from lib.structs import replace

log = get_logger()

T = TypeVar("T")

BRAKED = timedelta(hours=1)
"""When a braked pass looks again by itself; a release makes it due at once."""

LONGEST_PAUSE = 20.0
"""Seconds from setting out to write an intent to its call: far fewer than after which others think that it never
happened (`policy.MAY_STILL_APPEAR`)."""


class Waiting(Retryable):
    """No failure, only something to wait for; `why` is what the queue shows."""

    def __init__(self, message: str, *, why: WaitReason, delay: timedelta) -> None:
        self.why, self.delay = why, delay
        super().__init__(message)


LATER = timedelta(seconds=5)
"""Until a pass comes again that would have asked too much at one time, and up to three times as long: all of a burst
would come at once."""


def turn_later(error: Limited) -> Waiting:
    """Too much was asked of the other side: no failure of whom the pass is about."""
    delay = LATER * (1 + 2 * random.random())  # noqa: S311 - spreads passes, guards nothing
    return Waiting(str(error), why=WaitReason.STRIPE_LIMITS, delay=error.after or delay)


class Step:
    """``async with``: the intent before, and applied, failed or unknown after, whatever happens inside."""

    def __init__(self, db: Database, journal: Journal, entry: ledger.Entry, settings: Settings) -> None:
        self._db = db
        self._journal = journal
        self.entry = entry
        self._settings = settings
        self._began = time.time()
        self._sent = False
        self.after: Mapping[str, Any] | None = None

    async def send(self, call: Coroutine[Any, Any, T]) -> T:
        """Await the call that makes the change. From its success on only remembering it can close the step.

        Raises:
            Unavailable: this process stood still since the intent, so that others may think that it never happened.
        """
        if abs(time.time() - self._began) > LONGEST_PAUSE:  # not the steady clock, which may have stood still as well
            call.close()
            raise Unavailable("this process stood still for too long before the call, which was not made")
        result = await call
        self._sent = True
        return result

    def happened(self) -> None:
        """What was asked for is so already: from here on only remembering it can close the step."""
        self._sent = True

    async def __aenter__(self) -> Step:
        counts = brake.counted(self.entry)
        if counts is None:
            insist(await self._journal.write(ledger.intending(self.entry, self._journal.lease_id)))
            return self
        most, percent = self._settings.brake_max, self._settings.brake_percent
        intent = brake.intending_braked(self.entry, self._journal.lease_id, counts, most=most, percent=percent)
        (verdict,) = await self._journal.write(intent)
        if verdict["engaged"]:
            log.error(
                "brake_engaged", reason=verdict["engaged"], remedy="look at the dashboard, then release the brake"
            )
        if not verdict["passes"]:
            raise Waiting(f"the brake for {counts} is on; an admin must release it", why=WaitReason.BRAKE, delay=BRAKED)
        insist(verdict["written"])
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        entry = replace(self.entry, before=None, facts=None)
        if error is None:
            done = replace(entry, state="applied", after=self.after)
            self._journal.keep(ledger.recording([done], self._journal.lease_id))
            log.info("action_applied", action=entry.kind, service=str(entry.service or ""), rule=entry.rule)
        elif self._sent:
            pass  # it happened, and we could not write that down: the intent stays open, the next pass looks
        elif isinstance(error, OutcomeUnknown):
            facts = {"answered": error.answered}
            await ledger.record(self._db, [replace(entry, state="unknown", facts=facts, error=str(error))])
        elif isinstance(error, Refused | Retryable):
            await ledger.record(self._db, [replace(entry, state="failed", error=str(error))])
        # Anything else, a cancellation above all, leaves the intent open as well.


def token_id(settings: Settings) -> str:
    """Tells the panel's token from the one before and the one after it, and tells nothing of it."""
    return sha256(settings.enhance_api_token.reveal().encode()).hexdigest()[:8]


def truth_behind(payer: Payer, key: ServiceKey | None) -> dict[str, Any]:
    """The facts of Stripe behind an action, without personal data."""
    subscription = next((s for s in payer.subscriptions if key and s.id == key.subscription_id), None)
    if subscription is None:
        return {"subscriptions": len(payer.subscriptions)}
    invoice = subscription.latest_invoice
    waiting = [i for i in subscription.invoices or () if i.status == "open"]
    return {
        "status": subscription.status,
        "prices": [item.price_id for item in subscription.items],
        "latest_invoice": f"{invoice.id} {invoice.status}" if invoice else None,
        "open_invoices": {i.id: i.owed_since.isoformat() for i in waiting},
    }
