"""What callers of the admin routes send, as types: the routes, the OpenAPI document and the tests share them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Protocol

import msgspec

from lib.errors import Fault
from lib.policy.currencies import step
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.policy.references import LONGEST
from lib.web.typed import CustomerId, Given, Id, Sentence, Text, Uuid

LONGEST_GRACE = timedelta(days=3653)


class Sync(Given):
    """Whose pass to run now: exactly one of `subscriptionId`, `customerId` and `all`."""

    subscription_id: Id | None = None
    customer_id: CustomerId | None = None
    all: bool = False
    dry_run: bool = False

    def faults(self) -> Iterable[Fault]:
        if sum((self.customer_id is not None, self.subscription_id is not None, self.all)) != 1:
            yield Fault("", "invalid", "send exactly one of subscriptionId, customerId and all")
        if self.all and self.dry_run:
            yield Fault("dryRun", "invalid", "a dry run takes one customer")


class LoginAs(Given, kw_only=True, tag_field="action", tag="login"):
    """A link that logs in as the customer's owner in the panel."""

    customer_id: CustomerId
    reason: Sentence | None = None


class WhatIf(Given, kw_only=True, tag_field="action", tag="whatIf"):
    """What these settings would change now: names and values as in the environment, empty for unset."""

    settings: dict[str, str]


QueueState = Literal["due", "parked", "waiting", "working", "failing", "braked"]
"""A state of rows of the queue; failing: whose last pass failed; braked: what a brake keeps as it is."""


class _ToMany(Protocol):
    """An action that a filter may send to many, which then takes what its dry run has shown."""

    @property
    def filter(self) -> object: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def as_of(self) -> str | None: ...


def _both(sent: _ToMany) -> Iterator[Fault]:
    if (sent.expected is None) != (sent.as_of is None):
        yield Fault("expected", "missing", "expected and asOf go together: send back what the dry run answered")


def _shown_first(sent: _ToMany) -> Iterator[Fault]:
    """What is done to many was shown to be done to them before."""
    if sent.filter is None and (sent.dry_run or sent.expected is not None):
        yield Fault("filter", "missing", "dryRun and expected go with a filter")
    yield from _both(sent)
    if sent.filter is not None and not sent.dry_run and sent.expected is None:
        yield Fault("expected", "missing", "send dryRun first, then expected and asOf as it answered")


class _OfSomebody(Given):
    """An action on the services of one customer, or of one of their subscriptions only."""

    customer_id: CustomerId | None = None
    subscription_id: Id | None = None
    reason: Sentence | None = None

    def faults(self) -> Iterable[Fault]:
        if self.customer_id is None and self.subscription_id is None:
            yield Fault("customerId", "missing", "customerId or subscriptionId is needed")


HoldName = Literal["unpaid", "paused", "ended", "dispute", "refund", "admin"]


class ManyFilter(Given):
    """Which of those who are in the queue, or whose services stand so. All that is given must be true of them."""

    state: QueueState | None = None
    reason: Text | None = None
    hold: HoldName | None = None
    """They have a service with this hold."""
    upcoming: bool = False
    """They have a service in a grace that runs; beside `hold`: either."""

    @property
    def empty(self) -> bool:
        """Whether it means everybody."""
        return self == ManyFilter()


class _OfMany(Given):
    """An action on somebody, or (`dryRun` first, then what it answered) on everybody who matches a filter."""

    customer_id: CustomerId | None = None
    subscription_id: Id | None = None
    reason: Sentence | None = None
    filter: ManyFilter | None = None
    dry_run: bool = False
    expected: int | None = None
    as_of: Text | None = None

    def faults(self) -> Iterable[Fault]:
        named = self.customer_id is not None or self.subscription_id is not None
        if named == (self.filter is not None):
            yield Fault("customerId", "missing", "customerId or subscriptionId is needed, or a filter")
        yield from _shown_first(self)


class Retry(_OfMany, tag_field="action", tag="retry"):
    """Run the pass now."""


RELEASED = ("double_purchase", "mapping_changed", "never_paid", "quantity_unusual")


class Release(_OfMany, tag_field="action", tag="release"):
    """Let pass what waits for a person's word; of many, those who wait for this one reason."""

    def faults(self) -> Iterable[Fault]:
        yield from super().faults()
        if self.filter is not None and self.filter.reason not in RELEASED:
            yield Fault("filter.reason", "missing", f"filter.reason must be one of {', '.join(RELEASED)}")


