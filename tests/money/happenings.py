"""What can happen to money at Stripe, or be done by an operator, and what must be true of it in the end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lib.bridge import Bridge
from lib.checkout import escrow
from lib.checkout.till import Till
from lib.database import due
from lib.kinds import nudge
from lib.ledger.refunding import Refunding, refund
from tests.messages.postoffice import mail
from tests.money.shop import ONCE, Shop, adds_up
from tests.money.test_money_told import OUT, told
from tests.money.till import past

MONTHLY = "price_ignored_monthly"
"""Hosting is made by other passes, which have tests like these of their own."""

HEARD = {**OUT, **mail("smtps://127.0.0.1:9")}
"""Events and mails are written, and nobody takes them."""

Begin = Callable[[Shop], Awaitable[str]]
"""Let it happen, with all that came before it in peace; the order's id, or of one still to be learnt its session's."""


@dataclass(frozen=True)
class Happening:
    """Something that happens to money."""

    begin: Begin
    state: str
    """What the order is in the end."""
    said: tuple[str, ...] = ()
    """The types of all that was told of it, each as often as it is here."""
    payments: tuple[str, ...] = ("succeeded",)
    """How each of its payments stands, oldest first."""
    thanked: bool = True
    """Whether its buyer was written to, once, that it is paid."""
    columns: tuple[tuple[str, Any], ...] = ()
    """What else is true of the order."""
    act: Callable[[Bridge, str], Awaitable[object]] | None = None
    """What an operator does, instead of the passes that are due."""


# --- before the money -------------------------------------------------------------------------------------------------


def pay(price: str) -> Begin:
    """A purchase of ours is paid."""

    async def begin(shop: Shop) -> str:
        order_id, session = await shop.begin(price)
        shop.stripe.complete_checkout(session, "ada@example.com")
        return order_id

    return begin


async def follow_a_link(shop: Shop) -> str:
    """A Payment Link is paid: the order is learnt."""
    session = shop.link(MONTHLY)
    shop.stripe.complete_checkout(session, "ada@example.com")
    return session


async def decline(shop: Shop) -> str:
    """The card is declined, and the page stays open."""
    order_id, session = await shop.begin(ONCE)
    intent = shop.stripe._intent(None, 5000, "eur", shop.stripe.now())
    shop.stripe.set(session, payment_intent=intent["id"])
    shop.stripe._charge(intent, False, shop.stripe.now())
    return order_id


async def pay_after_decline(shop: Shop) -> str:
    """The buyer takes another card."""
    order_id = await decline(shop)
    await shop.hear(**HEARD)
    session = shop.stripe.get(shop.order(order_id)["session_id"])
    shop.stripe._charge(shop.stripe.get(session["payment_intent"]), True, shop.stripe.now())
    shop.stripe.set(session["id"], status="complete", payment_status="paid", url=None)
    shop.stripe.emit("checkout.session.completed", shop.stripe.get(session["id"]))
    return order_id


async def debit(shop: Shop) -> str:
    """A bank debit is under way."""
    order_id, session = await shop.begin(MONTHLY)
    shop.stripe.complete_checkout(session, "ada@example.com", payment="processing")
    return order_id


def settle(*, ok: bool) -> Begin:
    """A bank debit that was known to be under way arrives, or fails."""

    async def begin(shop: Shop) -> str:
        order_id = await debit(shop)
        await shop.hear(**HEARD)
        shop.stripe.settle_checkout(shop.order(order_id)["session_id"], ok=ok)
        return order_id

    return begin


async def pay_after_failed_debit(shop: Shop) -> str:
    """The bill of a bank debit that failed is paid in another way."""
    order_id = await settle(ok=False)(shop)
    await shop.hear(**HEARD)
    shop.stripe.pay_open_invoice(shop.order(order_id)["subscription_id"])
    return order_id


async def expire(shop: Shop) -> str:
    """Nobody pays, and the page is closed."""
    order_id, session = await shop.begin(MONTHLY)
    shop.stripe.expire_checkout(session)
    return order_id


# --- after it ---------------------------------------------------------------------------------------------------------


async def bought(shop: Shop, price: str = ONCE, **columns: Any) -> tuple[str, str]:
    """An order that is paid and known: (order, charge)."""
    order_id, session = await shop.begin(price, **columns)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**HEARD)
    (payment,) = shop.payments(order_id)
    return order_id, payment["charge_id"]


def renew(outcome: Any) -> Begin:
    """The next period is billed."""

    async def begin(shop: Shop) -> str:
        order_id, _ = await bought(shop, MONTHLY)
        shop.stripe.renew(shop.order(order_id)["subscription_id"], outcome)
        return order_id

    return begin


async def pay_failed_renewal(shop: Shop) -> str:
    """The card of a renewal failed, and its bill is paid then."""
    order_id = await renew("failed")(shop)
    await shop.hear(**HEARD)
    shop.stripe.pay_open_invoice(shop.order(order_id)["subscription_id"])
    return order_id


async def lower_by_credit_note(shop: Shop) -> str:
    """A credit note takes 4.00 off the next bill, and the rest is paid."""
    order_id, _ = await bought(shop, MONTHLY)
    subscription = shop.order(order_id)["subscription_id"]
    shop.stripe.renew(subscription, "open")
    invoice = shop.stripe.open_invoice(subscription)
    link = next(shop.stripe.invoice_payments.newest_first({"invoice": invoice["id"]}))
    shop.stripe.set(link["payment"]["payment_intent"], amount=1500)
    shop.stripe.set(invoice["id"], amount_due=1500, amount_remaining=1500, pre_payment_credit_notes_amount=400)
    shop.stripe.emit("credit_note.created", {"id": "cn_1", "object": "credit_note", "invoice": invoice["id"]})
    shop.stripe.pay_open_invoice(subscription)
    return order_id


async def credit_after_payment(shop: Shop) -> str:
    """A credit note about a bill that is paid already."""
    order_id, _ = await bought(shop, MONTHLY)
    (payment,) = shop.payments(order_id)
    shop.stripe.set(payment["invoice_id"], total=1500, amount_paid=1500, post_payment_credit_notes_amount=400)
    note = {"id": "cn_1", "object": "credit_note", "invoice": payment["invoice_id"]}
    shop.stripe.emit("credit_note.created", note)
    return order_id


async def refund_there(shop: Shop) -> str:
    """Somebody refunds a part in Stripe's dashboard."""
    order_id, charge = await bought(shop)
    shop.stripe.refund(charge, 2000)
    return order_id


