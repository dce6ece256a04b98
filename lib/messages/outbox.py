"""Deliveries: the pass of one stream sends what waits in it, in order; that of an endpoint wakes its streams again."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from msgspec import Struct

from lib.config import Endpoint
from lib.database import outbox
from lib.database.outbox import Delivery
from lib.kinds import Context, Ended
from lib.log import get_logger
from lib.messages.sender import PATIENCE, Sender
from lib.messages.signature import signed
from lib.model import Claim, Failed, Outcome, Parked, Problem, Settled, Waits
from lib.model.outgoing import Attempt, Standing, Waiting
from lib.model.reason import Reason, WaitReason
from lib.policy import outgoing

log = get_logger()

LONGEST = 30.0
"""Seconds after which a pass begins no further delivery, so that other streams have their turn."""

TURN = timedelta(seconds=2 * PATIENCE)
"""For how long a stream has the only turn at an endpoint that fails."""


async def run(claim: Claim, context: Context) -> Ended:
    """Deliver what waits for an endpoint about one customer; the key is `endpoint:customer`.

    Without a customer: see to the endpoint itself.
    """
    endpoint_id, _, customer = claim.key.partition(":")
    endpoint = context.settings.outbox.find(endpoint_id)
    if endpoint is None:  # what waits for it is kept, should it come back
        return Ended(Settled(), facts={"endpoint": "not in OUTBOX_URL"})
    if not customer:
        return Ended(await _see_to(endpoint, context))
    courier = Courier(endpoint, customer, claim, context)
    outcome = await courier.run()
    return Ended(outcome, facts={"delivered": courier.delivered})


async def _see_to(endpoint: Endpoint, context: Context) -> Outcome:
    """Wake the streams of an endpoint that is well; let one of them try at one that fails."""
    standing = await outbox.standing(context.db, endpoint.id, "")
    if standing.disabled is not None:
        return Settled()
    if not standing.probing:
        await outbox.wake(context.db, endpoint.id)
        return Settled()
    if standing.next_try_at is not None and standing.next_try_at > standing.at:
        return Waits(standing.next_try_at, WaitReason.RECEIVER_FAILS)
    if await outbox.let_one_try(context.db, endpoint.id, TURN):
        return Waits(standing.at + TURN, WaitReason.RECEIVER_FAILS)
    return Settled()


class Courier(Struct):
    """Delivers the events of one stream, one after another, until one fails or there is none."""

    endpoint: Endpoint
    customer: str
    claim: Claim
    context: Context
    delivered: int = 0

    async def run(self) -> Outcome:
        """Deliver.

        Raises:
            LeaseLost: somebody else has this stream.
        """
        began = time.monotonic()
        db, allow_private = self.context.db, self.context.settings.outbox.allow_private
        async with Sender(self.endpoint.url, allow_private=allow_private) as sender:
            while True:
                standing = await outbox.standing(db, self.endpoint.id, self.customer)
                if standing.next is None or not outgoing.may_send(standing, self.customer):
                    return await self._nothing_to_send(standing)
                if time.monotonic() - began > LONGEST:
                    return Waits(standing.at, WaitReason.MORE_TO_DO)
                attempt = await send(sender, self.endpoint, standing.next, standing)
                if not attempt.delivered:
                    return await self._failed(standing, standing.next, attempt)
                await outbox.delivered(db, self._delivery(standing.next), attempt)
                self.delivered += 1

    def _delivery(self, event: Waiting) -> Delivery:
        return Delivery(self.endpoint.id, self.customer, self.claim.lease_id, event.id)

    async def _nothing_to_send(self, standing: Standing) -> Outcome:
        """Nothing waits, or it is somebody else's turn: then the endpoint's own row wakes this one again."""
        if standing.next is None:
            if standing.probe == self.customer:
                await outbox.pass_turn_on(self.context.db, self.endpoint.id, self.customer)
            return Settled()
        if standing.disabled is not None or standing.probing:
            return Settled()
        assert standing.next_try_at is not None
        return Waits(standing.next_try_at, WaitReason.RECEIVER_FAILS)

    async def _failed(self, standing: Standing, event: Waiting, attempt: Attempt) -> Outcome:
        noise = random.random()  # noqa: S311 - spreads retries, guards nothing
        again_at = outgoing.next_try(standing.failures + 1, standing.at, noise, attempt.retry_after)
        disabled = outgoing.disabled_by(attempt, standing)
        probing = await outbox.failed(
            self.context.db, self._delivery(event), attempt, again_at=again_at, disabled=disabled
        )
        error = f"{self.endpoint.shown}: {attempt.error}"
        log.warning("delivery_failed", endpoint=self.endpoint.id, event_id=event.event_id, error=attempt.error)
        if disabled is not None:
            remedy = "mend the receiver, then enable it: POST /api/admin/events; its events wait meanwhile"
            log.error("endpoint_disabled", endpoint=self.endpoint.id, why=disabled.value, remedy=remedy)
            return Settled()
        if probing:
            return Settled()
        if outgoing.is_refused(event.attempts + 1):
            detail = f"{event.event_id} failed {event.attempts + 1} times, last: {error}; what follows it waits"
            return Parked((Problem(Reason.EVENT_REFUSED, detail, self.claim.key),), wake_at=again_at)
        return Failed(error, at=again_at, parks=False)


async def send(sender: Sender, endpoint: Endpoint, event: Waiting, standing: Standing) -> Attempt:
    """Sign an event as of now and post it."""
    body = event.body.encode()
    return await sender.post(body, signed(endpoint.secrets, event.event_id, body, standing.at))
