"""Refunds and disputes of an order follow Stripe; an operator's refund is made once, wherever its answer is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lib.checkout.till import Till
from lib.errors import Declined, Denied, OutcomeUnknown, Retryable
from lib.ledger.refunding import Refunded, Refunding, refund
from lib.stripe_client import writes
from lib.structs import replace
from tests.money.shop import ONCE, Shop, adds_up
from tests.money.test_money_told import OUT, told
from tests.world import World


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop with orders kept."""
    return Shop(world)


async def bought(shop: Shop, price: str = ONCE, **columns: Any) -> tuple[str, str]:
    """A paid order that was heard of: (order, what of Stripe's leads to its charge)."""
    order_id, session = await shop.begin(price, **columns)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**OUT)
    return order_id, session


def linked(shop: Shop, table: str) -> list[dict[str, Any]]:
    """Refunds or disputes, each of which knows its order and its payment."""
    rows = shop.books()[table]
    (payment,) = shop.payments()
    assert {(row["order_id"], row["payment_id"]) for row in rows} == {(payment["order_id"], payment["payment_id"])}
    return rows


# --- what Stripe tells ------------------------------------------------------------------------------------------------


async def test_parts_add_up_to_a_refunded_order(shop: Shop) -> None:
    """A part changes the column, all of it the state; when one of them fails later, the order is paid again."""
    order_id, session = await bought(shop)
    first = shop.stripe.refund(session, 2000)
    await shop.hear(**OUT)
    assert (shop.order()["state"], shop.order()["refunded"]) == ("paid", 2000)
    shop.stripe.refund(session)
    await shop.hear(**OUT)
    assert (shop.order()["state"], shop.order()["refunded"]) == ("refunded", 5000)
    shop.stripe.fail_refund(first["id"])
    await shop.hear(**OUT)
    row = shop.order(order_id)
    assert (row["state"], row["refunded"]) == ("paid", 3000)
    assert {refund["status"] for refund in linked(shop, "refunds")} == {"failed", "succeeded"}
    assert [fact for _, fact in shop.steps()] == ["started", "paid", "refunded", "refund_failed"]
    assert [(kind, data["amount"], data["full"]) for kind, data in told(shop) if kind.startswith("refund")] == [
        ("refund.succeeded", 2000, False),
        ("refund.succeeded", 3000, True),
    ]
    (payment,) = shop.payments()
    adds_up(payment)
    assert shop.due() == []


async def test_a_refund_that_is_heard_of_before_its_payment_is_the_orders_all_the_same(shop: Shop) -> None:
    """Everything in the wrong order, at once: the refund finds its payment when that is written."""
    order_id, session = await shop.begin(ONCE)
    shop.stripe.complete_checkout(session, "ada@example.com")
    shop.stripe.refund(session)
    await shop.hear(reversed(shop.stripe.undelivered()))
    assert (shop.order(order_id)["state"], shop.order()["refunded"]) == ("refunded", 5000)
    linked(shop, "refunds")


async def test_a_pending_refund_has_not_gone_yet(shop: Shop) -> None:
    """It counts once it has succeeded."""
    _, session = await bought(shop)
    pending = shop.stripe.refund(session, status="pending")
    await shop.hear()
    assert (shop.order()["state"], shop.order()["refunded"]) == ("paid", 0)
    shop.stripe.set(pending["id"], status="succeeded")
    shop.stripe.emit("refund.updated", pending)
    await shop.hear()
    assert shop.order()["state"] == "refunded"


async def test_a_renewal_that_is_refunded_leaves_the_order_paid(shop: Shop) -> None:
    """Only when all of the line's money is back is it refunded."""
    order_id, session = await bought(shop, "price_basic_monthly")
    subscription = shop.stripe.get(session)["subscription"]
    shop.stripe.renew(subscription)
    await shop.hear()
    shop.stripe.refund(subscription)
    await shop.hear()
    assert (shop.order(order_id)["state"], shop.order()["refunded"]) == ("paid", 1900)
    first = shop.payments()[0]
    shop.stripe.refund(first["charge_id"])
    await shop.hear()
    assert shop.order(order_id)["state"] == "refunded"


async def test_a_later_bill_of_a_refunded_order_is_said_as_what_it_is(shop: Shop) -> None:
    """All of its money was back, and the next bill is paid: the order is paid again, and no refund has failed."""
    order_id, session = await bought(shop, "price_basic_monthly")
    shop.stripe.refund(shop.payments()[0]["charge_id"])
    await shop.hear()
    shop.stripe.renew(shop.stripe.get(session)["subscription"])
    await shop.hear()
    assert (shop.order(order_id)["state"], shop.order()["refunded"]) == ("paid", 1900)
    assert [fact for _, fact in shop.steps()] == ["started", "paid", "refunded", "paid_again"]


