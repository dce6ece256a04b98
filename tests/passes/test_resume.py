"""Killed, cut off or overtaken anywhere, a pass is taken up again, and nothing is done twice or left half-done."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from lib.database.connection import Write
from lib.database.journal import Journal
from lib.enhance_client import transport
from lib.subscription_manager import SubscriptionManager, write_ahead
from scripts.sim.enhance_sim.faults import Gate
from tests.killed import Killed
from tests.world import World

DAY = 86400
ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


@dataclass
class Buyer:
    """One customer of a scenario, and the panel as it was before them."""

    customer: str
    subscription: str
    before: dict[str, int]
    mails: int


@dataclass(frozen=True)
class Scenario:
    """A change at Stripe, and what the world must look like once both sides are equal again."""

    change: Callable[[World, Buyer], object]
    check: Callable[[World, Buyer], Awaitable[object]]
    new: bool = False
    """Whether the customer is bought only by the change; else they are provisioned before."""
    held: bool = False
    """Whether they are suspended before."""
    environ: dict[str, str] = field(default_factory=dict)

    async def begin(self, world: World, number: int) -> Buyer:
        """A customer who stands where the change begins."""
        before, mails = world.panel.world(), len(world.panel.recovery_mails)
        customer = world.customer(f"Ada Example {number}", f"ada{number}@example.com")
        buyer = Buyer(customer, world.buy(customer, domain=f"shop{number}.example"), before, mails)
        if not self.new:
            await world.sync(customer)
        if self.held:
            let_lapse(world, buyer)
            await world.sync(customer)
        self.change(world, buyer)
        nudge(world, buyer)
        return buyer


def nudge(world: World, buyer: Buyer) -> None:
    """Make the buyer due, as the event of a change does."""
    world.sql(
        "INSERT INTO due (kind, key) VALUES ('customer', %s) ON CONFLICT (kind, key)"
        " DO UPDATE SET due_at = now(), generation = due.generation + 1",
        buyer.customer,
    )


def let_lapse(world: World, buyer: Buyer) -> None:
    """A payment failed longer ago than any grace."""
    world.stripe.fail_payment(buyer.subscription, world.stripe.now() - 8 * DAY)


def panel_subscription(world: World, buyer: Buyer) -> Any:
    """The buyer's hosting subscription, as the panel has it."""
    return world.panel.subscriptions[world.service(buyer.subscription)["panel_subscription_id"]]


def made_once(world: World, buyer: Buyer, **other: int) -> None:
    """Exactly one of everything was made for this buyer, we know it, and the ledger is closed."""
    made = {name: count - buyer.before[name] for name, count in world.panel.world().items()}
    assert made == {**ONE, **other}
    assert world.dangling() == []
    assert world.due() == []
    (row,) = world.sql("SELECT * FROM customers WHERE customer_id = %s", buyer.customer)
    assert None not in (row["org_id"], row["login_id"], row["member_id"], row["welcomed_at"])
    assert "[" not in world.panel.orgs[str(row["org_id"])].name


async def is_on(world: World, buyer: Buyer) -> None:
    """One of everything, running, with its website, and a second pass has nothing to add."""
    made_once(world, buyer)
    row = world.service(buyer.subscription)
    assert (row["state"], row["holds"], row["suspended_by"]) == ("live", [], None)
    assert panel_subscription(world, buyer).suspended_by is None
    assert str(row["website_id"]) in world.panel.websites
    before = world.dump()
    await world.sync(buyer.customer)
    assert world.dump() == before


async def is_held_by_us(world: World, buyer: Buyer) -> None:
    """Suspended, known as ours, and therefore lifted by the payment."""
    made_once(world, buyer)
    row = world.service(buyer.subscription)
    assert (row["state"], row["holds"], row["panel_suspended"]) == ("suspended", ["unpaid"], False)
    assert str(row["suspended_by"]) == panel_subscription(world, buyer).suspended_by == world.panel.actor_id
    world.stripe.pay_open_invoice(buyer.subscription)
    await world.sync(buyer.customer)
    await is_on(world, buyer)


async def is_big(world: World, buyer: Buyer) -> None:
    """The same hosting subscription on the other plan, here and there."""
    await is_on(world, buyer)
    row = world.service(buyer.subscription)
    assert panel_subscription(world, buyer).plan_id == row["panel_plan_id"] == world.big_plan_id
    assert row["plan"] == "big-hosting-plan"


async def is_gone(world: World, buyer: Buyer) -> None:
    """Softly deleted, once, and known as terminated."""
    made_once(world, buyer, subscriptions=0, websites=0)
    assert panel_subscription(world, buyer).deleted
    assert world.service(buyer.subscription)["state"] == "terminated"


