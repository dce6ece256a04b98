"""The nouns of money: orders, their payments, where each number of a payment came from, fees, refunds, offline money.

Amounts are integers in Stripe's minor units of the currency beside them (see `policy.currencies`); currencies are three
small letters. There is no wallet and no balance of credits anywhere: what is too much is listed as to return.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

# --- closed sets ------------------------------------------------------------------------------------------------------
from lib.model.provider import Provider


class Origin(StrEnum):
    """How an order came to us."""

    CHECKOUT = "checkout"
    """Begun by our own checkout."""
    LEARNT = "learnt"
    """From a session or a payment that somebody else started, such as a Payment Link."""
    ADMIN = "admin"
    """Written down by an operator: offline money."""
    RENEWAL = "renewal"
    """The next period of an offline order."""


class OrderMode(StrEnum):
    """What is bought: Stripe's two modes of a Checkout session, meant for offline orders in the same way."""

    SUBSCRIPTION = "subscription"
    PAYMENT = "payment"


class OrderState(StrEnum):
    """Where an order stands. Partial refund, dispute and overpayment are no states but columns of their own."""

    PENDING = "pending"
    """It is written down; nobody has paid anything."""
    PAYING = "paying"
    """Money is under way: a bank debit, or a part of an offline order."""
    PAID = "paid"
    EXPIRED = "expired"
    """Nobody paid in time, or it was cancelled."""
    FAILED = "failed"
    """Stripe refused to begin, or the newest attempt to pay failed for good."""
    REFUNDED = "refunded"
    """All of its money went back."""


class OrderFact(StrEnum):
    """Everything that can move an order. Each is read from Stripe or is an act of an operator; none is a payload."""

    STARTED = "started"
    """The row was written. A session may not exist yet."""
    UNDER_WAY = "under_way"
    """The session is complete and unpaid: a bank debit runs."""
    PART_COLLECTED = "part_collected"
    """Offline: some of the money has come."""
    PAID = "paid"
    """Its session, its invoice or its PaymentIntent is paid."""
    NOTHING_TO_PAY = "nothing_to_pay"
    """The session is complete and asked for no money (a trial, a full discount)."""
    COLLECTED = "collected"
    """Offline: all of the money has come."""
    SESSION_EXPIRED = "session_expired"
    CANCELLED = "cancelled"
    """By an operator, or because the buyer began anew with other parameters."""
    GIVEN_UP = "given_up"
    """Offline, by an operator: a part had come, no more is waited for, and what came is to be returned."""
    DUE_DATE_PASSED = "due_date_passed"
    """Offline: nothing has come by the date."""
    REFUSED = "refused"
    """Stripe refused to make the session (4xx)."""
    ATTEMPT_FAILED = "attempt_failed"
    """An attempt to pay failed for good; counts only if it is the newest one."""
    REFUNDED = "refunded"
    """Succeeded refunds equal the total."""
    REFUND_FAILED = "refund_failed"
    """A refund that had succeeded failed later: not all of the money is back any more."""
    PAID_AGAIN = "paid_again"
    """All of its money was back, and a later bill of it is paid."""


class PaymentState(StrEnum):
    """Where one attempt to pay stands."""

    PENDING = "pending"
    """It is the buyer's turn."""
    ACTION_REQUIRED = "action_required"
    """The buyer has to confirm it at their bank (3DS), or to use another card."""
    PROCESSING = "processing"
    """Under way, for days with a bank debit."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Declined. Stripe may try the same payment once more, so it can still succeed."""
    CANCELED = "canceled"


class EscrowState(StrEnum):
    """Whose turn it is with the money of an order that was sold for somebody else."""

    HELD = "held"
    RELEASABLE = "releasable"
    RELEASED = "released"
    """Paid out to the seller, by an operator's word."""
    RETURNED = "returned"
    """It went back to the buyer."""


class FeeKind(StrEnum):
    """The operator's own fees; never the provider's."""

    PLATFORM = "platform"
    BUYER_PROTECTION = "buyer_protection"
    CASH_HANDLING = "cash_handling"
    SHIPPING = "shipping"


class StepKind(StrEnum):
    """What a line in an order's log is about."""

    ORDER = "order"
    """The order itself moved, or was refused to."""
    SESSION = "session"
    """Its Checkout session was made, looked for or expired."""
    PAYMENT = "payment"
    """An attempt to pay."""
    BREAKDOWN = "breakdown"
    """The numbers of a payment were frozen."""
    COLLECTION = "collection"
    """Offline money came."""
    REFUND = "refund"
    DISPUTE = "dispute"
    ESCROW = "escrow"


