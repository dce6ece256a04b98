"""Orders, for people: every number with its currency, and where it came from."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from msgspec.structs import asdict

from lib.database.lists.disputes import DisputeRow
from lib.database.lists.orders import Reconciled
from lib.model import CustomerKey
from lib.model.money import Breakdown, Collection, Order, Payment
from lib.operators.views.money import MoneyView, exponent_of
from lib.policy import references
from lib.policy.disputes import next_step
from lib.policy.offline_lines import line_name
from lib.web.typed import View


class FeeView(View):
    """One of the operator's own fees, frozen when the order began."""

    kind: str
    amount: int
    base: int
    percent: str
    fixed: int
    minimum: int | None
    maximum: int | None
    rule_id: int
    version: int


class NotLiveView(View):
    """What was paid of an order for which nothing runs, why not, and what to do."""

    since: datetime
    """When it was paid."""
    invoice_id: str | None
    payment_intent_id: str | None
    """What paid it."""
    reason: str
    """One word for why."""
    detail: str
    remedy: str


class OrderView(MoneyView):
    """One order. Amounts are whole minor units of `currency`."""

    id: str
    provider: str
    origin: str
    state: str
    customer_id: str | None
    email: str | None
    name: str | None
    billing_plan_id: str | None
    quantity: int
    mode: str
    domain: str | None
    client_reference: str | None
    amount: int | None
    total: int | None
    collected: int
    missing: int
    """Offline: what is still to come."""
    overpaid: int
    """Offline: what is to be returned. Never a credit."""
    returned: int
    refunded: int
    disputed: bool
    fees: list[FeeView]
    seller_id: str | None
    seller_net: int | None
    """What is the seller's by the frozen fees."""
    seller_due: int | None
    """What of that is here for them: less what never came and what went back; `null`: nobody has looked yet."""
    released: int | None
    """What was paid out to them."""
    to_claim_back: int
    """What of that went back to the buyer since."""
    escrow: str | None
    releasable_at: datetime | None
    reference: str | None
    """Offline: what the payer writes into the transfer, as it stands on paper."""
    due_at: datetime | None
    period_days: int | None
    period_start: datetime | None
    period_end: datetime | None
    line_id: str | None
    renews: str | None
    subscription_id: str | None
    session_id: str | None
    hosted_invoice_url: str | None
    created_at: datetime
    paid_at: datetime | None
    paid_late: bool
    """Its money came when it had expired or failed already."""
    served_at: datetime | None
    """When hosting of it was first seen to run."""
    ended_at: datetime | None
    cancelled: bool
    customer_email: str | None = None
    """The customer's, where the order itself has none."""
    not_live: NotLiveView | None = None
    """Of what was paid and has never run: in the list `notLive=true`, and of one order."""

    @classmethod
    def of_order(cls, order: Order, **more: Any) -> Self:
        """An order as it is now."""
        terms, whom, line = order.terms, None, order.line_id
        if terms.customer_id is not None:
            whom = str(CustomerKey(order.provider, terms.customer_id))
        names = ("email", "billing_plan_id", "quantity", "domain", "client_reference", "seller_id")
        return cls.of(
            order,
            provider=order.provider.value,
            origin=order.origin.value,
            state=order.state.value,
            mode=terms.mode.value,
            customer_id=whom,
            **{name: getattr(terms, name) for name in names},
            missing=order.missing if order.provider.offline else 0,
            fees=[FeeView.of(fee, kind=fee.kind.value, percent=str(fee.percent)) for fee in order.fees],
            escrow=order.escrow.value if order.escrow else None,
            reference=references.printed(order.reference) if order.reference else None,
            subscription_id=line_name(line) if order.provider.offline and line else order.subscription_id,
            **{"customer_email": None, "not_live": None, **more},
        )


class PaymentView(MoneyView):
    """One attempt to pay, or one renewal."""

    id: str
    attempt: int
    state: str
    amount: int
    currency: str
    payment_intent_id: str | None
    charge_id: str | None
    invoice_id: str | None
    failure_code: str | None
    failure_message: str | None
    created_at: datetime
    paid_at: datetime | None
    settled_at: datetime | None
    numbers: dict[str, Any] | None
    """The breakdown, frozen when the money settled; `sources` says of each number where it came from. It is in the
    payment's currency, but for what came to the balance and what the buyer saw, whose exponents stand beside them."""

    @classmethod
    def of_payment(cls, payment: Payment) -> Self:
        """A payment as it is now."""
        return cls.of(payment, state=payment.state.value, numbers=_numbers(payment.breakdown))