def come_back(world: World, buyer: Buyer) -> None:
    """Ended, and bought again with the same domain."""
    domain = world.service(buyer.subscription)["domain"]
    world.stripe.cancel(buyer.subscription)
    buyer.subscription = world.buy(buyer.customer, domain=domain)


async def has_it_back(world: World, buyer: Buyer) -> None:
    """The one website is on and the new service's, here and there; the ended hosting is held without it."""
    made_once(world, buyer, subscriptions=2)
    row = world.service(buyer.subscription)
    (old,) = world.sql(
        "SELECT * FROM services WHERE customer_id = %s AND subscription_id <> %s", buyer.customer, buyer.subscription
    )
    assert (row["state"], old["state"], old["holds"], old["website_id"]) == ("live", "suspended", ["ended"], None)
    site = world.panel.websites[str(row["website_id"])]
    shown = world.panel.show(site.id)
    assert (shown["subscriptionId"], shown["status"]) == (row["panel_subscription_id"], "active")
    before = world.dump()
    await world.sync(buyer.customer)
    assert world.dump() == before


SCENARIOS = {
    "provision": Scenario(lambda *_: None, is_on, new=True),
    "suspend": Scenario(let_lapse, is_held_by_us),
    "resume": Scenario(lambda world, buyer: world.stripe.pay_open_invoice(buyer.subscription), is_on, held=True),
    "change plan": Scenario(
        lambda world, buyer: world.stripe.change_items(buyer.subscription, price="price_big_monthly", invoice="paid"),
        is_big,
    ),
    "terminate": Scenario(
        lambda world, buyer: world.stripe.cancel(buyer.subscription, created=world.stripe.now() - 31 * DAY),
        is_gone,
        environ={"RETENTION_DAYS": "30"},
    ),
    "win back": Scenario(come_back, has_it_back),
}


@pytest.fixture(autouse=True)
def _undisturbed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick repetition is quick, and the brake is far away: neither is what these tests are about."""
    world.environ["BRAKE_MAX"] = "100000"
    monkeypatch.setattr(transport, "_wait", lambda _: 0.0)


# --- dying ------------------------------------------------------------------------------------------------------------


def mortal(manager: SubscriptionManager, patch: pytest.MonkeyPatch, dies_before: int) -> list[str]:
    """Make a manager die just before its n-th effect on panel or database, and stay dead; the effects it had.

    Between two effects there is nothing that the world could see: dying before the next is dying after the last.
    """
    effects: list[str] = []
    rows, exchange, transaction = manager.db.rows, manager.db.exchange, manager.db.transaction
    once = manager.enhance._transport._once

    def step(effect: str) -> None:
        if len(effects) + 1 >= dies_before:
            raise Killed(effect)
        effects.append(effect)

    async def mortal_rows(statement: str, parameters: Any = None) -> Any:
        step(" ".join(statement.split())[:60])
        return await rows(statement, parameters)

    async def mortal_exchange(writes: Sequence[Write]) -> Any:
        step(" ".join(writes[-1].statement.split())[:60])
        return await exchange(writes)

    @asynccontextmanager
    async def mortal_transaction() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        step("transaction")
        async with transaction() as connection:
            yield connection

    async def mortal_once(method: str, route: str, *rest: Any) -> Any:
        step(f"{method} {route}")
        return await once(method, route, *rest)

    patch.setattr(manager.db, "rows", mortal_rows)
    patch.setattr(manager.db, "exchange", mortal_exchange)
    patch.setattr(manager.db, "transaction", mortal_transaction)
    patch.setattr(manager.enhance._transport, "_once", mortal_once)
    return effects


@pytest.mark.parametrize("name", SCENARIOS)
async def test_killed_between_any_two_effects(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Wherever the process dies, fresh ones bring the customer to the same end, with nothing done twice."""
    scenario, killed = SCENARIOS[name], 0
    for number in range(1, 200):
        buyer = await scenario.begin(world, number)
        async with world.bridge(**scenario.environ) as manager:
            with monkeypatch.context() as patch:
                effects = mortal(manager, patch, dies_before=number)
                try:
                    await manager.drain(deadline=math.inf)
                except Killed:
                    killed += 1
        world.hurry()
        await world.drain(**scenario.environ)
        assert await world.come_to_rest(**scenario.environ) == [], effects
        try:
            await scenario.check(world, buyer)
        except AssertionError as error:
            raise AssertionError(f"killed after {effects[-3:]}: {error}") from error
        mailed = any("password-recovery" in effect for effect in effects)
        assert len(world.panel.recovery_mails) - buyer.mails == 1 or mailed, effects
        if killed < number:
            break
    assert killed > 4