class StepState(StrEnum):
    """How far such a step has come."""

    STARTED = "started"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Source(StrEnum):
    """Where a number of a breakdown came from, so that it can be looked up again."""

    SESSION = "session"
    INVOICE = "invoice"
    INVOICE_PAYMENT = "invoice_payment"
    PAYMENT_INTENT = "payment_intent"
    CHARGE = "charge"
    BALANCE_TRANSACTION = "balance_transaction"
    COLLECTION = "collection"
    COMPUTED = "computed"
    """From the others, by the sums that `policy.breakdown` states."""


# --- an order ---------------------------------------------------------------------------------------------------------


class FeeLine(Struct, frozen=True):
    """One fee of one order, frozen when it starts: enough to answer "why was this fee X" without the rule itself."""

    kind: FeeKind
    rule_id: int
    version: int
    base: int
    """What it was computed from."""
    percent: Decimal
    fixed: int
    amount: int
    minimum: int | None = None
    maximum: int | None = None


class FrozenRequest(Struct, frozen=True):
    """What we ask Stripe for when a session is made, the same bytes every time it is asked."""

    parameters: Mapping[str, Any]
    """The whole request, `expires_at` included; written once and never computed again."""
    key_number: int = 1
    """Raised when a key may not be used again: Stripe stores a 500 under it, and forgets it after a day."""
    sent_at: datetime | None = None
    """When the present key was first used. `None`: never, so that there can be no session."""


class Terms(Struct, frozen=True):
    """What is bought and how: all that makes two requests the same or not."""

    billing_plan_id: str | None
    """The price at Stripe, or the plan of an offline provider. `None` only where a learnt session sells several."""
    quantity: int = 1
    domain: str | None = None
    email: str | None = None
    client_reference: str | None = None
    """The shop's own word for its buyer or cart."""
    seller_id: str | None = None
    """For whom it is sold: a reseller, an affiliate."""
    customer_id: str | None = None
    mode: OrderMode = OrderMode.SUBSCRIPTION


class Order(Struct, frozen=True):
    """One purchase. Its id is Stripe's `client_reference_id` and the first idempotency key."""

    id: str
    provider: Provider
    origin: Origin
    terms: Terms
    created_at: datetime
    livemode: bool = True
    state: OrderState = OrderState.PENDING
    buyer: str | None = None
    """Who shares an open session with whom (`policy.purchases.buyer_of`); `None` shares with nobody."""
    fingerprint: str | None = None
    """Digest of the terms (`policy.purchases.fingerprint`): another one is another purchase."""
    idempotency_key: str | None = None
    """The caller's own; joins its repetitions, whatever they look like."""
    request: FrozenRequest | None = None
    name: str | None = None
    # at Stripe
    session_id: str | None = None
    session_url: str | None = None
    subscription_id: str | None = None
    hosted_invoice_url: str | None = None
    """Where the buyer confirms or changes the card while a payment waits for them."""
    expires_at: datetime | None = None
    # money
    currency: str | None = None
    """`None` only as long as a learnt session has not told it."""
    amount: int | None = None
    """What it costs as far as was known when it started: price times quantity, or what an operator asked for."""
    total: int | None = None
    """What was asked for in the end, with tax and discount."""
    attempt: int = 0
    """The newest attempt to pay."""
    refunded: int = 0
    """Of all its payments together; less than what came in is a partial refund."""
    disputed: bool = False
    """At least one dispute is open."""
    collected: int = 0
    """Offline: what came in. Kept by the table itself, out of `collections`."""
    returned: int = 0
    """Offline: what was too much and has been given back."""
    # sold for somebody else
    fees: tuple[FeeLine, ...] = ()
    seller_net: int | None = None
    """What is theirs by the frozen fees; never written again."""
    escrow: EscrowState | None = None
    releasable_at: datetime | None = None
    quiet_since: datetime | None = None
    """From when the quiet days of what is held count."""
    seller_due: int | None = None
    """What of `seller_net` is here for them: less what never came and what went back. `None`: nobody has looked."""
    released: int | None = None
    """What was paid out to them."""
    # offline
    reference: str | None = None
    due_at: datetime | None = None
    period_days: int | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    line_id: str | None = None
    """The first order of a line of renewals; of the first one its own id."""
    renews: str | None = None
    """The order whose period this one continues."""
    # dates
    paid_at: datetime | None = None
    paid_late: bool = False
    """Its money came when it had expired or failed already: somebody is to look whether it is still meant."""
    ended_at: datetime | None = None
    """When it expired, failed or was cancelled."""
    served_at: datetime | None = None
    """When hosting of it was first seen to run. Kept by the table itself."""
    shared: bool = False
    """Its page was given to somebody from elsewhere by the buyer's e-mail alone: its session's id is no credential."""
    cancelled: bool = False
    """By somebody's word: an open order expires, and a paid offline one is not renewed."""

    @property
    def overpaid(self) -> int:
        """What is to be returned: what came too much, and all that came for an order that is over. Never a credit."""
        if not self.provider.offline or self.amount is None:
            return 0
        if self.state in (OrderState.EXPIRED, OrderState.FAILED):
            return self.collected - self.returned
        return max(self.collected - self.amount - self.returned, 0)

    @property
    def to_claim_back(self) -> int:
        """What was paid out to the seller and went back to the buyer since."""
        return max((self.released or 0) - (self.seller_due or 0), 0)

    @property
    def missing(self) -> int:
        """Offline: what is still to come."""
        return max((self.amount or 0) - (self.collected - self.returned), 0)


