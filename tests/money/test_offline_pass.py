"""Offline money end to end: orders in the database, hosting in the panel, and not one word to Stripe."""

import asyncio
from functools import partial
from typing import Any

import pytest

from lib.checkout import collecting, offline, offline_refund
from lib.checkout.collecting import Money
from lib.checkout.till import Till
from lib.errors import Declined
from lib.model import CustomerKey
from lib.model.money import Order
from lib.model.provider import Provider
from lib.policy.offline_lines import line_name
from tests.killed import lives, writes
from tests.money.till import TRANSFER, came, counter, order, past, sale, sell, states
from tests.scripts.test_adopt import launch
from tests.world import World


def holds(world: World, of: Order) -> list[str]:
    """The holds of an order's service; the panel must have it off exactly when there are any."""
    row = world.service(line_name(of.line_id or of.id))
    assert (world.panel.subscriptions[row["panel_subscription_id"]].suspended_by is not None) is bool(row["holds"])
    return list(row["holds"])


def key_of(of: Order) -> str:
    """Whose order it is."""
    assert of.terms.customer_id is not None
    return str(CustomerKey(of.provider, of.terms.customer_id))


async def rest(world: World) -> None:
    """Let everything that is due happen; nobody is parked, and nobody asked Stripe anything."""
    for _ in range(4):
        await world.drain()
    assert [row for row in world.due() if row["parked_reason"] or row["last_error"]] == []
    assert world.stripe.calls == [], "no offline customer is Stripe's business"


async def test_an_order_collected_in_two_parts_is_provisioned_once_when_complete(world: World) -> None:
    """A part makes nothing; the rest makes organisation, login, hosting and website, once, with our marks gone."""
    sell(world)
    made = await order(world)
    await rest(world)
    assert (await came(world, made, 900)).order.missing == 1000
    await rest(world)
    assert (states(world), world.ledger()) == ([("admin", "paying")], [])
    done = await came(world, made, 1000)
    await rest(world)
    found = world.only_subscription()
    assert (found.plan_id, found.suspended_by, holds(world, made)) == (world.plan_id, None, [])
    assert line_name(made.id) in found.friendly_name
    assert world.service(line_name(made.id))["domain"] == "shop.example"
    await rest(world)
    assert world.ledger("applied").count("create_subscription") == 1
    assert (done.order.period_end - done.order.period_start).days == 30  # type: ignore[operator]
    assert world.sql("SELECT served_at IS NOT NULL AS served FROM orders") == [{"served": True}]
    (paid,) = world.sql("SELECT * FROM payments")
    assert (paid["state"], paid["paid"], paid["net"], paid["settled_at"] is not None) == ("succeeded", 1900, 1900, True)


async def test_a_periods_end_suspends_after_grace_and_the_renewal_resumes(world: World) -> None:
    """The next period is asked for in time; unpaid it runs through grace, is held, and runs again with its money."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900)
    await rest(world)
    past(world, 17)
    await rest(world)
    assert states(world) == [("admin", "paid"), ("renewal", "pending")]
    past(world, 14)
    await rest(world)
    assert holds(world, made) == []
    row = world.service(line_name(made.id))
    assert row["unpaid_since"] is not None and row["grace_until"] is not None
    past(world, 7)
    await rest(world)
    assert holds(world, made) == ["unpaid"]
    renewal = await find(world, "renewal")
    assert renewal.due_at == (await find(world, "admin")).period_end
    paid = (await came(world, renewal, 1900)).order
    await rest(world)
    assert holds(world, made) == []
    assert paid.period_start == paid.paid_at, "it was off, so that the new time begins with the money"
    assert world.ledger("applied").count("create_subscription") == 1


async def test_a_renewal_in_the_grace_continues_the_period(world: World) -> None:
    """The service never stopped, so that the paid time has no gap; a one-off date counts as grace."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900)
    await rest(world)
    past(world, 17)
    await rest(world)
    past(world, 16)
    await rest(world)
    renewal = await find(world, "renewal")
    before = await find(world, "admin")
    paid = (await came(world, renewal, 1900)).order
    assert paid.period_start == before.period_end
    await rest(world)
    assert holds(world, made) == []
    assert world.service(line_name(made.id))["unpaid_since"] is None