async def test_a_suspension_that_nobody_could_record_is_lifted_when_the_money_came_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Died between the panel's suspension and the note of it, and paid before anybody looked: it is known as ours."""
    scenario, killed = SCENARIOS["suspend"], 0
    for number in range(1, 200):
        buyer = await scenario.begin(world, number)
        async with world.bridge() as manager:
            with monkeypatch.context() as patch:
                effects = mortal(manager, patch, dies_before=number)
                try:
                    await manager.drain(deadline=math.inf)
                except Killed:
                    killed += 1
        world.stripe.pay_open_invoice(buyer.subscription)
        nudge(world, buyer)
        world.hurry()
        await world.drain()
        assert await world.come_to_rest() == [], effects
        await is_on(world, buyer)
        if killed < number:
            break
    assert killed > 4


# --- answers that get lost --------------------------------------------------------------------------------------------


@dataclass
class Interference:
    """What happens to the n-th call of a manager."""

    world: World
    kind: str
    at: int
    calls: int = 0
    hit: str = ""
    gates: list[Gate] = field(default_factory=list)

    def upon(self, manager: SubscriptionManager, patch: pytest.MonkeyPatch) -> None:
        """Interfere with this manager."""
        once = manager.enhance._transport._once

        async def counted(method: str, route: str, body: Any, query: Any, patience: float) -> Any:
            self.calls += 1
            if self.calls == self.at:
                self.hit = f"{self.kind}: {method} {route}"
                self._order(method, f"^{re.escape(route)}$", 1 if method == "POST" else transport.ATTEMPTS)
            if self.hit.endswith(f" {route}") and self.kind == "timeout":
                patience = 0.3
            return await once(method, route, body, query, patience)

        patch.setattr(manager.enhance._transport, "_once", counted)

    def _order(self, method: str, path: str, times: int) -> None:
        panel = self.world.panel
        match self.kind:
            case "dropped before" | "dropped after":
                panel.drop_next(method, path, "after" if self.kind.endswith("after") else "before", times)
            case "500 before" | "500 after":
                panel.fail_next(method, path, 500, "after" if self.kind.endswith("after") else "before", times)
            case "503":
                panel.fail_next(method, path, 503, "before", times, retry_after=600)
            case "timeout":
                self.gates += [panel.hold_next(method, path, "after") for _ in range(times)]

    def end(self) -> None:
        """The faults are over."""
        for gate in self.gates:
            gate.release()
        self.world.panel.clear_faults()


