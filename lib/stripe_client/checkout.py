"""Checkout sessions and links to the billing portal: the pages at Stripe that a buyer is sent to."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from lib.errors import Incomplete, Unavailable
from lib.model.stripe_money import SeenSession
from lib.reading import Answer
from lib.stripe_client.purchases import SESSIONS, read_purchase
from lib.stripe_client.transport import PAGE, Json, Transport
from lib.stripe_client.writes import PORTAL, Writes

PAGES_LOOKED_THROUGH = 30
"""Of the list of sessions, when one is looked for: Stripe can't be asked for one by its `client_reference_id`."""


class SessionReads(Transport):
    """Reads of Checkout sessions."""

    async def session(self, session_id: str) -> SeenSession:
        """A Checkout session as it stands, without what it sells."""
        return read_purchase(await self.retrieve(SESSIONS, session_id))

    async def session_of(self, order_id: str, since: datetime, until: datetime) -> SeenSession | None:
        """The session that we asked for, made within a time, for this order; `None`: there is certainly none.

        It carries the order's id twice. `client_reference_id` alone proves nothing: whoever opens a Payment Link can
        type any into its address; metadata are written by whoever has a key.

        Raises:
            Unavailable: there are more sessions of that time than can be looked through.
        """
        after: str | None = None
        made = {"gte": int(since.timestamp()), "lte": int(until.timestamp()) + 1}
        for _ in range(PAGES_LOOKED_THROUGH):
            more = {"starting_after": after} if after else {}
            data, after = await self.page(SESSIONS, limit=PAGE, created=made, **more)
            for thing in data:
                said = Answer(thing, f"Stripe's Checkout session {thing['id']}")
                if said.plain("client_reference_id") != order_id:
                    continue
                found = read_purchase(thing)
                if found.order_id == order_id and found.payment_link is None:
                    return found
            if after is None:
                return None
        raise Unavailable("Stripe has more Checkout sessions of that time than can be looked through")


class CheckoutWrites(SessionReads, Writes):
    """Sessions made and ended, and links to the portal."""

    async def create_session(self, request: Json, key: str) -> SeenSession:
        """The session that `request` asks for; asked again with the same key, the same one."""
        return read_purchase(await self.post(SESSIONS, key, request))

    async def expire_session(self, session_id: str) -> SeenSession:
        """End an open session, so that nobody can pay it any more.

        Raises:
            Refused: it is not open; read which way it ended.
        """
        ended = read_purchase(await self.post(f"{SESSIONS}/{session_id}/expire", str(uuid4()), {}))
        if ended.id != session_id or ended.status != "expired":
            raise Incomplete(f"Stripe: session {session_id} was to be expired, and is {ended.status}")
        return ended

    async def create_portal(self, customer_id: str, return_url: str, key: str) -> str:
        """A link to the billing portal of a customer, good for a few minutes."""
        asked = {"customer": customer_id, "return_url": return_url}
        portal = Answer(await self.post(PORTAL, key, asked), "Stripe's portal session")
        if portal.reference("customer") != customer_id:
            raise Incomplete("Stripe's portal session is another customer's")
        return portal.text("url")