class HoldServices(_OfMany, tag_field="action", tag="hold"):
    """Suspend until it is lifted."""

    def faults(self) -> Iterable[Fault]:
        yield from super().faults()
        if self.filter is not None and self.filter.empty:
            yield Fault("filter", "missing", "an empty filter would hold everybody: name state, reason or hold")


class Lift(_OfMany, tag_field="action", tag="lift"):
    """Lift an admin's hold, waive the present dispute or refund, or forgive what was voided or written off."""

    hold: Literal["admin", "dispute", "refund", "unpaid"] = "admin"

    def faults(self) -> Iterable[Fault]:
        yield from super().faults()
        if self.filter is None:
            return
        if self.hold == "unpaid":
            yield Fault("hold", "invalid", "what is owed is forgiven one by one; give grace to many instead")
        elif self.filter.hold not in (None, self.hold):
            yield Fault("filter.hold", "invalid", f"filter.hold must be {self.hold}, as hold is")


class Grace(_OfMany, kw_only=True, tag_field="action", tag="grace"):
    """Keep what is unpaid on until a date; null takes it back. A date without a time zone is in UTC.

    For everybody at once (an amnesty): `filter` with `hold: unpaid`, `upcoming`, or both.
    """

    until: Text | None

    def faults(self) -> Iterable[Fault]:
        yield from super().faults()
        if self.filter is not None and not self.filter.upcoming and self.filter.hold != "unpaid":
            detail = "a grace is for who owes: filter.hold must be unpaid, or upcoming true"
            yield Fault("filter.hold", "missing", detail)
        elif self.filter is not None and self.filter.hold not in (None, "unpaid"):
            yield Fault("filter.hold", "invalid", "a grace is for who owes: filter.hold must be unpaid")
        try:
            when = self.when
        except (ValueError, OverflowError):
            yield Fault("until", "invalid", "until must be an ISO 8601 date, such as 2030-12-24")
            return
        if when is not None and self.filter is not None and when <= datetime.now(UTC):
            yield Fault("until", "invalid", "until must be a date to come")
        if when is not None and when > datetime.now(UTC) + LONGEST_GRACE:
            yield Fault("until", "invalid", "until must be within the next ten years")

    @property
    def when(self) -> datetime | None:
        """The date, aware."""
        if self.until is None:
            return None
        when = datetime.fromisoformat(self.until)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


class Recreate(_OfSomebody, tag_field="action", tag="recreate"):
    """Make anew what was deleted in the panel by hand."""


class HardDelete(_OfSomebody, tag_field="action", tag="hardDelete"):
    """Wipe the hosting of what has ended; `confirm` repeats the id."""

    confirm: Text | None = None


class TakeBack(Given, kw_only=True, tag_field="action", tag="undo"):
    """Take back one act on a customer's services, by its id in their timeline: each service that it changed and that is
    as it left it becomes as it was before. Nothing else is touched.

    `services` are those that the timeline has shown for it: where it would be others by now, nothing is done.
    """

    customer_id: CustomerId
    action_id: Uuid
    services: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)]
    reason: Sentence | None = None


class ReleaseBrake(Given, tag_field="action", tag="releaseBrake"):
    """Let go on what the brake has stopped, for all.

    With `counts` only suspensions and terminations, or only moves to another plan; without it both. `expected` is how
    many services were shown as waiting, and `digest` (beside `counts`) which: when others wait by now, nothing is
    released.
    """

    counts: Literal["suspensions", "moves"] | None = None
    expected: Annotated[int, msgspec.Meta(ge=0, description="a whole number")] | None = None
    digest: Text | None = None
    reason: Sentence | None = None

    def faults(self) -> Iterable[Fault]:
        if self.digest is not None and self.counts is None:
            yield Fault("counts", "missing", "digest is of one of the two brakes: name it in counts")


Work = Retry | Release | HoldServices | Lift | Grace | Recreate | HardDelete | TakeBack | ReleaseBrake
"""What only a person may decide."""


Outcome = Literal["accepted", "ignored", "unreadable"]
Source = Literal["webhook", "sweep"]


class EventsFilter(Given):
    """Which events. Times are ISO 8601, or so long ago: `-90m`, `-2h`, `-7d`."""

    type: Text | None = None
    outcome: Outcome | None = None
    source: Source | None = None
    customer: CustomerId | None = None
    object: Id | None = None
    from_: Text | None = msgspec.field(default=None, name="from")
    to: Text | None = None


