"""Checkout sessions and links to the billing portal: the pages at Stripe that a buyer is sent to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from lib.errors import Incomplete, Unavailable
from lib.reading import Answer
from lib.stripe_client.transport import PAGE, Json, Transport
from lib.stripe_client.writes import PORTAL, Writes

SESSIONS = "/v1/checkout/sessions"

SESSION_STATUSES = frozenset({"open", "complete", "expired"})
PAYMENT_STATUSES = frozenset({"paid", "unpaid", "no_payment_required"})

PAGES_LOOKED_THROUGH = 30
"""Of the list of sessions, when one is looked for: Stripe can't be asked for one by its `client_reference_id`."""


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout session."""

    id: str
    status: str
    payment_status: str
    url: str | None
    """Where the buyer pays; `None` once it is not open any more."""
    reference: str | None
    """`client_reference_id`: the id of the order, in a session that is ours."""
    customer_id: str | None
    subscription_id: str | None
    created_at: datetime
    expires_at: datetime
    livemode: bool

    @property
    def paid(self) -> bool:
        """Whether the buyer is through with it, and nothing is left to pay."""
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")


def read_session(thing: Json) -> Session:
    """A session from Stripe's JSON.

    Raises:
        Incomplete: a field that something is decided on is missing, or of another kind.
    """
    said = Answer(thing, f"Stripe's Checkout session {thing.get('id')}")
    return Session(
        id=said.text("id"),
        status=said.one_of("status", SESSION_STATUSES),
        payment_status=said.one_of("payment_status", PAYMENT_STATUSES),
        url=said.text("url") if said.maybe("url") else None,
        reference=said.text("client_reference_id") if said.maybe("client_reference_id") else None,
        customer_id=said.reference("customer") if said.maybe("customer") else None,
        subscription_id=said.reference("subscription") if said.maybe("subscription") else None,
        created_at=said.time("created"),
        expires_at=said.time("expires_at"),
        livemode=said.flag("livemode"),
    )


class SessionReads(Transport):
    """Reads of Checkout sessions."""

    async def session(self, session_id: str) -> Session:
        """A Checkout session as it stands."""
        return read_session(await self.retrieve(SESSIONS, session_id))

    async def session_of(self, reference: str, since: datetime, until: datetime) -> Session | None:
        """The session with this `client_reference_id` that was made within a time; `None`: there is certainly none.

        Not that of a Payment Link: whoever opens one can type any reference into its address.

        Raises:
            Unavailable: there are more sessions of that time than can be looked through.
        """
        after: str | None = None
        made = {"gte": int(since.timestamp()), "lte": int(until.timestamp()) + 1}
        for _ in range(PAGES_LOOKED_THROUGH):
            more = {"starting_after": after} if after else {}
            data, after = await self.page(SESSIONS, limit=PAGE, created=made, **more)
            for thing in data:
                session = Answer(thing, f"Stripe's Checkout session {thing['id']}")
                if session.plain("client_reference_id") == reference and not session.maybe("payment_link"):
                    return read_session(thing)
            if after is None:
                return None
        raise Unavailable("Stripe has more Checkout sessions of that time than can be looked through")


class CheckoutWrites(SessionReads, Writes):
    """Sessions made and ended, and links to the portal."""

    async def create_session(self, request: Json, key: str) -> Session:
        """The session that `request` asks for; asked again with the same key, the same one."""
        return read_session(await self.post(SESSIONS, key, request))

    async def expire_session(self, session_id: str) -> Session:
        """End an open session, so that nobody can pay it any more.

        Raises:
            Refused: it is not open; read which way it ended.
        """
        ended = read_session(await self.post(f"{SESSIONS}/{session_id}/expire", str(uuid4()), {}))
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