STATUSES = ["needs_response", "under_review", "warning_needs_response", "warning_under_review"]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("end", ["won", "lost", "warning_closed", "prevented"])
async def test_every_dispute_is_kept_with_its_order(shop: Shop, status: str, end: Any) -> None:
    """Open, it is shown with its deadline; closed, the order is as it was but for the dispute's own row."""
    await bought(shop)
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"], status)
    await shop.hear(**OUT)
    assert (shop.order()["disputed"], shop.order()["state"]) == (True, "paid")
    (row,) = linked(shop, "disputes")
    assert (row["status"], row["closed_at"]) == (status, None)
    assert int(row["due_by"].timestamp()) == dispute["evidence_details"]["due_by"]
    taken = None if status.startswith("warning") else 5000
    assert (row["withdrawn"], row["case_type"]) == (taken, "inquiry" if taken is None else "chargeback")
    shop.stripe.close_dispute(dispute["id"], end)
    await shop.hear(**OUT)
    assert shop.order()["disputed"] is False
    (row,) = linked(shop, "disputes")
    assert (row["status"], row["closed_at"] is not None) == (end, True)
    assert row["withdrawn"] == (0 if end == "won" and taken else taken)
    kinds = [(kind, data["status"]) for kind, data in told(shop) if kind.startswith("dispute")]
    assert kinds == [("dispute.opened", status), ("dispute.closed", end)]
    assert shop.steps("dispute")[-1][1] == end


async def test_several_disputes_of_one_payment(shop: Shop) -> None:
    """It is disputed as long as one of them is open."""
    await bought(shop)
    charge = shop.payments()[0]["charge_id"]
    one, two = (shop.stripe.dispute(charge, amount=amount) for amount in (2000, 1000))
    await shop.hear()
    shop.stripe.close_dispute(one["id"], "won")
    await shop.hear()
    assert shop.order()["disputed"] is True
    shop.stripe.close_dispute(two["id"], "lost")
    await shop.hear()
    assert shop.order()["disputed"] is False
    assert len(linked(shop, "disputes")) == 2


async def test_trouble_holds_the_sellers_money(shop: Shop) -> None:
    """A dispute stops the clock, its end starts it anew; what was lost goes back to the buyer."""
    await bought(shop, seller_id="acct_1", seller_net=5000)
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"])
    await shop.hear()
    shop.world.sql("UPDATE orders SET paid_at = paid_at - interval '30 days'")
    await shop.rest()
    assert shop.order()["escrow"] == "held"
    shop.stripe.close_dispute(dispute["id"], "won")
    await shop.hear()
    assert shop.order()["escrow"] == "held"
    assert (shop.order()["releasable_at"] - shop.books()["disputes"][0]["closed_at"]).days == 14
    shop.stripe.dispute(shop.payments()[0]["charge_id"])
    await shop.hear()
    shop.stripe.close_dispute(shop.books()["disputes"][1]["dispute_id"], "lost")
    await shop.hear()
    assert shop.order()["escrow"] == "returned"


# --- an operator's refund ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def hand(shop: Shop) -> AsyncIterator[Refunding]:
    """Anna, who may refund."""
    async with shop.world.bridge(ORDERS="on", **OUT) as bridge:
        yield Refunding(bridge.settings, bridge.db, bridge.stripe, actor="anna")


async def give_back(shop: Shop, order_id: str, amount: int | None = None, **more: Any) -> Refunded:
    """She refunds."""
    async with hand(shop) as at:
        return await refund(at, order_id, amount, "asked by mail", **more)


async def test_an_operator_gives_money_back(shop: Shop) -> None:
    """A part, then the rest; each with who asked and why, and told once whoever was faster."""
    order_id, _ = await bought(shop)
    part = await give_back(shop, order_id, 1500)
    await shop.hear(**OUT)
    rest = await give_back(shop, order_id)
    await shop.hear(**OUT)
    assert (part.status, rest.status, rest.amount) == ("succeeded", "succeeded", 3500)
    row = shop.order(order_id)
    assert (row["state"], row["refunded"]) == ("refunded", 5000)
    rows = linked(shop, "refunds")
    assert {(row["requested_by"], row["note"], row["waived"]) for row in rows} == {("anna", "asked by mail", False)}
    assert len([kind for kind, _ in told(shop) if kind == "refund.succeeded"]) == 2
    causes = {row["cause"] for row in shop.world.sql("SELECT cause FROM order_steps WHERE kind = 'refund'")}
    assert causes == {"admin:anna"}
    assert shop.due() == []


async def test_who_asks_again_gives_no_other_month_back(shop: Shop) -> None:
    """The newest payment is meant; once that is back, an older one goes only where it is named."""
    order_id, session = await bought(shop, "price_basic_monthly")
    shop.stripe.renew(shop.stripe.get(session)["subscription"])
    await shop.hear(**OUT)
    await give_back(shop, order_id)
    await shop.hear(**OUT)
    for amount in (None, 1900, 100):
        with pytest.raises(Declined, match="paymentId"):
            await give_back(shop, order_id, amount)
    assert (shop.order(order_id)["state"], shop.order()["refunded"]) == ("paid", 1900)
    await give_back(shop, order_id, payment_id=str(shop.payments()[0]["payment_id"]))
    await shop.hear(**OUT)
    assert shop.order(order_id)["state"] == "refunded"