class ReplayThese(Given, kw_only=True, tag_field="action", tag="replay"):
    """Play events again: these, or all that match a filter (`dryRun` first; then what it answered)."""

    event_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=200)] | None = None
    filter: EventsFilter | None = None
    from_: Text | None = msgspec.field(default=None, name="from")
    to: Text | None = None
    type: Text | None = None
    dry_run: bool = False
    expected: int | None = None
    as_of: Text | None = None

    def faults(self) -> Iterable[Fault]:
        ranged = self.filter is not None or any(part is not None for part in (self.from_, self.to, self.type))
        if ranged == (self.event_ids is not None):
            yield Fault("", "invalid", "send eventIds, or a filter (or from, to and type)")
        yield from _both(self)

    @property
    def meant(self) -> EventsFilter:
        """The filter, however it was sent."""
        return self.filter or EventsFilter(type=self.type, from_=self.from_, to=self.to)


DeliveryState = Literal["waiting", "delivered", "skipped"]


class OutgoingFilter(Given):
    """Which outgoing events. Times are ISO 8601, or so long ago: `-90m`, `-2h`, `-7d`."""

    type: Text | None = None
    customer: CustomerId | None = None
    from_: Text | None = msgspec.field(default=None, name="from")
    to: Text | None = None


class _AtEndpoint(Given, kw_only=True):
    """An act on one of the addresses of OUTBOX_URL: its id, or the address."""

    endpoint: Text


class TestEndpoint(_AtEndpoint, tag_field="action", tag="test"):
    """Send a test now, also to an endpoint that is disabled."""

    __test__ = False


class EnableEndpoint(_AtEndpoint, tag_field="action", tag="enable"):
    """Try an endpoint again that was disabled, or fails."""


class _OfOutgoing(_AtEndpoint, kw_only=True):
    """An act on these events, or on all that match a filter (`dryRun` first; then what it answered)."""

    event_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=200)] | None = None
    filter: OutgoingFilter | None = None
    dry_run: bool = False
    expected: int | None = None
    as_of: Text | None = None

    def faults(self) -> Iterable[Fault]:
        if (self.filter is not None) == (self.event_ids is not None):
            yield Fault("", "invalid", "send eventIds, or a filter")
        yield from _shown_first(self)


class Resend(_OfOutgoing, tag_field="action", tag="resend"):
    """Send events again that have come to an end, and those that were written before the endpoint was there."""


class Skip(_OfOutgoing, tag_field="action", tag="skip"):
    """Send waiting events no more; what follows them goes on."""


class ResendNotice(Given, kw_only=True, tag_field="action", tag="resendNotice"):
    """Send a mail to a customer once more that was refused or came back, or whose answer was lost; if still true."""

    notice_id: Id


Status = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[245]\.[0-9]{1,3}\.[0-9]{1,3}$(?!\n)", description="an enhanced status code (RFC 3463) such as 5.1.1"
    ),
]


class ReportNotice(Given, kw_only=True, tag_field="action", tag="bounce"):
    """A mail to a customer came back (`status` 5.x.x), or takes its time (4.x.x): the report as it came in `message`;
    or what a mail provider's webhook tells of it, with `messageId`, or `address` where only one mail fits.
    """

    message: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    message_id: Text | None = None
    address: Text | None = None
    status: Status | None = None
    diagnostic: Annotated[str, msgspec.Meta(max_length=5000)] | None = None

    def faults(self) -> Iterable[Fault]:
        fields = (self.message_id, self.address, self.status, self.diagnostic)
        if self.message is not None:
            if any(field is not None for field in fields):
                yield Fault("message", "invalid", "send the message, or what is told of it, and not both")
            return
        if self.message_id is None and self.address is None:
            yield Fault("", "invalid", "send message, or messageId or address with status")
        if self.status is None:
            yield Fault("status", "missing", "send the status code that the mail server gave, such as 5.1.1")


Events = ReplayThese | TestEndpoint | Resend | Skip | EnableEndpoint | ResendNotice | ReportNotice
"""What is done by hand about what goes in and out: received events, outgoing ones, mails to customers."""


class MappingKey(Given, kw_only=True):
    """Which mapping. `dryRun` tells what taking it away would do; `asOf` is that preview's."""

    billing_provider: Text = "stripe"
    billing_plan_id: Text
    dry_run: bool = False
    as_of: Text | None = None


class PutMapping(Given, kw_only=True):
    """A mapping as it is to be. `dryRun` tells what that would do; `asOf` is that preview's, to do exactly this."""

    billing_provider: Literal["stripe", "bank_transfer", "cash_on_delivery"] = "stripe"
    billing_plan_id: Text
    enhance_plan_id: Text | None = None
    kind: Literal["service", "addon", "ignore"] = "service"
    activate_on: Literal["paid", "processing"] = "paid"
    grace_days: Annotated[int, msgspec.Meta(ge=0, le=365, description="a whole number from 0 to 365")] | None = None
    create_website: bool = True
    server_group_id: Uuid | None = None
    dry_run: bool = False
    as_of: Text | None = None