async def find(world: World, origin: str) -> Order:
    """The newest order of an origin."""
    async with world.bridge() as bridge:
        from lib.database import orders

        ids = world.sql("SELECT order_id FROM orders WHERE origin = %s ORDER BY created_at DESC", origin)
        found = await orders.find(bridge.db, str(ids[0]["order_id"]))
        assert found is not None
        return found


async def test_an_end_that_was_wanted_is_kept_for_its_retention(world: World) -> None:
    """A cancelled line runs to the end of its paid time, is held as ended, and is deleted after the retention."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900)
    await rest(world)
    async with counter(world) as (_, till):
        assert (await offline.cancel(till, made.id)).order.cancelled
        assert (await offline.cancel(till, made.id)).repeated
    past(world, 20)
    await rest(world)
    assert states(world) == [("admin", "paid")], "what ends is not asked for again"
    assert holds(world, made) == []
    past(world, 11)
    await rest(world)
    assert holds(world, made) == ["ended"]
    await world.sync(key_of(made), RETENTION_DAYS="3")
    past(world, 4)
    await world.sync(key_of(made), RETENTION_DAYS="3")
    assert world.service(line_name(made.id))["state"] == "terminated"


async def test_an_order_that_nobody_pays_expires_and_late_money_pays_it(world: World) -> None:
    """Nothing came by the date: expired. Money afterwards counts all the same, and a part of it is to be returned."""
    sell(world)
    made = await order(world)
    await rest(world)
    past(world, 15)
    await rest(world)
    assert states(world) == [("admin", "expired")]
    assert (await came(world, made, 900)).order.overpaid == 900
    assert states(world) == [("admin", "expired")]
    assert (await came(world, made, 1000)).order.overpaid == 0
    await rest(world)
    assert (states(world), holds(world, made)) == ([("admin", "paid")], [])


async def test_two_parallel_collects_of_one_line_count_once(world: World) -> None:
    """Ten calls with the same line of a bank at one time: the money is there once, and so is the hosting."""
    sell(world)
    made = await order(world)
    async with counter(world) as (bridge, till):
        money = Money(1900, "eur", external_id="bank-1")
        done = await asyncio.gather(*(collecting.collect(till, made.id, money, bridge.stripe) for _ in range(10)))
    assert sorted(one.repeated for one in done) == [False] + [True] * 9
    await rest(world)
    assert world.sql("SELECT collected, overpaid FROM orders") == [{"collected": 1900, "overpaid": 0}]
    assert len(world.sql("SELECT 1 FROM payments")) == 1
    assert world.ledger("applied").count("create_subscription") == 1


async def test_two_parallel_parts_make_one_whole(world: World) -> None:
    """Two couriers hand in halves at one time: paid once, in full."""
    sell(world)
    made = await order(world)
    async with counter(world) as (bridge, till):
        await asyncio.gather(
            *(collecting.collect(till, made.id, Money(950, "eur", external_id=f"c{n}"), bridge.stripe) for n in (1, 2))
        )
    await rest(world)
    assert states(world) == [("admin", "paid")]
    assert len(world.sql("SELECT 1 FROM payments WHERE paid = 1900")) == 1


async def test_a_key_is_one_call(world: World) -> None:
    """Under the same key a repetition answers with what was done; with other words it is refused."""
    sell(world)
    first, second = await order(world, key="k1"), await order(world, key="k1")
    assert first.id == second.id
    with pytest.raises(Declined) as refused:
        await order(world, key="k1", amount=2000)
    assert refused.value.code == "key_reused"
    assert not (await came(world, first, 500, key="k1")).repeated, "another verb's keys are others"
    assert (await came(world, first, 500, key="k1")).repeated
    with pytest.raises(Declined) as refused:
        await came(world, first, 600, key="k1")
    assert refused.value.code == "key_reused"
    assert world.sql("SELECT collected FROM orders") == [{"collected": 500}]


@pytest.mark.parametrize(
    ("others", "code"),
    [
        ({"plan": "nobody-sells-this"}, "unknown_plan"),
        ({"reference": "RF19539007547034"}, "invalid_field"),
        ({"link_to": "cus_nobody"}, "nothing_to_share"),
    ],
)
async def test_what_can_not_be_is_refused_before_anything_is_written(
    world: World, others: dict[str, Any], code: str
) -> None:
    """A plan without a mapping, a mistyped reference, an organisation that is not there."""
    sell(world)
    with pytest.raises(Declined) as refused:
        await order(world, **others)
    assert (refused.value.code, states(world), world.due()) == (code, [], [])


async def test_other_money_is_not_taken(world: World) -> None:
    """Dollars pay no euros, and nothing of them is written down."""
    sell(world)
    made = await order(world)
    async with counter(world) as (bridge, till):
        with pytest.raises(Declined) as refused:
            await collecting.collect(till, made.id, Money(1900, "usd"), bridge.stripe)
    assert refused.value.code == "wrong_currency"
    assert world.sql("SELECT collected FROM orders") == [{"collected": 0}]


async def test_too_much_is_shown_until_it_is_returned(world: World) -> None:
    """A surplus pays the order, is no credit, and can be given back once."""
    sell(world)
    made = await order(world)
    assert (await came(world, made, 2500)).order.overpaid == 600
    async with counter(world) as (_, till):
        with pytest.raises(Declined) as refused:
            await offline.returned(till, made.id, 601)
        assert refused.value.code == "nothing_to_return"
        assert (await offline.returned(till, made.id, 600)).order.overpaid == 0


async def test_two_ways_to_pay_share_one_organisation(world: World) -> None:
    """An operator links an offline customer to one of Stripe's: one organisation and login, each with its own name."""
    sell(world)
    customer = world.customer()
    world.buy(customer, domain="first.example")
    await world.sync(customer)
    made = await order(world, link_to=customer, name="Ada E.", domain="second.example")
    await came(world, made, 1900)
    await world.drain()
    await world.sync(customer)
    live = [s for s in world.panel.subscriptions.values() if not s.deleted]
    assert len(live) == 2 and len({s.org_id for s in live}) == 1
    assert world.sql("SELECT count(DISTINCT org_id) AS n FROM customers") == [{"n": 1}]
    assert world.ledger("applied").count("create_org") == 1
    assert world.ledger("applied").count("rename_org") == 1, "the name follows whom the organisation belongs to"
    with pytest.raises(Declined) as refused:
        await order(world, link_to=customer, domain="first.example")
    assert refused.value.code == "domain_in_use"