async def test_a_refund_that_is_asked_for_again_under_its_key_is_the_same(shop: Shop) -> None:
    """Whoever lost the answer repeats the call; for other money the key is refused."""
    order_id, _ = await bought(shop)

    async def ask(amount: int | None) -> Refunded:
        async with hand(shop) as at:
            act = Till(at.settings, at.db, at.actor, "key-of-monday").act("refund", order_id, amount=amount)
            return await refund(replace(at, act=act), order_id, amount, "asked by mail")

    first, again = await ask(1500), await ask(1500)
    await shop.hear(**OUT)
    late = await ask(1500)
    assert (first.repeated, again.repeated, late.repeated) == (False, True, True)
    assert {(one.refund_id, one.status, one.amount) for one in (first, again, late)} == {
        (first.refund_id, "succeeded", 1500)
    }
    with pytest.raises(Declined) as raised:
        await ask(1400)
    assert raised.value.code == "key_reused"
    assert (shop.order(order_id)["refunded"], len(shop.books()["refunds"])) == (1500, 1)


@pytest.mark.parametrize("amount", [5001, 0, -1])
async def test_no_more_than_is_left_goes_back(shop: Shop, amount: int) -> None:
    """It is said what is left, and Stripe is not asked."""
    order_id, _ = await bought(shop)
    with pytest.raises(Declined, match=r"50\.00 EUR are left"):
        await give_back(shop, order_id, amount)
    assert shop.stripe.count("POST", "/v1/refunds") == 0


async def test_two_hands_at_one_time_give_it_back_once(shop: Shop) -> None:
    """The payment is locked while the first waits for its answer."""
    order_id, _ = await bought(shop)
    ended = await asyncio.gather(*(give_back(shop, order_id) for _ in range(5)), return_exceptions=True)
    assert len([one for one in ended if isinstance(one, Refunded)]) == 1
    assert {one.code for one in ended if isinstance(one, Declined)} <= {"refund_under_way", "refund_refused"}
    assert len(shop.stripe.refunds) == 1


async def test_what_stripe_refuses_frees_the_payment(shop: Shop) -> None:
    """A disputed charge can't be refunded: that is said, kept with the order, and nothing waits."""
    order_id, _ = await bought(shop)
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"])
    with pytest.raises(Declined, match="charged back"):
        await give_back(shop, order_id)
    shop.stripe.close_dispute(dispute["id"], "won")
    shop.stripe.set(dispute["id"], is_charge_refundable=True)
    await give_back(shop, order_id)
    await shop.hear()
    assert [row["status"] for row in shop.books()["refunds"] if row["waived"]] == ["failed"]


async def test_a_key_that_may_not_refund_is_no_refund(shop: Shop) -> None:
    """Nothing happened, so nothing stays locked."""
    order_id, _ = await bought(shop)
    shop.stripe.forbid("/v1/refunds")
    with pytest.raises(Declined, match="rak_charge"):
        await give_back(shop, order_id)
    shop.stripe.clear_faults()
    assert (await give_back(shop, order_id)).status == "succeeded"


@pytest.mark.parametrize("failure", ["drop_before", "drop_after", 500, "500 after", 503])
@pytest.mark.parametrize("hears", [True, False])
async def test_a_lost_answer_is_one_refund_in_the_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, failure: Any, hears: bool
) -> None:
    """Whether or not it happened, and whether or not Stripe's event is heard: once, and the row knows it."""
    monkeypatch.setattr(writes, "WRITE_RETRIES", 0)
    order_id, _ = await bought(shop)
    after = failure == "500 after"
    shop.stripe.fail_next("POST", "/v1/refunds", 500 if after else failure, after_commit=after)
    try:
        await give_back(shop, order_id, 1000)
    except (Retryable, OutcomeUnknown, Denied):
        assert [row["status"] for row in shop.books()["refunds"]] == ["requested"]
    if hears:
        await shop.hear(**OUT)
    await shop.rest(**OUT)
    (row,) = linked(shop, "refunds")
    assert (row["status"], row["amount"], row["requested_by"]) == ("succeeded", 1000, "anna")
    assert (len(shop.stripe.refunds), shop.order()["refunded"]) == (1, 1000)
    assert [kind for kind, _ in told(shop)].count("refund.succeeded") == 1
    assert shop.due() == []


async def test_a_refund_that_claims_a_request_of_another_amount_does_not_answer_it(shop: Shop) -> None:
    """Somebody wrote our id into the metadata of another refund: the request goes on by itself."""
    order_id, session = await bought(shop)
    shop.stripe.fail_next("POST", "/v1/refunds", 503, times=99)
    with pytest.raises(Retryable):
        await give_back(shop, order_id, 1000)
    (request,) = shop.books()["refunds"]
    shop.stripe.refund(session, 700, metadata={"request_id": str(request["request_id"])})
    await shop.hear()
    assert sorted(row["status"] for row in shop.books()["refunds"]) == ["requested", "succeeded"]
    shop.stripe.clear_faults()
    await shop.rest()
    assert sorted(row["amount"] for row in linked(shop, "refunds")) == [700, 1000]
    assert shop.order()["refunded"] == 1700