def _numbers(found: Breakdown | None) -> dict[str, Any] | None:
    if found is None:
        return None
    told = asdict(found)
    rate = found.exchange_rate
    told |= {"sources": {_camel(name): source.value for name, source in found.sources.items()}}
    told |= {"exchange_rate": str(rate) if rate is not None else None}
    told |= {"exponent": exponent_of(found.currency)}
    told |= {f"{name}_exponent": exponent_of(told[f"{name}_currency"]) for name in ("balance", "presentment")}
    return {_camel(name): value for name, value in told.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


class CollectionView(MoneyView):
    """Offline money that came."""

    amount: int
    currency: str
    collected_at: datetime
    actor: str
    external_id: str | None


class MoneyBackView(MoneyView):
    """A refund, or a dispute: what of a payment went back, or is asked back."""

    id: str
    payment_id: str | None
    amount: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime
    due_by: datetime | None = None
    """Of a dispute: when the evidence must be there."""
    closed_at: datetime | None = None
    failure: str | None = None
    actor: str | None = None
    """Of a refund that an operator asked for: who."""


class StepView(View):
    """A line of an order's log."""

    at: datetime
    kind: str
    state: str
    from_state: str | None
    to_state: str | None
    fact: str | None
    attempt: int | None
    subject: str | None
    cause: str
    detail: dict[str, Any]
    error: str | None


class PeriodView(View):
    """One order of a line, each continuing the one before."""

    id: str
    state: str
    due_at: datetime | None
    period_start: datetime | None
    period_end: datetime | None


class OrderDetails(OrderView, kw_only=True):
    """One order with everything that is known of it."""

    payments: list[PaymentView]
    collections: list[CollectionView]
    refunds: list[MoneyBackView]
    disputes: list[MoneyBackView]
    steps: list[StepView]
    line: list[PeriodView]
    why_not_released: str | None = None
    """Of an order with a seller: why their money may not be paid out now; `null`: it may, or it was."""

    @classmethod
    def of_all(
        cls,
        order: Order,
        *,
        payments: list[Payment],
        collections: list[Collection],
        money_back: tuple[list[dict[str, Any]], list[dict[str, Any]]],
        steps: list[dict[str, Any]],
        line: list[Order],
        why_not_released: str | None,
        **more: Any,
    ) -> Self:
        """All of it."""
        refunds, disputes = money_back
        return cls.of_order(
            order,
            payments=[PaymentView.of_payment(payment) for payment in payments],
            collections=[CollectionView.of(came) for came in collections],
            refunds=[_refund(row) for row in refunds],
            disputes=[_dispute(row) for row in disputes],
            steps=[_step(step) for step in steps],
            line=[PeriodView.of(one, state=one.state.value) for one in line],
            why_not_released=why_not_released,
            **more,
        )


def _step(row: dict[str, Any]) -> StepView:
    detail = row["detail"]
    if "currency" in detail:
        detail = {**detail, "exponent": exponent_of(detail["currency"])}
    return StepView(**{name: row[name] for name in StepView.__struct_fields__ if name != "detail"}, detail=detail)


def _refund(row: dict[str, Any]) -> MoneyBackView:
    names = ("payment_id", "amount", "currency", "status", "created_at", "failure")
    return MoneyBackView(
        id=row["refund_id"],
        reason=row["note"],
        actor=row["requested_by"],
        **{name: row[name] for name in names},
    )


def _dispute(row: dict[str, Any]) -> MoneyBackView:
    names = ("payment_id", "amount", "currency", "status", "reason", "created_at", "due_by", "closed_at")
    return MoneyBackView(id=row["dispute_id"], **{name: row[name] for name in names})


class DisputeView(MoneyView):
    """A dispute or an inquiry as Stripe last told it, and what to do about it."""

    id: str
    status: str
    reason: str | None
    network_reason: str | None
    """The card network's own code."""
    amount: int
    currency: str
    created_at: datetime
    due_by: datetime | None
    """Until when Stripe takes an answer."""
    closed_at: datetime | None
    has_evidence: bool | None
    waived: bool
    """An operator's word that it holds nothing."""
    withdrawn: int | None
    """What was taken from the balance with it; its currency and that of `fee` are those of the balance."""
    fee: int | None
    customer_id: str | None
    email: str | None
    """Of the order, else of the customer."""
    name: str | None
    subscription_id: str | None
    charge_id: str | None
    payment_intent_id: str | None
    payment_id: str | None
    order_id: str | None
    """`null`: its payment belongs to no order that is kept here."""
    remedy: str | None
    """What to do; `null` once it is over."""

    @classmethod
    def of_row(cls, row: DisputeRow, now: datetime) -> Self:
        """One line of the list."""
        known, kept = row.customer_id is not None, row.order_id is not None
        do = next_step(row.status, row.due_by, now, order_kept=kept, customer_known=known)
        return cls.of(row, id=row.dispute_id, remedy=do)


class ReconciledView(MoneyView):
    """What was expected for an offline order, against what came."""

    order_id: str
    reference: str | None
    customer_id: str | None
    provider: str
    state: str
    due_at: datetime | None
    amount: int
    """What was asked for."""
    expected: int
    """What is expected for it: nothing any more once it has expired or failed."""
    collected: int
    returned: int
    """Given back of what was not owed."""
    refunded: int
    """Given back of what was owed."""
    kept: int
    """`collected - returned - refunded`: what has stayed. Also `expected - refunded + difference`."""
    difference: int
    """Above zero: to be returned; below: still missing."""
    external_ids: list[str]
    last_came_at: datetime | None

    @classmethod
    def of_row(cls, row: Reconciled) -> Self:
        """One line of the list."""
        seen = OrderView.of_order(row.order)
        return cls.of(
            seen,
            order_id=seen.id,
            expected=row.expected,
            kept=row.kept,
            difference=row.difference,
            external_ids=row.external_ids,
            last_came_at=row.last_came_at,
        )


class RefundAsked(MoneyView):
    """A refund that Stripe was asked for, as it stands."""

    request_id: str
    refund_id: str | None
    """Stripe's own; `null` while its answer is not known."""
    status: str
    amount: int
    currency: str
    payment_id: str


class OrderActed(View):
    """An order after an act."""

    action: str
    order: OrderView
    repeated: bool = False
    """It had been done before, and nothing was done now."""
    refund: RefundAsked | None = None
    """Of a refund at Stripe."""


class DisputePack(View):
    """What there is to say about a dispute, as one plain text to paste at Stripe."""

    dispute_id: str
    due_by: datetime | None
    """When the evidence must be at Stripe."""
    text: str
