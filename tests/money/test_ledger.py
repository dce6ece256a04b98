"""Orders, payments and money back as they are written: together with why, once, in whatever order facts come."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.config import Secret
from lib.database import Database, checkout_limits, fees, money_back, offline_money, orders, payments, refund_requests
from lib.model import Refund
from lib.model.money import (
    Breakdown,
    Collection,
    FeeKind,
    FeeLine,
    FrozenRequest,
    Order,
    OrderFact,
    OrderState,
    PaymentState,
    RefundRequest,
    RefundState,
    Source,
    Step,
    StepKind,
    StepState,
)
from lib.model.provider import Provider
from lib.policy import fees as tariff
from lib.policy.offline import collect
from lib.policy.orders import Moved, NotAllowed, Unchanged
from lib.policy.purchases import JUST_BOUGHT, Begin, Share, buyer_of, decide
from lib.structs import replace
from tests.money.goods import NOW, offline, order, payment, terms

CAUSE = "event:evt_1"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """This test's database."""
    database = Database(Secret(database_url))
    yield database
    await database.close()


async def begun(db: Database, made: Order) -> Order:
    """The order, written."""
    async with db.transaction() as connection:
        assert await orders.begin(connection, made, CAUSE)
    return made


async def happens(db: Database, made: Order, fact: OrderFact, attempt: int | None = None) -> Any:
    """A fact that is applied in a transaction of its own: what became of it."""
    async with db.transaction() as connection:
        result = await orders.apply(connection, made.id, fact, CAUSE, NOW, attempt=attempt)
    assert result is not None
    return result[0]


FULL = order(
    terms(client_reference="cart_1", seller_id="acct_1", customer_id="cus_1", quantity=3),
    idempotency_key="k1",
    request=FrozenRequest({"z": 1, "a": {"ü": None}}, 2, NOW),
    name="Ada",
    session_id="cs_1",
    session_url="https://checkout.example/1",
    subscription_id="sub_1",
    hosted_invoice_url="https://invoice.example/1",
    expires_at=NOW + timedelta(hours=1),
    total=2280,
    fees=(FeeLine(FeeKind.PLATFORM, 1, 2, 1900, Decimal("2.50"), 30, 78, None, 500),),
    seller_net=1822,
    releasable_at=NOW,
)


async def test_an_order_is_read_as_it_was_written(db: Database) -> None:
    """Nothing is lost on the way, and the request keeps the order of its fields."""
    for made in (FULL, offline(due_at=NOW, period_start=NOW, period_end=NOW + timedelta(days=1))):
        await begun(db, made)
        found = await orders.find(db, made.id)
        assert found == made
        if made.request and found.request:
            assert list(found.request.parameters) == list(made.request.parameters)
    assert await orders.find_by_session(db, "cs_1") == FULL
    assert await orders.find_by_subscription(db, "sub_1") == FULL
    assert await orders.find(db, "not an id of ours") is None


async def test_saving_writes_every_column_that_may_change(db: Database) -> None:
    """A changed order is read back as it was saved."""
    made = await begun(db, order())
    changed = replace(
        FULL, id=made.id, origin=made.origin, created_at=made.created_at, idempotency_key=None, fees=(), seller_net=None
    )
    async with db.transaction() as connection:
        await orders.save(connection, changed)
    assert await orders.find(db, made.id) == changed


async def test_fifty_parallel_clicks_are_one_order(db: Database) -> None:
    """Each request decides by itself and writes at once: one row stands, and everybody gets it."""

    async def click() -> str:
        wanted = terms()
        buyer, since = buyer_of(wanted), NOW - JUST_BOUGHT
        known = await orders.known_of(db, buyer, key=None, livemode=True, since=since)
        made = order(wanted)
        if decide(wanted, known, NOW) == Begin():
            async with db.transaction() as connection:
                if await orders.begin(connection, made, CAUSE):
                    return made.id
            known = await orders.known_of(db, buyer, key=None, livemode=True, since=since)
        joined = decide(wanted, known, NOW)
        assert isinstance(joined, Share)
        return joined.order.id

    ids = await asyncio.gather(*(click() for _ in range(50)))
    assert len(set(ids)) == 1
    rows = await db.rows("SELECT count(*) AS n FROM orders")
    assert rows[0]["n"] == 1
    assert [step["fact"] for step in await orders.steps_of(db, ids[0])] == ["started"]