async def test_equal_ids_of_two_providers_are_two_customers(world: World) -> None:
    """Number K-1 of the couriers is not number K-1 of the bank, in the panel and everywhere else."""
    cash = Provider.CASH_ON_DELIVERY
    sell(world)
    sell(world, provider=cash)
    one = await order(world, customer_id="K-1", domain="one.example")
    two = await order(world, customer_id="K-1", domain="two.example", provider=cash, email="bob@example.com")
    for made in (one, two):
        await came(world, made, 1900)
    await rest(world)
    assert world.sql("SELECT count(DISTINCT org_id) AS n FROM customers") == [{"n": 2}]
    assert (one.provider, key_of(two)) == (TRANSFER, "cash_on_delivery:K-1")
    assert sale().provider is TRANSFER


async def test_the_operators_own_systems_are_told_once(world: World) -> None:
    """An order that is paid in two parts is one paid order and one payment to whoever listens."""
    sell(world)
    outlet = {"OUTBOX_URL": "https://hooks.shop.example/in", "OUTBOX_SECRET": "whsec_ZmFrZWZha2VmYWtlZmFrZWZha2VmYWtl"}
    made = await order(world)
    async with world.bridge(**outlet) as bridge:
        till = Till(bridge.settings, bridge.db, "anna")
        for part in (900, 1000):
            await collecting.collect(till, made.id, Money(part, "eur", external_id=f"line {part}"), bridge.stripe)
    told = world.sql("SELECT type, customer FROM outbox ORDER BY sequence")
    assert [row["type"] for row in told] == ["payment.succeeded", "order.paid"]
    assert {row["customer"] for row in told} == {key_of(made)}


