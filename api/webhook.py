"""`POST /api/webhook`: Stripe's events. Verify, store, answer 200; the work begins after the answer."""

from __future__ import annotations

import time
from functools import partial

from lib import stripe_signature
from lib.bridge import current
from lib.errors import Declined
from lib.web import Ask, answer, endpoint, read_body, refuse_packed, signature, work_deadline
from lib.web.response import Response

_RECEIVED = {new: answer({"received": True, "new": new}) for new in (False, True)}


async def receive(ask: Ask[None]) -> Response:
    """200 once the event is durable (a repeated or unknown one too); 400, 413 or 503 otherwise."""
    bridge = current()
    body = await read_body(ask.request)
    header = ask.request.headers.get("stripe-signature")
    try:
        stripe_signature.verify(body, header, bridge.settings.stripe_webhook_secrets, time.time())
    except stripe_signature.BadSignature as error:
        refuse_packed(ask.request)  # what was signed are the bytes before
        raise Declined("bad_signature", str(error)) from error
    new = await bridge.accept([body])
    nudges = [nudge for event in new for nudge in event.nudges]
    work = partial(bridge.drain_quietly, deadline=work_deadline(), first=nudges) if nudges else None
    return _RECEIVED[bool(new)].again(work)


app = endpoint(guard=signature, POST=receive)