class Step(Struct, frozen=True):
    """A line for an order's log: what happened, and why."""

    kind: StepKind
    state: StepState
    cause: str
    """What led to it: `event:evt_...`, `pass:...`, `admin:anna`, `bank:...`."""
    fact: str | None = None
    attempt: int | None = None
    subject: str | None = None
    """The session, payment, refund or dispute it is about."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and ids for people; never an address, a name or a domain."""
    error: str | None = None


# --- a payment --------------------------------------------------------------------------------------------------------


class Bill(Struct, frozen=True):
    """What was asked of the buyer and what of it this payment brought, in the currency of the order."""

    currency: str
    subtotal: int
    """Before discount and before tax that comes on top."""
    total: int
    discount: int | None = None
    """`None`: not told, as where only a PaymentIntent is known. So are the next two."""
    tax: int | None = None
    """All of it, included in the prices or on top."""
    tax_included: int | None = None
    """What of the tax the subtotal contains already."""
    shipping: int | None = None
    paid: int | None = None
    """What this payment brought; `None`: all of the total."""
    presentment: tuple[int, str] | None = None
    """What the buyer saw, in their own currency."""
    sources: Mapping[str, Source] = field(default_factory=dict)


class BalanceTransaction(Struct, frozen=True):
    """What Stripe took and what it added to the balance, in the currency of the balance."""

    id: str
    amount: int
    fee: int
    net: int
    currency: str
    exchange_rate: Decimal | None = None


class Breakdown(Struct, frozen=True):
    """The numbers of one payment, frozen when its money settles. `policy.breakdown` states the sums that hold."""

    currency: str
    subtotal: int
    discount: int | None
    tax: int | None
    tax_included: int | None
    shipping: int | None
    total: int
    paid: int
    """What this payment brought. The rest of the total came otherwise: credit of the customer, another payment."""
    gross: int
    """`paid` in the currency of the balance."""
    provider_fee: int
    net: int
    balance_currency: str
    exchange_rate: Decimal | None = None
    presentment_amount: int | None = None
    presentment_currency: str | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    """Of each number where it came from."""


class Payment(Struct, frozen=True):
    """One attempt to pay, or one renewal: a PaymentIntent at Stripe, or the money of an offline order."""

    id: str
    order_id: str
    provider: Provider
    attempt: int
    """From 1, within its order."""
    state: PaymentState
    amount: int
    currency: str
    created_at: datetime
    payment_intent_id: str | None = None
    charge_id: str | None = None
    invoice_id: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    """Foreign text, cut short."""
    paid_at: datetime | None = None
    breakdown: Breakdown | None = None
    settled_at: datetime | None = None
    """When the breakdown was frozen."""
    part: bool = False
    """It came, and its bill asked for more when it was read last."""

    @property
    def came(self) -> int:
        """What it brought once it succeeded: what was asked for, until its numbers are frozen."""
        return self.breakdown.paid if self.breakdown else self.amount


class RefundState(StrEnum):
    """Stripe's statuses of a refund, and the one before it has any."""

    REQUESTED = "requested"
    """Written down by us, and not answered yet: locked."""
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def takes(self) -> bool:
        """Whether its amount is gone, or may be."""
        return self not in (RefundState.FAILED, RefundState.CANCELED)


class RefundRequest(Struct, frozen=True):
    """A refund that an operator asked for. Its id is the idempotency key, and stands in the refund's metadata."""

    id: str
    order_id: str
    payment_id: str
    amount: int
    currency: str
    requested_at: datetime
    requested_by: str
    note: str | None = None
    """Why, in the operator's words."""


# --- rules and offline money ------------------------------------------------------------------------------------------


class FeeRule(Struct, frozen=True):
    """One row of `fee_rules`. It is never changed: a newer one of the same kind and scope is the next version."""

    id: int
    kind: FeeKind
    version: int
    percent: Decimal
    fixed: int
    valid_from: datetime
    minimum: int | None = None
    maximum: int | None = None
    currency: str | None = None
    """`None` of this and the next two: any."""
    provider: Provider | None = None
    billing_plan_id: str | None = None


class Collection(Struct, frozen=True):
    """Offline money that came in, once."""

    order_id: str
    provider: Provider
    amount: int
    currency: str
    collected_at: datetime
    actor: str
    external_id: str | None = None
    """The bank's or the courier's own id of it: the same one is never taken twice."""
    idempotency_key: str | None = None
