"""Events that come in side by side are stored together, and each delivery answers for itself."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Sequence

import pytest

from lib.database import events
from lib.errors import DatabaseUnavailable, NoAnswer
from lib.model import ReceivedEvent
from lib.subscription_manager import inbox as inbox_module
from lib.subscription_manager.inbox import AT_ONCE, MANY, Inbox
from tests.world import World


def event(name: str) -> ReceivedEvent:
    """An event of one customer."""
    return ReceivedEvent(f"evt_{name}", "invoice.paid", "{}", "accepted", nudges=(("customer", f"cus_{name}"),))


def body(name: str) -> bytes:
    """The same as Stripe sends it."""
    thing = {"id": f"in_{name}", "object": "invoice", "customer": f"cus_{name}"}
    said = {"id": f"evt_{name}", "object": "event", "type": "invoice.paid", "livemode": False, "created": 1_794_000_000}
    return json.dumps({**said, "data": {"object": thing}}).encode()


class Store:
    """A database that takes its time, and minds one event."""

    def __init__(self, *, minds: str = "", error: Exception | None = None) -> None:
        self.groups: list[list[str]] = []
        self.kept: set[str] = set()
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self._minds, self._error = minds, error

    async def __call__(self, found: Sequence[ReceivedEvent]) -> list[str]:
        ids = [one.event_id for one in found]
        self.groups.append(ids)
        self.asked.set()
        await self.go_on.wait()
        if self._minds in ids and self._error:
            raise self._error
        new = [one for one in dict.fromkeys(ids) if one not in self.kept]
        self.kept.update(new)
        return new


async def test_who_comes_meanwhile_goes_with_the_next_statement() -> None:
    """While as many statements are under way as may be, all that come in share the next one."""
    store = Store()
    inbox = Inbox(store)
    first = []
    for number in range(AT_ONCE):
        first.append(asyncio.create_task(inbox.accept([event(f"first{number}")])))
        await store.asked.wait()
        store.asked.clear()
    later = [asyncio.create_task(inbox.accept([event(f"later{number}")])) for number in range(20)]
    await asyncio.sleep(0)
    store.go_on.set()
    answers = await asyncio.gather(*first, *later)
    assert [len(group) for group in store.groups] == [1] * AT_ONCE + [20]
    assert sorted(found for (found,) in answers) == sorted(store.kept)


async def test_a_slow_database_is_not_waited_for() -> None:
    """While a statement waits for a database that takes long, who comes later is sent there as well."""
    store = Store()
    await _nobody_waits(store, Inbox(store))


async def _nobody_waits(store: Store, inbox: Inbox) -> None:
    """Who comes while a statement is under way goes out before that has ended."""
    first = asyncio.create_task(inbox.accept([event("first")]))
    await store.asked.wait()
    store.asked.clear()
    later = asyncio.create_task(inbox.accept([event("later")]))
    await store.asked.wait()
    assert store.groups == [["evt_first"], ["evt_later"]]
    store.go_on.set()
    assert (await first, await later) == (["evt_first"], ["evt_later"])


async def test_few_share_a_statement_and_many_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a statement under way, a few more wait for it to end or to take long; for many another one begins."""
    monkeypatch.setattr(inbox_module, "APART", 3600.0)
    store = Store()
    inbox = Inbox(store)
    tasks = [asyncio.create_task(inbox.accept([event("first")]))]
    await store.asked.wait()
    store.asked.clear()
    tasks += [asyncio.create_task(inbox.accept([event(f"few{number}")])) for number in range(MANY - 1)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert [len(group) for group in store.groups] == [1]
    tasks.append(asyncio.create_task(inbox.accept([event("one more")])))
    await store.asked.wait()
    assert [len(group) for group in store.groups] == [1, MANY]
    tasks.append(asyncio.create_task(inbox.accept([event("last")])))
    await asyncio.sleep(0)
    store.go_on.set()
    await asyncio.gather(*tasks)
    assert [len(group) for group in store.groups] == [1, MANY, 1]


async def test_a_near_database_has_one_statement_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where answers come at once, however many come meanwhile share the next statement."""
    monkeypatch.setattr(inbox_module, "STUCK", 3600.0)
    store, inbox = await _near()
    tasks = [asyncio.create_task(inbox.accept([event("first")]))]
    await store.asked.wait()
    tasks += [asyncio.create_task(inbox.accept([event(f"later{number}")])) for number in range(2 * MANY)]
    await asyncio.sleep(3 * inbox_module.APART)
    assert [len(group) for group in store.groups] == [1]
    store.go_on.set()
    await asyncio.gather(*tasks)
    assert [len(group) for group in store.groups] == [1, 2 * MANY]


async def test_who_comes_when_all_are_stored_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """That others waited a moment ago delays nobody who comes to an inbox with nothing under way."""
    monkeypatch.setattr(inbox_module, "STUCK", 3600.0)
    store, inbox = await _near()
    first = asyncio.create_task(inbox.accept([event("first")]))
    await store.asked.wait()
    second = asyncio.create_task(inbox.accept([event("second")]))
    await asyncio.sleep(3 * inbox_module.APART)
    store.go_on.set()
    await asyncio.gather(first, second)
    assert await asyncio.wait_for(inbox.accept([event("third")]), 5) == ["evt_third"]


async def test_a_near_database_that_is_stuck_is_not_waited_for() -> None:
    """A statement that has met a lock keeps nobody waiting for as long as the lock lasts."""
    await _nobody_waits(*await _near())


async def test_a_database_that_refuses_at_once_is_not_a_near_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a statement took that stored nothing tells nothing about the way."""
    monkeypatch.setattr(inbox_module, "STUCK", 3600.0)
    store = Store(minds="evt_away", error=DatabaseUnavailable("it is away"))
    inbox = Inbox(store)
    store.go_on.set()
    with pytest.raises(DatabaseUnavailable):
        await inbox.accept([event("away")])
    store.go_on.clear()
    store.asked.clear()
    store.groups.clear()
    await asyncio.wait_for(_nobody_waits(store, inbox), 5)


async def _near() -> tuple[Store, Inbox]:
    """An inbox whose database has answered at once so far, and waits from now on."""
    store = Store()
    inbox = Inbox(store)
    store.go_on.set()
    for number in range(3):
        await inbox.accept([event(f"before{number}")])
    store.go_on.clear()
    store.asked.clear()
    store.groups.clear()
    return store, inbox


def test_the_way_is_told_by_the_shortest_statement_of_late() -> None:
    """Large groups make no near database a far one, and one that has gone away is far soon."""
    way = inbox_module._Way()
    assert way.seconds > inbox_module.FAR
    for second in range(60):
        way.took(0.0004 + 40 * 0.00006, 40, float(second))
        assert way.seconds < inbox_module.FAR
    for second in range(60, 60 + 2 * int(way.LATE) + 2):
        way.took(0.003, 1, float(second))
    assert way.seconds > inbox_module.FAR


async def test_who_waits_is_on_the_way_before_the_others_are_told() -> None:
    """Between two statements the database has nothing to do for no longer than it takes to send the next one."""
    store = Store()
    inbox = Inbox(store)
    first = asyncio.create_task(inbox.accept([event("first")]))
    await store.asked.wait()
    later = [asyncio.create_task(inbox.accept([event(f"later{number}")])) for number in range(3)]
    asked: list[int] = []
    first.add_done_callback(lambda _: asked.append(len(store.groups)))
    await asyncio.sleep(0)
    store.go_on.set()
    await asyncio.gather(first, *later)
    assert asked == [2]


async def test_an_event_that_comes_twice_at_once_is_new_once() -> None:
    """Two deliveries of one event in one group: the first one brought it."""
    store = Store()
    store.go_on.set()
    inbox = Inbox(store)
    first, second = await asyncio.gather(inbox.accept([event("a")]), inbox.accept([event("a")]))
    assert (first, second) == (["evt_a"], [])


async def test_a_bad_event_fails_none_of_its_neighbours() -> None:
    """What the database minds about one event is told to who brought that, and the others are stored."""
    store = Store(minds="evt_bad", error=ValueError("not this one"))
    store.go_on.set()
    inbox = Inbox(store)
    deliveries = [inbox.accept([event(name)]) for name in ("a", "bad", "b")]
    a, bad, b = await asyncio.gather(*deliveries, return_exceptions=True)
    assert (a, b) == (["evt_a"], ["evt_b"])
    assert isinstance(bad, ValueError)


@pytest.mark.parametrize("error", [DatabaseUnavailable("it is away"), NoAnswer("it hangs")])
async def test_a_database_that_is_away_is_told_to_each_and_asked_once(error: Exception) -> None:
    """Nobody of the group gets a 200, and a database in trouble is not asked once more for each."""
    store = Store(minds="evt_b", error=error)
    store.go_on.set()
    inbox = Inbox(store)
    found = await asyncio.gather(*(inbox.accept([event(name)]) for name in ("a", "b")), return_exceptions=True)
    assert [type(one) for one in found] == [type(error)] * 2
    assert len(store.groups) == 1


async def test_a_sender_that_leaves_takes_nobody_along() -> None:
    """A connection that ends while its event is being stored: the event and its neighbours are stored."""
    store = Store()
    inbox = Inbox(store)
    gone = asyncio.create_task(inbox.accept([event("gone")]))
    stays = asyncio.create_task(inbox.accept([event("stays")]))
    await store.asked.wait()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    store.go_on.set()
    assert await stays == ["evt_stays"]
    assert store.kept == {"evt_gone", "evt_stays"}


async def test_a_statement_that_is_cut_off_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a group whose statement is cancelled nobody is told 200, and who waits behind it is stored all the same."""
    monkeypatch.setattr(inbox_module, "APART", 3600.0)
    store = Store()
    inbox = Inbox(store)
    first = asyncio.create_task(inbox.accept([event("first")]))
    await store.asked.wait()
    later = asyncio.create_task(inbox.accept([event("later")]))
    await asyncio.sleep(0)
    (under_way,) = inbox._under_way
    under_way.cancel()
    store.go_on.set()
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)
    assert await asyncio.wait_for(later, 5) == ["evt_later"]


async def test_a_look_right_after_statements_finds_none_of_them_under_way() -> None:
    """Who comes as the last of all statements ends is not left to one that has ended: no other one would begin.

    An event loop may run its timers before it tells that a task has ended, as uvloop does.
    """
    store = Store()
    inbox = Inbox(store)
    first = []
    for number in range(AT_ONCE):
        first.append(asyncio.create_task(inbox.accept([event(f"first{number}")])))
        await store.asked.wait()
        store.asked.clear()
    tasks = list(inbox._under_way)
    store.go_on.set()
    for _ in range(10):  # turns, until they have ended
        if not all(task.done() for task in tasks):
            await asyncio.sleep(0)
    assert all(task.done() for task in tasks)
    assert inbox._under_way == set()
    await asyncio.gather(*first)


async def test_a_delivery_that_fails_is_forgotten_at_once() -> None:
    """While the database is away no body stays in memory until Python looks for garbage."""
    store = Store(minds="evt_a", error=DatabaseUnavailable("it is away"))
    store.go_on.set()
    inbox = Inbox(store)
    body = "x" * 10_000
    before = sys.getrefcount(body)
    gc.disable()
    try:
        with pytest.raises(DatabaseUnavailable):
            await inbox.accept([ReceivedEvent("evt_a", "invoice.paid", body, "accepted")])
        store._error = None
        for _ in range(3):  # whoever told it has ended, too
            await asyncio.sleep(0)
        assert sys.getrefcount(body) == before
    finally:
        gc.enable()


async def test_fifty_deliveries_at_once_are_stored_and_due_each(world: World) -> None:
    """Side by side over the real database, one of them twice: each event once, each customer due, few statements."""
    bodies = [body(f"{number}") for number in range(50)] + [body("7")]
    statements = 0
    store = events._store

    async def counted(*found: object, **more: object) -> list[str]:
        nonlocal statements
        statements += 1
        return await store(*found, **more)  # type: ignore[arg-type]

    async with world.bridge() as bridge:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events, "_store", counted)
            answers = await asyncio.gather(*(bridge.accept([one]) for one in bodies))
    assert sum(len(new) for new in answers) == 50
    assert len(world.sql("SELECT event_id FROM events")) == 50
    assert {row["key"] for row in world.due()} == {f"cus_{number}" for number in range(50)}
    assert statements <= 3