Amount = Annotated[
    int, msgspec.Meta(ge=1, le=10**12, description="a whole number of minor units, such as 1900 for 19.00")
]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{3}$(?!\n)", description="a currency code such as eur")]
Email = Annotated[
    str,
    msgspec.Meta(pattern=r"^[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}$(?!\n)", max_length=254, description="an e-mail address"),
]


class _OfOneOrder(Given):
    """An order, by its id or by its payment reference."""

    order_id: Uuid | None = None
    reference: Text | None = None

    def faults(self) -> Iterable[Fault]:
        if (self.order_id is None) == (self.reference is None):
            yield Fault("orderId", "missing", "orderId or reference is needed, and one of them only")


class CreateOrder(Given, kw_only=True, tag_field="action", tag="create"):
    """An order that is paid by bank transfer or on delivery, for a time. `billingPlanId` is mapped like a price."""

    provider: Literal["bank_transfer", "cash_on_delivery"]
    billing_plan_id: Text
    amount: Amount
    currency: Currency
    email: Email
    name: Text | None = None
    domain: Text | None = None
    quantity: Annotated[int, msgspec.Meta(ge=1, le=100, description="a whole number from 1 to 100")] = 1
    period_days: Annotated[int, msgspec.Meta(ge=1, le=3660, description="a whole number from 1 to 3660")] = 30
    due_days: Annotated[int, msgspec.Meta(ge=1, le=365, description="a whole number from 1 to 365")] | None = None
    reference: Text | None = None
    customer_id: Id | None = None
    link_to: CustomerId | None = None
    client_reference: Text | None = None
    seller_id: Id | None = None

    def faults(self) -> Iterable[Fault]:
        if len(self.reference or "") > LONGEST:
            yield Fault("reference", "invalid", f"reference must be a text of at most {LONGEST} characters")
        unit = step(self.currency)
        if self.amount % unit:
            yield Fault("amount", "invalid", f"amount must be a multiple of {unit} in {self.currency.upper()}")
        try:
            normalise_domain(self.domain or "shop.example")
        except InvalidDomain as error:
            yield Fault("domain", "invalid", str(error))


class CollectMoney(_OfOneOrder, kw_only=True, tag_field="action", tag="collect"):
    """Money that came. `externalId` is the bank's or the courier's own id of it, and counts once.

    It is refused while the same debt is paid, or can be paid, at Stripe; `anyway` takes it in all the same.
    """

    amount: Amount
    currency: Currency
    external_id: Text | None = None
    collected_at: Text | None = None
    anyway: bool = False


class CancelOrder(_OfOneOrder, tag_field="action", tag="cancel"):
    """End what nobody has paid; what was paid runs to the end of its time and is not asked for again."""


class ChangeOrder(_OfOneOrder, tag_field="action", tag="change"):
    """Correct what was typed wrong about an offline order's buyer. A website that exists keeps its domain."""

    domain: Text | None = None
    email: Email | None = None
    name: Text | None = None

    def faults(self) -> Iterable[Fault]:
        yield from super().faults()
        if self.domain is None and self.email is None and self.name is None:
            yield Fault("", "missing", "send domain, email or name")
        try:
            normalise_domain(self.domain or "shop.example")
        except InvalidDomain as error:
            yield Fault("domain", "invalid", str(error))


class ReturnMoney(_OfOneOrder, kw_only=True, tag_field="action", tag="return"):
    """A surplus was given back."""

    amount: Amount


class RefundOrder(_OfOneOrder, kw_only=True, tag_field="action", tag="refund"):
    """Give money back: Stripe is asked for it; offline you pay it out yourself. Without `amount`: all of it."""

    amount: Amount | None = None
    reason: Sentence | None = None
    payment_id: Uuid | None = None


class ReleaseEscrow(_OfOneOrder, tag_field="action", tag="releaseEscrow"):
    """The money of an order that was sold for somebody else was paid out to them. Only what is `releasable` is.

    With `amount`, what was paid out, it is refused where another sum is there.
    """

    amount: Amount | None = None


OrderAct = CreateOrder | CollectMoney | CancelOrder | ChangeOrder | ReturnMoney | RefundOrder | ReleaseEscrow
"""What is done to an order by hand, or by a bank or a courier."""