async def refund_all(shop: Shop) -> str:
    """Somebody refunds all of it."""
    order_id, charge = await bought(shop)
    shop.stripe.refund(charge)
    return order_id


async def refund_that_fails(shop: Shop) -> str:
    """The buyer's bank sends all of it back."""
    order_id = await refund_all(shop)
    await shop.hear(**HEARD)
    assert shop.order(order_id)["state"] == "refunded"
    (made,) = [row for row in shop.books()["refunds"] if str(row["order_id"]) == order_id]
    shop.stripe.fail_refund(made["refund_id"])
    return order_id


async def dispute(shop: Shop) -> str:
    """A bank asks for the money back."""
    order_id, charge = await bought(shop)
    shop.stripe.dispute(charge)
    return order_id


def end_dispute(status: Any, *, known: bool = True) -> Begin:
    """It gets it, or not."""

    async def begin(shop: Shop) -> str:
        order_id, charge = await bought(shop)
        made = shop.stripe.dispute(charge)
        if known:
            await shop.hear(**HEARD)
        shop.stripe.close_dispute(made["id"], status)
        return order_id

    return begin


async def sold_for_another(shop: Shop) -> str:
    """The quiet days of what was sold for somebody else are over."""
    order_id, _ = await bought(shop, seller_id="acct_1", seller_net=5000)
    past(shop.world, 15)
    async with shop.world.bridge(**HEARD) as bridge:
        await due.mark(bridge.db, [nudge("order", order_id)])
    return order_id


async def releasable(shop: Shop) -> str:
    """Its money may be paid out."""
    order_id = await sold_for_another(shop)
    await shop.rest(**HEARD)
    return order_id


async def give_out(bridge: Bridge, order_id: str) -> object:
    """It is."""
    return await escrow.release(Till(bridge.settings, bridge.db, "anna"), order_id)


async def nothing_yet(shop: Shop) -> str:
    """A paid order of which an operator refunds a part."""
    order_id, _ = await bought(shop)
    return order_id


async def give_back(bridge: Bridge, order_id: str) -> object:
    """The operator does."""
    at = Refunding(bridge.settings, bridge.db, bridge.stripe, actor="anna")
    return await refund(at, order_id, 2000, "asked by mail")


# --- all of them ------------------------------------------------------------------------------------------------------


PAID = ("order.paid", "payment.succeeded")

