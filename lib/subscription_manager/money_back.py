"""Disputes and refunds: what Stripe says of them now is remembered, and the customer they lead to is named."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from lib.database import Database, ledger, money_back
from lib.errors import NotFound
from lib.kinds import Context, Ended
from lib.log import get_logger
from lib.model import Claim, Dispute, ServiceKey, Settled
from lib.subscription_manager.find_customer import led_to

if TYPE_CHECKING:
    from lib.stripe_client import StripeClient

log = get_logger()


async def run(claim: Claim, context: Context) -> Ended:
    """Read a dispute, a refund or a charge with its refunds, and remember it; the customer is due, if it is news."""
    try:
        customer_id = await _learn(context.db, context.stripe, claim)
    except NotFound as error:
        log.warning("object_unknown", kind=claim.kind, error=str(error))
        return Ended(Settled())
    return await led_to(customer_id, claim, context)


async def _learn(db: Database, stripe: StripeClient, claim: Claim) -> str | None:
    if claim.kind == "dispute":
        return await _dispute(db, stripe, claim.key)
    charge_id: str | None = claim.key
    if claim.kind == "refund":
        refund = await stripe.refund(claim.key)
        charge_id = refund.charge_id
        if charge_id is None:  # of a bank transfer, for one: remembered, so that no sweep asks again
            await money_back.remember_refunds(db, [refund])
            return None
    assert charge_id is not None
    customer_id, refunds = await stripe.refunds_of(charge_id)
    await money_back.remember_refunds(db, refunds)
    return customer_id


async def _dispute(db: Database, stripe: StripeClient, dispute_id: str) -> str | None:
    dispute = await stripe.dispute(dispute_id)
    before = await money_back.remember_dispute(db, dispute)
    if before != dispute.status:
        log.warning("dispute_changed", dispute=dispute_id, status=dispute.status, customer=dispute.customer_id)
        if dispute.customer_id is not None:
            await ledger.record(db, [_note(dispute, dispute.customer_id, before)])
    return dispute.customer_id


def _note(dispute: Dispute, customer_id: str, before: str | None) -> ledger.Fact:
    """An inquiry moves no money and holds nothing, but somebody should know of it."""
    return ledger.Fact(
        str(uuid4()),
        "noted",
        "dispute",
        customer_id,
        ServiceKey(dispute.subscription_id, 1) if dispute.subscription_id else None,
        rule=dispute.status,
        before={"status": before},
        after={"status": dispute.status},
        facts={
            "dispute": dispute.dispute_id,
            "amount": dispute.amount,
            "currency": dispute.currency,
            "reason": dispute.reason,
        },
    )
