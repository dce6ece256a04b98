"""Money of orders that were sold for somebody else: held, releasable, released or returned, and by whose word."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.checkout import escrow as held
from lib.checkout import offline_refund
from lib.checkout.till import Till
from lib.errors import Declined
from lib.model.money import EscrowState, Order, OrderState
from lib.policy.escrow import Escrow, Pot, Trouble, escrow, why_not_released
from lib.structs import replace
from tests.admin.test_orders import HEADERS, ROUTE, get, post
from tests.money import goods
from tests.money.goods import NOW
from tests.money.shop import ONCE, Shop
from tests.money.test_money_told import OUT, told
from tests.money.till import came, counter, order, past, sell
from tests.world import World

DAY = timedelta(days=1)
RELEASABLE = EscrowState.RELEASABLE


def sold(state: EscrowState | None = EscrowState.HELD, since: datetime | None = None) -> Order:
    """A paid order for somebody else."""
    made = goods.order(goods.terms(seller_id="shop_1"), state=OrderState.PAID, paid_at=NOW)
    return replace(made, escrow=state, releasable_at=since)


def pot(trouble: Trouble = Trouble(), came: int = 1900) -> Pot:  # noqa: B008
    """Its money, all of which came when it was paid, with what happened to it."""
    return Pot(came, min(trouble.refunded + trouble.lost, came), NOW, ("p",), trouble)


# --- the policy -------------------------------------------------------------------------------------------------------


def test_money_is_free_after_quiet_days() -> None:
    """It waits from the payment on, and from the last refund or dispute that came to nothing."""
    end = NOW + 14 * DAY
    assert escrow(sold(None), pot(), 14, NOW) == Escrow(EscrowState.HELD, NOW, end)
    assert escrow(sold(), pot(), 14, end) == Escrow(RELEASABLE, anew=True)
    disturbed = pot(Trouble(refunded=500, last=NOW + 10 * DAY))
    assert escrow(sold(), disturbed, 14, end) == Escrow(EscrowState.HELD, NOW + 10 * DAY, NOW + 24 * DAY)


def test_open_trouble_keeps_it_held() -> None:
    """While a dispute or a refund is under way no date is promised, also of what was releasable before."""
    for trouble in (Trouble(dispute_open=True), Trouble(refund_under_way=True)):
        for before in (sold(), sold(RELEASABLE, NOW + 14 * DAY)):
            assert escrow(before, pot(trouble), 14, NOW + 99 * DAY) == Escrow(EscrowState.HELD)


def test_what_is_releasable_stays_so_until_something_happens() -> None:
    """More days in the settings take nothing back; a refund or a dispute since then holds it anew, for as many days."""
    before = sold(RELEASABLE, NOW + 14 * DAY)
    assert escrow(before, pot(), 60, NOW + 15 * DAY) == Escrow(RELEASABLE)
    early = pot(Trouble(refunded=1, last=NOW + DAY))
    assert escrow(replace(before, seller_due=1899), early, 14, NOW + 15 * DAY) == Escrow(RELEASABLE)
    since = pot(Trouble(refunded=1, last=NOW + 20 * DAY))
    held_anew = Escrow(EscrowState.HELD, NOW + 20 * DAY, NOW + 34 * DAY)
    assert escrow(before, since, 14, NOW + 21 * DAY) == held_anew
    assert escrow(before, since, 14, NOW + 34 * DAY) == Escrow(RELEASABLE, anew=True)


def test_what_comes_back_is_held_again() -> None:
    """All of it went back, and one of the refunds failed later: it is with us again."""
    gone = escrow(sold(), pot(Trouble(refunded=1900, last=NOW)), 14, NOW)
    assert gone == Escrow(EscrowState.RETURNED)
    again = escrow(sold(gone.state), pot(Trouble(last=NOW + DAY)), 14, NOW + DAY)
    assert again == Escrow(EscrowState.HELD, NOW + DAY, NOW + 15 * DAY)


@given(
    st.sampled_from([None, *EscrowState]),
    st.builds(Trouble, st.integers(0, 2000), st.booleans(), st.booleans(), st.sampled_from([0, 700, 1900])),
    st.integers(0, 30),
)
def test_an_end_is_an_end(state: EscrowState | None, trouble: Trouble, days: int) -> None:
    """Released stays released; else all that went back is returned, and nothing is releasable while it is in doubt."""
    now = NOW + days * DAY
    later = escrow(sold(state, NOW), pot(trouble), 14, now)
    assert (later.state is EscrowState.RELEASED) == (state is EscrowState.RELEASED)
    if state is not EscrowState.RELEASED:
        gone = trouble.lost + trouble.refunded >= 1900
        assert (later.state is EscrowState.RETURNED) == gone
        assert later.state is not RELEASABLE or not (trouble.dispute_open or trouble.refund_under_way)
    after = sold(later.state, NOW)
    assert escrow(after, pot(trouble), 14, now).state is later.state
    assert (why_not_released(after, pot(trouble)) is None) == (
        later.state is EscrowState.RELEASED or (later.state is RELEASABLE)
    )


def test_a_release_names_what_stands_against_it() -> None:
    """An operator's word releases what is releasable, twice the same, and nothing else."""
    assert why_not_released(sold(RELEASABLE), pot()) is None
    assert why_not_released(sold(EscrowState.RELEASED), pot(Trouble(dispute_open=True))) is None
    assert why_not_released(sold(), Pot()) == "nothing of its money has come yet"
    assert why_not_released(replace(sold(), seller_net=-100), pot()) == "nothing of what came is the seller's"
    for order_, trouble, words in (
        (sold(RELEASABLE), Trouble(dispute_open=True), "a dispute is open"),
        (sold(RELEASABLE), Trouble(refund_under_way=True), "a refund is under way"),
        (sold(EscrowState.HELD, NOW), Trouble(), "held until 2026-11-27 12:00 UTC"),
        (sold(EscrowState.HELD), Trouble(), "held"),
        (sold(EscrowState.RETURNED), Trouble(), "went back to the buyer"),
        (sold(None), Trouble(), "not paid yet"),
        (goods.order(), Trouble(), "not sold for somebody else"),
    ):
        assert words in (why_not_released(order_, pot(trouble)) or "")