async def test_a_key_joins_whoever_uses_it(db: Database) -> None:
    """Without an address the caller's key alone finds the order again."""
    made = await begun(db, order(terms(email=None), idempotency_key="k1"))
    assert await orders.known_of(db, None, key="k1", livemode=True, since=NOW) == [made]
    assert await orders.known_of(db, None, key=None, livemode=True, since=NOW) == []


async def test_a_move_and_its_reason_stand_together(db: Database) -> None:
    """What moves is logged with its cause; the same again is silent; what is refused is logged once."""
    made = await begun(db, order())
    assert isinstance(await happens(db, made, OrderFact.UNDER_WAY), Moved)
    assert isinstance(await happens(db, made, OrderFact.UNDER_WAY), Unchanged)
    assert isinstance(await happens(db, made, OrderFact.PAID), Moved)
    for _ in range(3):
        assert isinstance(await happens(db, made, OrderFact.SESSION_EXPIRED), NotAllowed)
    steps = await orders.steps_of(db, made.id)
    assert [(s["fact"], s["state"], s["from_state"], s["to_state"]) for s in steps] == [
        ("started", "started", None, "pending"),
        ("under_way", "succeeded", "pending", "paying"),
        ("paid", "succeeded", "paying", "paid"),
        ("session_expired", "failed", "paid", None),
    ]
    assert {s["cause"] for s in steps} == {CAUSE}
    found = await orders.find(db, made.id)
    assert found is not None
    assert (found.state, found.paid_at) == (OrderState.PAID, NOW)


