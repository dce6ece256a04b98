"""What buyers and shops send, as types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from lib.errors import Fault
from lib.web.typed import Given, Id, Text

Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=254,
        pattern=r"^[^\s@\x00-\x1f\x7f\ud800-\udfff]+@[^\s@\x00-\x1f\x7f\ud800-\udfff]+\.[^\s@\x00-\x1f\x7f\ud800-\udfff]+$(?!\n)",
        description="an e-mail address such as ada@example.com",
    ),
]

Quantity = Annotated[int, Meta(ge=1, le=100_000, description="a whole number from 1")]

Reference = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,200}$(?!\n)", description="1 to 200 letters, digits and _.:-")
]


class Buy(Given):
    """What somebody wants to buy: `priceId`, or `plan`, the panel plan that exactly one price is mapped to."""

    price_id: Id | None = None
    plan: Text | None = None
    email: Email | None = None
    domain: Text | None = None
    quantity: Quantity = 1
    client_reference: Reference | None = None
    """The shop's own word for its buyer or cart: whoever sends the same one shares an open session."""
    seller_id: Reference | None = None
    """For whom it is sold: a reseller, an affiliate."""
    customer_id: Id | None = None
    """A customer at Stripe; only with a key of ADMIN_API_KEY."""
    again: bool = False
    """The same was bought a moment ago, and is meant to be bought once more."""

    def faults(self) -> Iterable[Fault]:
        if (self.price_id is None) == (self.plan is None):
            yield Fault("priceId", "missing", "send exactly one of priceId and plan")


SessionId = Annotated[
    str,
    Meta(
        pattern=r"^cs_(test|live)_[A-Za-z0-9]{1,200}$(?!\n)",
        description="the id of a Checkout session, as Stripe put it into the address of the success page",
    ),
]


class Look(Given, rename=None):
    """Which purchase."""

    session_id: SessionId
    round: Annotated[int, Meta(ge=0, le=1000, description="a whole number from 0")] = 0
    """How often a page without a script has renewed itself."""


class Portal(Given):
    """Whose billing portal: the customer of a checkout completed within the last hour, or any with a key."""

    session_id: SessionId | None = None
    customer_id: Id | None = None

    def faults(self) -> Iterable[Fault]:
        if (self.session_id is None) == (self.customer_id is None):
            yield Fault("sessionId", "missing", "send exactly one of sessionId and customerId")
