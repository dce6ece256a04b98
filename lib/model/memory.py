"""Memory: what we remember of one customer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct, field

from lib.model.customer_key import CustomerKey
from lib.model.provider import Provider

if TYPE_CHECKING:
    from lib.model.action import Intent
    from lib.model.service import Service, ServiceKey


class Memory(Struct, frozen=True):
    """What we remember of one customer."""

    customer_id: str
    provider: Provider = Provider.STRIPE
    org_id: str | None = None
    org_name: str | None = None
    """The name that we last gave the organisation; still with the mark until the id is safely remembered."""
    login_id: str | None = None
    member_id: str | None = None
    email: str | None = None
    """As Stripe last said; the panel's login keeps the one it was made with."""
    name: str | None = None
    known: bool = False
    """Whether there is a row of this customer yet."""
    linked: bool = False
    """The organisation is another customer's, with whom an operator linked them; its name follows that one."""
    erased: bool = False
    """Their personal data was erased on request and is not written down again."""
    welcomed: bool = False
    services: tuple[Service, ...] = ()
    intents: tuple[Intent, ...] = ()
    disputes: tuple[tuple[str, str], ...] = ()
    """(subscription id, status) of each dispute that led to a subscription, but for those that an admin waived."""
    refunded_invoices: frozenset[str] = frozenset()
    """Invoices whose money went back in full."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """What Stripe said of each subscription when we last came to rest (see `policy.fingerprint`)."""
    named: frozenset[str] = frozenset()
    """Subscriptions that events of the last days named: what a list lacks just then counts all the same."""
    let_pass: Mapping[str, int] = field(default_factory=dict)
    """Subscription -> the quantity of one of its items that an admin let pass."""
    closed: frozenset[str] = frozenset()
    """Ended subscriptions of which no invoice can be paid any more."""
    session_event_at: datetime | None = None
    """When the last Checkout event of this customer came in: a reason to ask for the domain once more."""

    @property
    def key(self) -> CustomerKey:
        """Whose memory it is."""
        return CustomerKey(self.provider, self.customer_id)

    @property
    def has_something(self) -> bool:
        """Whether anything was ever made, or begun, for them."""
        return bool(self.services or self.intents) or self.org_id is not None

    @property
    def heard_of(self) -> frozenset[str]:
        """Every subscription of theirs that we answer for, have looked at, or were told of."""
        return frozenset({s.key.subscription_id for s in self.services}) | self.fingerprints.keys() | self.named

    def find(self, key: ServiceKey | None) -> Service | None:
        """The service of this key, if it is remembered."""
        return next((service for service in self.services if service.key == key), None)

    def service(self, key: ServiceKey) -> Service:
        """The service of this key, which must be remembered."""
        found = self.find(key)
        assert found is not None, key
        return found
