"""Random stories of an offline order over the real database and panel, against sentences that always hold."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from lib.bridge import Bridge
from lib.checkout import collecting, escrow, offline, offline_refund
from lib.checkout.collecting import Money
from lib.checkout.till import Done, Till
from lib.errors import Declined
from lib.policy.offline_lines import line_name
from tests.money.till import past, sale, sell
from tests.world import World

PRICE, GRACE = 1900, timedelta(days=7)
OVER = ("expired", "failed")


class Story(RuleBasedStateMachine):
    """One customer's line of orders: what came and went is counted by hand, beside what the product counts."""

    world: World
    numbers = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        number = next(self.numbers)
        # Whose story is over is out of the way of time.
        self.world.sql(
            "TRUNCATE orders, order_steps, order_acts, collections, payments, refunds, due, services, customers CASCADE"
        )
        self.lines: dict[str, tuple[str, int]] = {}
        """What the bank told: line -> (order, amount)."""
        self.returned: dict[str, int] = {}
        self.refunded: dict[str, int] = {}
        self.released: dict[str, int] = {}
        self.calls = 0
        made = self.act(
            lambda till, _: offline.create(
                till, sale(domain=f"story{number}.example", customer_id="K-1", seller_id="shop_1")
            )
        )
        assert made is not None
        self.line = made.order.id

    def act(self, do: Callable[[Till, Bridge], Awaitable[Done]]) -> Done | None:
        """Somebody acts, twice under one key, and all that follows from it happens; `None`: it was refused."""

        async def run() -> Done | None:
            self.calls += 1
            async with self.world.bridge() as bridge:
                till = Till(bridge.settings, bridge.db, "anna", f"call {self.calls} of {id(self)}")
                try:
                    done = await do(till, bridge)
                except Declined:
                    return None
                assert (await do(till, bridge)).repeated
                return done

        done = asyncio.run(run())
        asyncio.run(self.world.drain())
        return done

    def orders(self) -> list[dict[str, Any]]:
        """The line as it stands, oldest first, with its own clock."""
        return self.world.sql("SELECT *, now() AS now FROM orders ORDER BY created_at, order_id")

    def chosen(self, which: int) -> str:
        """One of its orders; the newest is the first choice."""
        found = [str(row["order_id"]) for row in self.orders()]
        return found[-1 - which % len(found)]

    # --- what happens ---

    @rule(amount=st.sampled_from([PRICE, PRICE, PRICE, 700, 1200, 2500]), which=st.sampled_from([0, 0, 0, 1]))
    def money_comes(self, amount: int, which: int) -> None:
        """All of it, a part, or too much."""
        order_id, line = self.chosen(which), f"line {len(self.lines)}"
        done = self.act(
            lambda till, bridge: collecting.collect(till, order_id, Money(amount, "eur", line), bridge.stripe)
        )
        assert done is not None and not done.repeated
        self.lines[line] = (order_id, amount)

    @precondition(lambda self: self.lines)
    @rule(which=st.integers(0, 9))
    def the_bank_says_it_again(self, which: int) -> None:
        """The same line of a statement, read once more."""
        line, (order_id, amount) = list(self.lines.items())[which % len(self.lines)]
        done = self.act(
            lambda till, bridge: collecting.collect(till, order_id, Money(amount, "eur", line), bridge.stripe)
        )
        assert done is not None and done.repeated

    @rule()
    def somebody_cancels(self) -> None:
        """Whatever is open is over, or what is paid is not renewed."""
        assert self.act(lambda till, _: offline.cancel(till, self.line)) is not None

    @rule(which=st.integers(0, 2), amount=st.sampled_from([100, 700, PRICE, 2500]))
    def a_surplus_goes_back(self, which: int, amount: int) -> None:
        """As much as is listed, and no more."""
        order_id = self.chosen(which)
        (listed,) = self.world.sql("SELECT overpaid FROM orders WHERE order_id = %s", order_id)
        done = self.act(lambda till, _: offline.returned(till, order_id, amount))
        assert (done is not None) == (amount <= listed["overpaid"])
        if done is not None:
            self.returned[order_id] = self.returned.get(order_id, 0) + amount

    @rule(which=st.integers(0, 2), amount=st.sampled_from([None, 700, PRICE]))
    def a_promise_is_paid_back(self, which: int, amount: int | None) -> None:
        """Only of what is paid, and no more than is left of it."""
        order_id = self.chosen(which)
        (row,) = self.world.sql("SELECT state, refunded FROM orders WHERE order_id = %s", order_id)
        left = PRICE - row["refunded"] if row["state"] == "paid" else 0
        done = self.act(lambda till, _: offline_refund.refund(till, order_id, amount, None))
        assert (done is not None) == (0 < (amount or left) <= left)
        if done is not None:
            self.refunded[order_id] = self.refunded.get(order_id, 0) + (amount or left)

    @rule(which=st.integers(0, 2))
    def the_seller_is_paid(self, which: int) -> None:
        """Once, and no more than is here of what is theirs."""
        order_id = self.chosen(which)
        (row,) = self.world.sql("SELECT escrow, seller_due, released FROM orders WHERE order_id = %s", order_id)
        done = self.act(lambda till, _: escrow.release(till, order_id))
        assert (done is not None) == (row["escrow"] in ("releasable", "released"))
        if done is not None and not done.repeated:
            self.released[order_id] = row["seller_due"]
            came = sum(amount for whose, amount in self.lines.values() if whose == order_id)
            back = self.returned.get(order_id, 0) + self.refunded.get(order_id, 0)
            assert row["seller_due"] + back + done.order.overpaid <= came

    @rule(days=st.sampled_from([1, 8, 17, 31]))
    def time_passes(self, days: int) -> None:
        """For everybody and everything that waits for a date."""
        past(self.world, days)
        asyncio.run(self.world.drain())

    # --- what holds ---

    @invariant()
    def nothing_is_lost(self) -> None:
        """What came is what the bank told; what is kept, went back or is to go back is all of it, in every state."""
        for row in self.orders():
            order_id = str(row["order_id"])
            came = sum(amount for whose, amount in self.lines.values() if whose == order_id)
            back, refund = self.returned.get(order_id, 0), self.refunded.get(order_id, 0)
            assert (row["collected"], row["returned"], row["refunded"]) == (came, back, refund)
            assert row["overpaid"] == (came if row["state"] in OVER else max(came - PRICE, 0)) - back
            assert (row["state"] in ("paid", "refunded")) == (row["paid_at"] is not None)
            assert row["state"] != "refunded" or refund == PRICE
            if row["state"] in ("pending", "paying"):
                assert came < PRICE and (came > 0) == (row["state"] == "paying")

    @invariant()
    def a_sellers_money_is_here(self) -> None:
        """Releasable is what is left of the price; what went back in full is nobody's to release; paid out stays so."""
        for row in self.orders():
            order_id = str(row["order_id"])
            left = PRICE - self.refunded.get(order_id, 0)
            assert row["released"] == self.released.get(order_id)
            assert (row["escrow"] is None) == (row["paid_at"] is None)
            if row["escrow"] in ("held", "releasable"):
                assert (row["seller_due"], left > 0) == (left, True)
            elif row["escrow"] == "returned":
                assert (row["state"], left) == ("refunded", 0)

    @invariant()
    def who_paid_is_on_and_nobody_else(self) -> None:
        """One service at most, on while a paid period or its grace runs, and off when it has passed or was ended."""
        line, services = self.orders(), self.world.sql("SELECT * FROM services")
        ends = [row["period_end"] for row in line if row["period_end"] is not None]
        assert len(services) <= 1 and bool(services) == bool(ends)
        if not ends:
            return
        (service,) = services
        assert service["subscription_id"] == line_name(self.line)
        now, grace = line[0]["now"], timedelta(0) if line[-1]["cancelled"] else GRACE
        hosting = self.world.panel.subscriptions[service["panel_subscription_id"]]
        assert (hosting.suspended_by is None) == (now < max(ends) + grace)
        live = [one for one in self.world.panel.subscriptions.values() if one.friendly_name == hosting.friendly_name]
        assert len(live) == 1

    @invariant()
    def nobody_is_parked(self) -> None:
        """No story of money alone needs a person in the queue."""
        assert [row for row in self.world.due() if row["parked_reason"] or row["last_error"]] == []


def test_offline_money_whatever_happens(world: World) -> None:
    """Collected, doubled, cancelled, returned, refunded, renewed in any order: the sentences hold after each step."""
    sell(world)
    world.environ["BRAKE_MAX"] = "1000000"  # all stories happen within one hour
    story = type("StoryOf", (Story,), {"world": world})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        story, settings=settings(max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=checks)
    )
    assert world.stripe.calls == []