async def test_a_transaction_that_fails_leaves_neither(db: Database) -> None:
    """What a caller adds to the fact stands with it, or nothing of it does."""
    made = await begun(db, order())

    async def fail_at_the_end() -> None:
        async with db.transaction() as connection:
            await orders.apply(connection, made.id, OrderFact.PAID, CAUSE, NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_at_the_end()
    assert await orders.find(db, made.id) == made
    assert len(await orders.steps_of(db, made.id)) == 1


async def test_any_order_of_facts_is_taken_by_the_table(db: Database) -> None:
    """What the policy moves the database accepts: every pair of facts, the first of them twice."""
    facts = [fact for fact in OrderFact if fact is not OrderFact.STARTED]
    for first, second in itertools.product(facts, facts):
        made = await begun(db, order(buyer=None))
        for fact in (first, first, second):
            await happens(db, made, fact)


async def test_an_unknown_order_moves_nothing(db: Database) -> None:
    """A fact about an order that is not there is told to the caller."""
    async with db.transaction() as connection:
        assert await orders.apply(connection, str(uuid.uuid4()), OrderFact.PAID, CAUSE, NOW) is None


NUMBERS = Breakdown(
    "eur", 1900, 200, 340, 0, None, 2040, 2040, 2203, 95, 2108, "usd", Decimal("1.08"), 9100, "pln",
    {"total": Source.INVOICE, "net": Source.BALANCE_TRANSACTION},
)  # fmt: skip


async def test_attempts_are_numbered_and_known_once(db: Database) -> None:
    """Each PaymentIntent is one attempt of its order, and the failure of an older one changes nothing."""
    made = await begun(db, order())
    tries = [payment(made), payment(made)]
    async with db.transaction() as connection:
        numbered = [await payments.begin(connection, attempt, CAUSE) for attempt in (*tries, tries[0])]
    assert [attempt.attempt if attempt else None for attempt in numbered] == [1, 2, None]
    assert await payments.of_order(db, made.id) == numbered[:2]
    assert await payments.find_by_intent(db, str(tries[1].payment_intent_id)) == numbered[1]
    assert isinstance(await happens(db, made, OrderFact.ATTEMPT_FAILED, attempt=1), Unchanged)
    assert isinstance(await happens(db, made, OrderFact.ATTEMPT_FAILED, attempt=2), Moved)


async def test_parallel_attempts_get_numbers_of_their_own(db: Database) -> None:
    """Ten attempts at once are ten numbers."""
    made = await begun(db, order())

    async def attempt() -> int:
        async with db.transaction() as connection:
            done = await payments.begin(connection, payment(made), CAUSE)
        assert done is not None
        return done.attempt

    assert sorted(await asyncio.gather(*(attempt() for _ in range(10)))) == list(range(1, 11))


async def test_a_payment_settles_once(db: Database) -> None:
    """Its numbers are read as they were frozen, and a second breakdown changes none of them."""
    made = await begun(db, order())
    async with db.transaction() as connection:
        first = await payments.begin(connection, payment(made), CAUSE)
        assert first is not None
        came = replace(first, state=PaymentState.SUCCEEDED, charge_id="ch_1", paid_at=NOW)
        await payments.save(connection, first, came, CAUSE)
        assert await payments.settle(connection, came, NUMBERS, CAUSE, NOW)
        assert not await payments.settle(connection, came, replace(NUMBERS, provider_fee=0, net=2203), CAUSE, NOW)
    found = await payments.find_by_charge(db, "ch_1")
    assert found == replace(came, breakdown=NUMBERS, settled_at=NOW)
    steps = await orders.steps_of(db, made.id)
    assert [(step["kind"], step["state"]) for step in steps[1:]] == [
        ("payment", "started"),
        ("payment", "succeeded"),
        ("breakdown", "succeeded"),
    ]


async def paid(db: Database) -> tuple[Order, Any]:
    """A paid order and its payment."""
    made = await begun(db, order())
    async with db.transaction() as connection:
        first = await payments.begin(connection, payment(made, charge_id="ch_1", invoice_id="in_1"), CAUSE)
        assert first is not None
        await payments.save(connection, first, replace(first, state=PaymentState.SUCCEEDED), CAUSE)
    return made, first


def asked(made: Order, of: Any, amount: int = 500) -> RefundRequest:
    """An operator's wish to give money back."""
    return RefundRequest(str(uuid.uuid4()), made.id, of.id, amount, "eur", NOW, "anna", "a gift")


def told(refund_id: str = "re_1", status: str = "succeeded") -> Refund:
    """What Stripe says of the refund."""
    return Refund(refund_id, "cus_1", "sub_1", "in_1", "ch_1", status, 500, "eur", False, NOW)


@pytest.mark.parametrize("event_first", [False, True])
async def test_a_refund_has_a_row_before_stripe_knows_of_it(db: Database, event_first: bool) -> None:
    """It is one row with Stripe's id in the end, whether the answer or Stripe's event came first; locked until then."""
    made, first = await paid(db)
    request = asked(made, first)
    async with db.transaction() as connection:
        assert await refund_requests.ask(connection, request, first, customer_id="cus_1")
        assert not await refund_requests.ask(connection, asked(made, first), first, customer_id="cus_1")
        assert await refund_requests.of_payment(connection, first.id) == [(RefundState.REQUESTED, 500)]
    assert await refund_requests.unanswered(db, before=NOW + timedelta(seconds=1)) == [request]
    assert await refund_requests.unanswered(db, before=NOW) == []
    # No sweep may ask Stripe for an id that is ours.
    assert await money_back.undecided(db, "refund", NOW + timedelta(days=1)) == []
    if event_first:
        await db.transact(lambda connection: money_back.remember_refunds(connection, [told()]))
    for _ in range(2):
        async with db.transaction() as connection:
            await refund_requests.answered(connection, request.id, told(), provider=Provider.STRIPE)
    await db.transact(lambda connection: money_back.remember_refunds(connection, [told()]))
    rows = await db.rows("SELECT refund_id, status, amount, waived, requested_by, request_id::text FROM refunds")
    assert rows == [
        {"refund_id": "re_1", "status": "succeeded", "amount": 500, "waived": False, "requested_by": "anna",
         "request_id": request.id}
    ]  # fmt: skip
    async with db.transaction() as connection:
        assert await refund_requests.ask(connection, asked(made, first), first, customer_id="cus_1")


async def test_a_refused_refund_frees_its_payment(db: Database) -> None:
    """What Stripe refused takes no money, says why, and is in nobody's way."""
    made, first = await paid(db)
    request = asked(made, first)
    async with db.transaction() as connection:
        assert await refund_requests.ask(connection, request, first, customer_id=None)
        await refund_requests.refused(connection, request.id, "charge_disputed")
        assert await refund_requests.of_payment(connection, first.id) == [(RefundState.FAILED, 500)]
    assert (await db.rows("SELECT failure FROM refunds")) == [{"failure": "charge_disputed"}]


async def test_an_order_is_collected_in_parts_once(db: Database) -> None:
    """Two parts pay it, each line counts once however often it is read, and what is too much is shown."""
    made = await begun(db, offline())
    reference = made.reference or ""
    for line, amount in (("a", 900), ("a", 900), ("b", 1200), ("b", 1200)):
        async with db.transaction() as connection:
            known = await orders.locked(connection, made.id)
            assert known is not None
            assert known.amount is not None
            step = collect(known.amount, known.collected, amount, asked_currency="eur", currency="eur")
            came = Collection(made.id, made.provider, amount, "eur", NOW, "anna", external_id=line)
            if await offline_money.add(connection, came):
                await orders.apply(connection, made.id, step.fact, f"bank:{line}", NOW)
            assert await offline_money.find(connection, Provider.BANK_TRANSFER, external_id=line) == [came]
    found = await orders.find_by_reference(db, reference)
    assert found is not None
    assert (found.state, found.collected, found.overpaid) == (OrderState.PAID, 2100, 200)
    causes = [(step["fact"], step["cause"]) for step in await orders.steps_of(db, made.id)]
    assert causes[1:] == [("part_collected", "bank:a"), ("collected", "bank:b")]
    assert await orders.line_of(db, made.id) == [found]


async def test_rules_are_read_as_plain_sql_wrote_them(db: Database) -> None:
    """Those that could hold are read, exact decimals included, and the policy takes the right one."""
    await db.rows(
        "INSERT INTO fee_rules (kind, percent, fixed, currency, provider, billing_plan_id, valid_from) VALUES"
        " ('platform', 2.5, 30, 'eur', NULL, NULL, %(past)s), ('platform', 5, 0, 'usd', NULL, NULL, %(past)s),"
        " ('platform', 1.25, 0, 'eur', 'stripe', 'price_basic_monthly', %(past)s),"
        " ('cash_handling', 1, 0, NULL, 'cash_on_delivery', NULL, %(past)s),"
        " ('platform', 9, 0, 'eur', NULL, NULL, %(future)s)",
        {"past": NOW - timedelta(days=1), "future": NOW + timedelta(days=1)},
    )
    known = await fees.rules(db, "eur", provider=Provider.STRIPE, billing_plan_id="price_basic_monthly", at=NOW)
    assert [rule.percent for rule in known] == [Decimal("2.5"), Decimal("1.25")]
    lines = tariff.fees(
        known, 1900, "eur", provider=Provider.STRIPE, billing_plan_id="price_basic_monthly", started_at=NOW
    )
    assert [(line.kind, line.amount, line.version) for line in lines] == [(FeeKind.PLATFORM, 24, 1)]


async def test_asking_too_often_is_counted_over_all_processes(db: Database) -> None:
    """Parallel requests are all counted, a window ends, and other subjects are another matter."""
    hour = timedelta(hours=1)

    async def asked(subject: str, later: timedelta = timedelta(0)) -> bool:
        return await checkout_limits.count(db, subject, NOW + later, window=hour, most=7)

    assert sorted(await asyncio.gather(*(asked("a") for _ in range(10)))) == [False] * 3 + [True] * 7
    assert await db.rows("SELECT asked FROM checkout_limits") == [{"asked": 7}]  # what is too much writes nothing
    assert await asked("b")
    assert not await asked("a", hour - timedelta(seconds=1))
    assert await asked("a", hour)
    await checkout_limits.prune(db, NOW + hour + checkout_limits.LONGEST_WINDOW)
    assert await db.rows("SELECT subject FROM checkout_limits") == [{"subject": "a"}]


async def test_personal_data_leaves_and_money_stays(db: Database) -> None:
    """After an erasure nothing in an order says who it was, also not its frozen request."""
    personal = {"customer_email": "ada@example.com"}
    made = await begun(db, order(terms(customer_id="cus_1"), name="Ada", request=FrozenRequest(personal)))
    async with db.transaction() as connection:
        await orders.log(connection, made.id, Step(StepKind.SESSION, StepState.SUCCEEDED, CAUSE, subject="cs_1"))
        assert await orders.erase(connection, [made.id], {"ada"}) == 1
    text = str(await db.rows("SELECT o::text AS o, s::text AS s FROM orders o JOIN order_steps s USING (order_id)"))
    assert "price_basic_monthly" in text
    for word in ("Ada", "ada", "shop.example", "customer_email"):
        assert word not in text