async def test_a_collection_that_is_killed_at_any_statement_is_taken_up(world: World) -> None:
    """Whatever of a collection was written is whole: the caller repeats it, and the money is there once."""
    sell(world)
    for statements in range(200):
        made = await order(world, domain=f"shop{statements}.example", customer_id=f"K-{statements}")
        lived = await lives(statements, partial(came, world, made, 1900, external_id="line"), writes)
        before = world.sql("SELECT state, collected FROM orders WHERE order_id = %s", made.id)[0]
        assert before in ({"state": "pending", "collected": 0}, {"state": "paid", "collected": 1900})
        nudged = world.sql("SELECT 1 FROM due WHERE kind = 'customer' AND key = %s", key_of(made))
        assert bool(nudged) is (before["state"] == "paid"), "who has paid is due, in the same transaction"
        if lived:
            break
        assert (await came(world, made, 1900, external_id="line")).order.collected in (0, 1900)
        assert world.sql("SELECT state, collected, overpaid FROM orders WHERE order_id = %s", made.id) == [
            {"state": "paid", "collected": 1900, "overpaid": 0}
        ]
        assert len(world.sql("SELECT 1 FROM payments WHERE order_id = %s", made.id)) == 1
        world.sql("ALTER TABLE collections DISABLE TRIGGER collections_are_counted")
        world.sql("UPDATE collections SET external_id = NULL")
        world.sql("ALTER TABLE collections ENABLE TRIGGER collections_are_counted")
    assert 3 < statements < 199


async def test_the_pass_of_a_line_is_killed_at_any_statement_and_asks_for_the_next_period_once(world: World) -> None:
    """However it dies, one renewal with its own reference is there in the end, and the customer is looked at."""
    sell(world)
    for statements in range(200):
        made = await order(world, domain=f"shop{statements}.example", customer_id=f"K-{statements}")
        await came(world, made, 1900)
        await rest(world)
        past(world, 17)
        world.sql("UPDATE due SET due_at = 'infinity' WHERE key <> %s", made.id)
        world.sql("UPDATE due SET due_at = now() WHERE key = %s", made.id)
        lived = await lives(statements, world.drain, writes)
        world.hurry()
        await world.drain()
        line = world.sql("SELECT origin, state, reference FROM orders WHERE line_id = %s ORDER BY created_at", made.id)
        assert [(row["origin"], row["state"]) for row in line] == [("admin", "paid"), ("renewal", "pending")]
        assert len({row["reference"] for row in line}) == 2
        if lived:
            break
    assert 3 < statements < 199


async def test_it_is_explained_by_any_of_its_names(world: World) -> None:
    """The program that explains finds an offline customer by key, line or domain, and asks Stripe for no id."""
    sell(world)
    made = await order(world, customer_id="K-1")
    await came(world, made, 1900)
    await rest(world)
    for name in ("bank_transfer:K-1", line_name(made.id), "shop.example"):
        done = launch(world, "explain", name)
        assert (done.returncode, "Customer bank_transfer:K-1" in done.stdout) == (0, True), done.stdout + done.stderr
    assert world.stripe.calls == []


async def test_the_sellers_money_becomes_releasable_after_quiet_days(world: World) -> None:
    """An offline order that was sold for somebody else holds their net until the days have passed, or it went back."""
    sell(world)
    world.sql("INSERT INTO fee_rules (kind, percent, valid_from) VALUES ('platform', 10, now() - interval '1 day')")
    kept = await order(world, seller_id="shop_1", customer_id="K-1")
    back = await order(world, seller_id="shop_1", customer_id="K-2", domain="other.example")
    for made in (kept, back):
        await came(world, made, 1900)
    await rest(world)
    held = world.sql("SELECT escrow, seller_net FROM orders ORDER BY customer_id")
    assert held == [{"escrow": "held", "seller_net": 1710}] * 2
    async with counter(world) as (_, till):
        await offline_refund.refund(till, back.id, None, None)
    past(world, 15)
    await rest(world)
    assert [
        row["escrow"] for row in world.sql("SELECT escrow FROM orders WHERE origin = 'admin' ORDER BY customer_id")
    ] == [
        "releasable",
        "returned",
    ]