HAPPENINGS = {
    "pay once": Happening(pay(ONCE), "paid", PAID),
    "subscribe": Happening(pay(MONTHLY), "paid", PAID),
    "learn": Happening(follow_a_link, "paid", PAID),
    "decline": Happening(decline, "pending", ("payment.failed",), ("failed",), thanked=False),
    "pay after a decline": Happening(pay_after_decline, "paid", ("payment.failed", *PAID)),
    "debit": Happening(debit, "paying", (), ("processing",), thanked=False),
    "debit arrives": Happening(settle(ok=True), "paid", PAID),
    "debit fails": Happening(settle(ok=False), "failed", ("payment.failed",), ("failed",), thanked=False),
    "pay after a debit failed": Happening(
        pay_after_failed_debit, "paid", ("payment.failed", *PAID), columns=(("paid_late", True),)
    ),
    "expire": Happening(expire, "expired", (), (), thanked=False),
    "renew": Happening(renew("paid"), "paid", (*PAID, "payment.succeeded"), ("succeeded", "succeeded")),
    "renewal fails": Happening(renew("failed"), "paid", (*PAID, "payment.failed"), ("succeeded", "failed")),
    "failed renewal is paid": Happening(
        pay_failed_renewal, "paid", (*PAID, "payment.failed", "payment.succeeded"), ("succeeded", "succeeded")
    ),
    "credit note": Happening(lower_by_credit_note, "paid", (*PAID, "payment.succeeded"), ("succeeded", "succeeded")),
    "credit note later": Happening(credit_after_payment, "paid", PAID),
    "refund there": Happening(refund_there, "paid", (*PAID, "refund.succeeded"), columns=(("refunded", 2000),)),
    "refund all": Happening(refund_all, "refunded", (*PAID, "refund.succeeded"), columns=(("refunded", 5000),)),
    "refund fails": Happening(refund_that_fails, "paid", (*PAID, "refund.succeeded"), columns=(("refunded", 0),)),
    "dispute": Happening(dispute, "paid", (*PAID, "dispute.opened"), columns=(("disputed", True),)),
    "dispute is lost": Happening(
        end_dispute("lost"), "paid", (*PAID, "dispute.opened", "dispute.closed"), columns=(("disputed", False),)
    ),
    "dispute is won": Happening(
        end_dispute("won"), "paid", (*PAID, "dispute.opened", "dispute.closed"), columns=(("disputed", False),)
    ),
    "dispute is over": Happening(
        end_dispute("won", known=False),
        "paid",
        (*PAID, "dispute.opened", "dispute.closed"),
        columns=(("disputed", False),),
    ),
    "escrow": Happening(sold_for_another, "paid", (*PAID, "escrow.releasable"), columns=(("escrow", "releasable"),)),
    "escrow is released": Happening(
        releasable, "paid", (*PAID, "escrow.releasable"), columns=(("escrow", "released"),), act=give_out
    ),
    "refund here": Happening(
        nothing_yet, "paid", (*PAID, "refund.succeeded"), columns=(("refunded", 2000),), act=give_back
    ),
}


def is_so(shop: Shop, order_id: str, happening: Happening) -> None:
    """One order as it should be, payments that add up, and each thing told once."""
    row = shop.order(order_id)
    assert row["state"] == happening.state
    for column, value in happening.columns:
        assert row[column] == value, column
    payments = shop.payments(order_id)
    assert tuple(payment["state"] for payment in payments) == happening.payments
    for payment in payments:
        if payment["state"] == "succeeded":
            adds_up(payment)
    assert sorted(kind for kind, data in told(shop) if data.get("orderId") == order_id) == sorted(happening.said)
    thanks = shop.world.sql("SELECT kind FROM notices WHERE order_id = %s", order_id)
    assert [row["kind"] for row in thanks] == (["order_paid"] if happening.thanked else [])
    steps = shop.world.sql("SELECT kind, state, fact, attempt, subject FROM order_steps WHERE order_id = %s", order_id)
    assert len(steps) == len({tuple(step.values()) for step in steps})


def is_refunded_in_part(shop: Shop, order_id: str) -> None:
    """20.00 went back, once, and everybody knows it."""
    assert shop.order(order_id)["refunded"] == 2000
    (payment,) = shop.payments(order_id)
    (row,) = [row for row in shop.books()["refunds"] if row["order_id"] == payment["order_id"]]
    assert (row["status"], row["payment_id"]) == ("succeeded", payment["payment_id"])
    assert [refund["amount"] for refund in shop.stripe.refunds.newest_first({"charge": row["charge_id"]})] == [2000]
    said = [kind for kind, data in told(shop) if data["orderId"] == order_id and kind.startswith("refund")]
    assert said == ["refund.succeeded"]