@pytest.mark.parametrize("kind", ["dropped before", "dropped after", "500 before", "500 after", "503", "timeout"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_any_answer_lost(world: World, monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    """Each call in turn fails before or after it took effect: later both sides are equal, with nothing done twice."""
    scenario, number = SCENARIOS[name], 0
    while True:
        number += 1
        buyer = await scenario.begin(world, number)
        interference = Interference(world, kind, at=number)
        async with world.bridge(**scenario.environ) as manager:
            with monkeypatch.context() as patch:
                interference.upon(manager, patch)
                await manager.drain(deadline=math.inf)
        interference.end()
        world.hurry()
        await world.drain(**scenario.environ)
        assert await world.come_to_rest(**scenario.environ) == [], interference.hit
        try:
            await scenario.check(world, buyer)
        except AssertionError as error:
            raise AssertionError(f"{interference.hit}: {error}") from error
        if not interference.hit:
            break
    assert number > 3


@pytest.mark.parametrize("kind", ["dropped after", "500 after", "timeout"])
async def test_a_suspension_whose_answer_was_lost_is_lifted_when_paid(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Paid before the next pass could see who suspended it: it is ours all the same."""
    for number in range(1, 5):
        buyer = await SCENARIOS["suspend"].begin(world, number)
        interference = Interference(world, kind, at=number)
        async with world.bridge() as manager:
            with monkeypatch.context() as patch:
                interference.upon(manager, patch)
                await manager.drain(deadline=math.inf)
        interference.end()
        world.stripe.pay_open_invoice(buyer.subscription)
        await world.sync(buyer.customer)
        assert await world.come_to_rest() == [], interference.hit
        await is_on(world, buyer)


async def test_a_suspension_that_takes_effect_after_the_payment_is_lifted(world: World) -> None:
    """The request was cut off, the customer paid, a pass found nothing to do, and only then the panel suspended."""
    buyer = await SCENARIOS["suspend"].begin(world, 1)
    number = panel_subscription(world, buyer).id
    world.panel.drop_next("PATCH", "/subscriptions/", "before", transport.ATTEMPTS)
    await world.sync(buyer.customer)
    world.stripe.pay_open_invoice(buyer.subscription)
    await world.sync(buyer.customer)
    world.panel.suspend_by_hand(number, world.panel.actor_id)
    assert await world.come_to_rest() == []
    await is_on(world, buyer)


async def test_no_second_website_while_the_first_may_still_appear(world: World) -> None:
    """After a lost answer the website is looked for and never asked for again, and taken over when it appears."""
    buyer = await SCENARIOS["provision"].begin(world, 1)
    world.panel.drop_next("POST", "/websites$", "before")
    await world.sync(buyer.customer)
    for _ in range(3):
        world.hurry()
        await world.drain()
    assert world.panel.count("POST", "/websites$") == 1
    assert world.panel.world() == {**ONE, "websites": 0}
    site = world.panel.add_website(world.only_subscription().id, "shop1.example")
    assert await world.come_to_rest() == []
    assert world.panel.count("POST", "/websites$") == 1
    assert str(world.service(buyer.subscription)["website_id"]) == site
    await is_on(world, buyer)


async def test_a_website_that_never_appears_is_made_in_the_end(world: World) -> None:
    """Once it can't appear any more it is asked for again, once."""
    buyer = await SCENARIOS["provision"].begin(world, 1)
    world.panel.drop_next("POST", "/websites$", "before")
    await world.sync(buyer.customer)
    assert await world.come_to_rest() == []
    assert world.panel.count("POST", "/websites$") == 2
    await is_on(world, buyer)


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["provision", "suspend", "resume"])
async def test_overtaken_by_another_process(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, when: str
) -> None:
    """A process that hangs in any call while its lease runs out does no harm when it wakes behind another one."""
    scenario, number = SCENARIOS[name], 0
    while True:
        number += 1
        buyer = await scenario.begin(world, number)
        interference = Interference(world, "", at=number)
        gates: list[Gate] = interference.gates

        def order(method: str, path: str, times: int, gates: list[Gate] = gates) -> None:
            gates.append(world.panel.hold_next(method, path, "after" if when == "after" else "before"))

        monkeypatch.setattr(interference, "_order", order)
        async with world.bridge() as slow:
            interference.upon(slow, monkeypatch)
            task = asyncio.create_task(slow.drain(deadline=math.inf))
            while not gates and not task.done():
                await asyncio.wait([task], timeout=0.005)
            if not gates:
                await task
                break
            await gates[0].reached()
            world.hurry()  # steals the lease
            await world.drain()
            gates[0].release()
            drained = await task
        assert drained.passes >= 1
        assert await world.come_to_rest() == [], interference.hit
        try:
            await scenario.check(world, buyer)
        except AssertionError as error:
            raise AssertionError(f"{interference.hit}: {error}") from error
        assert len(world.panel.recovery_mails) - buyer.mails == 1 or "recovery" in interference.hit
    assert number > 3


async def test_websites_are_created_one_at_a_time_over_all_processes(world: World) -> None:
    """However many processes provision, the panel sees one creation of a website at any moment."""
    for number in range(6):
        await SCENARIOS["provision"].begin(world, number)
    world.panel.delay_next("POST", "/websites$", 0.1, times=6)
    world.panel.delay_next("POST", "/logins$", 0.5, times=6)  # so that they do meet
    await asyncio.gather(*(world.drain(PANEL_CONCURRENCY="8") for _ in range(6)))
    await world.come_to_rest()
    assert world.panel.world() == dict.fromkeys(ONE, 6)
    assert world.panel.peak["POST /orgs/{org_id}/websites"] == 1
    assert world.panel.peak["all"] > 1


async def test_a_process_that_stood_still_after_its_intent_does_not_act_on_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others took the intent for dead, and made it: the sleeper wakes and makes no second one."""
    customer = world.customer()
    world.buy(customer, domain=None)
    write = Journal.write
    asleep, wake = asyncio.Event(), asyncio.Event()

    async def freezing(journal: Journal, last: Write) -> Any:
        written = await write(journal, last)
        if "create_subscription" in str(last.parameters) and not asleep.is_set():
            asleep.set()
            await wake.wait()
            monkeypatch.setattr(write_ahead, "LONGEST_PAUSE", 0.0)  # as long as it slept
        return written

    monkeypatch.setattr(Journal, "write", freezing)
    async with world.bridge() as manager:
        sleeper = asyncio.ensure_future(manager.reconcile(customer))
        await asleep.wait()
        world.hurry()
        world.age_intents()
        await world.come_to_rest()
        wake.set()
        await sleeper
    monkeypatch.undo()
    await world.come_to_rest()
    assert world.panel.world()["subscriptions"] == 1
    assert (world.due(), world.dangling()) == ([], [])