# --- at work ----------------------------------------------------------------------------------------------------------


async def test_an_operators_word_releases_what_is_releasable(world: World) -> None:
    """Held it is refused with the date; releasable it is released, once, logged with who said so; that is the end.

    What goes back to the buyer afterwards is shown as to be claimed back from the seller.
    """
    sell(world)
    world.sql("INSERT INTO fee_rules (kind, percent, valid_from) VALUES ('platform', 10, now() - interval '1 day')")
    made = await order(world, seller_id="shop_1")
    other = await order(world, domain="other.example")
    await came(world, made, 1900)
    await came(world, other, 1900)
    await world.drain()
    body = {"action": "releaseEscrow", "orderId": made.id}
    async with world.functions() as client:
        for order_id, words in ((made.id, "it is held until"), (other.id, "not sold for somebody else")):
            refused = await client.post(ROUTE, json={**body, "orderId": order_id}, headers=HEADERS)
            assert (refused.status_code, refused.json()["code"]) == (409, "not_releasable")
            assert words in refused.json()["detail"]
        past(world, 15)
        world.sql("UPDATE orders SET releasable_at = releasable_at - interval '15 days'")
        await world.drain()
        (row,) = (await get(client, escrow="releasable"))["data"]
        assert (row["id"], row["sellerNet"]) == (made.id, 1710)
        assert (await get(client, id=made.id))["whyNotReleased"] is None
        for repeated in (False, True, True):
            done = await post(client, body, key=None if not repeated else "k")
            assert (done["order"]["escrow"], done["repeated"]) == ("released", repeated)
        await post(client, {"action": "refund", "orderId": made.id})
        await world.drain()
        shown = await get(client, id=made.id)
        assert (shown["state"], shown["escrow"], shown["whyNotReleased"]) == ("refunded", "released", None)
        assert (shown["released"], shown["sellerDue"], shown["toClaimBack"]) == (1710, 0, 1710)
        assert (await get(client, escrow="releasable"))["data"] == []
    steps = [(step["fact"], step["cause"].partition(":")[0]) for step in shown["steps"] if step["kind"] == "escrow"]
    assert steps == [("releasable", "pass"), ("released", "admin"), ("to_claim_back", "pass")]


async def test_a_refund_takes_back_what_was_releasable(world: World) -> None:
    """A part that goes back holds the rest for as many days more; all of it is the buyer's again."""
    sell(world)
    made = await order(world, seller_id="shop_1")
    await came(world, made, 1900)
    past(world, 15)
    await world.drain()
    assert state_of(world, made) == "releasable"
    async with counter(world) as (_, till):
        await offline_refund.refund(till, made.id, 500, None)
        with pytest.raises(Declined, match="held until"):
            await held.release(till, made.id)
        await world.drain()
        assert state_of(world, made) == "held"
        await offline_refund.refund(till, made.id, None, None)
        await world.drain()
        assert state_of(world, made) == "returned"
        with pytest.raises(Declined, match="went back to the buyer"):
            await held.release(till, made.id)


def state_of(world: World, made: Order) -> Any:
    """How the money of an order stands."""
    return world.sql("SELECT escrow FROM orders WHERE order_id = %s", made.id)[0]["escrow"]


async def test_a_dispute_at_stripe_takes_back_what_was_releasable(world: World) -> None:
    """It is held until it is decided, and told anew when it is free again; a refund that is asked for holds it too."""
    shop, soon = Shop(world), {**OUT, "ESCROW_DAYS": "0"}
    made, session = await shop.begin(ONCE, seller_id="acct_1", seller_net=5000)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**soon)
    assert shop.order()["escrow"] == "releasable"
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"])
    await shop.hear(**soon)
    assert (shop.order()["escrow"], shop.order()["releasable_at"]) == ("held", None)
    async with world.bridge(**soon) as bridge:
        till = Till(bridge.settings, bridge.db, "anna", "k")
        with pytest.raises(Declined, match="a dispute is open"):
            await held.release(till, made)
        shop.stripe.close_dispute(dispute["id"], "won")
        await shop.hear(**soon)
        assert shop.order()["escrow"] == "releasable"
        assert [kind for kind, _ in told(shop) if kind == "escrow.releasable"] == ["escrow.releasable"] * 2
        done = [await held.release(till, made) for _ in range(2)]
        assert [(one.order.escrow, one.repeated) for one in done] == [
            (EscrowState.RELEASED, False),
            (EscrowState.RELEASED, True),
        ]
    shop.stripe.dispute(shop.payments()[0]["charge_id"])
    await shop.hear(**soon)
    assert shop.order()["escrow"] == "released"
