"""Order and completeness of deliveries, whatever happens in between: random histories, and a kill at every step."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from lib.bridge import Bridge
from lib.config import Settings
from lib.database import outbox, outbox_edits
from lib.database.outbox_edits import Choice
from lib.messages.sender import Sender
from lib.model import CustomerKey
from lib.model.outgoing import Attempt, OutgoingType, Told
from lib.model.payloads import EscrowData
from tests.killed import Killed, writes
from tests.messages.receiver import Receiver, outlet, receiving
from tests.messages.test_settings import BASE

CUSTOMERS = ("cus_a", "cus_b", "bank_transfer:c")
TOLD = EscrowData(
    order_id="o", seller_id="s", seller_net=1, seller_due=1, came=1, went_back=0, currency="eur", payment_ids=["p"]
)


@dataclass
class Game:
    """Two receivers, a database, and whatever is done to them."""

    url: str
    receivers: list[Receiver] = field(default_factory=lambda: [Receiver(), Receiver()])
    poisoned: set[str] = field(default_factory=set)
    skipped: set[tuple[int, str, int]] = field(default_factory=set)
    written: dict[str, int] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def bridge(self) -> Bridge:
        """A fresh process."""
        return Bridge(Settings.load({**BASE, **self.environ, "DATABASE_URL": self.url}))

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Run one statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def answer(self, number: int, event: dict[str, Any]) -> int:
        """What a receiver answers."""
        return 500 if event["customerId"] in self.poisoned else self.receivers[number].status

    async def write(self, *customers: str) -> None:
        """Something happens to these customers, in one transaction."""
        bridge = self.bridge()
        told = [Told(OutgoingType.ESCROW_RELEASABLE, CustomerKey.read(whom), TOLD) for whom in customers]
        async with bridge.db.transaction() as connection:
            await outbox.write(connection, bridge.settings.outbox, told)
        for whom in customers:
            self.written[whom] = self.written.get(whom, 0) + 1
        await bridge.close()

    async def drain(self) -> None:
        """A fresh process runs what is due."""
        bridge = self.bridge()
        await bridge.drain(deadline=math.inf, workers=4)
        await bridge.close()

    def later(self) -> None:
        """Time passes: what was to be tried later is due, and the leases of the dead are over."""
        self.sql("UPDATE outbox_endpoints SET next_try_at = now() - interval '1 s' WHERE next_try_at IS NOT NULL")
        self.sql("UPDATE due SET due_at = now() - interval '1 s', retry_at = NULL WHERE due_at IS NOT NULL")
        self.sql("UPDATE due SET leased_until = now() - interval '1 s' WHERE lease_id IS NOT NULL")

    async def by_hand(self, act: Literal["skip", "resend", "enable"], number: int) -> None:
        """An operator's act on one endpoint."""
        bridge = self.bridge()
        endpoint = bridge.settings.outbox.endpoints[number]
        if act == "enable":
            await outbox_edits.enable(bridge.db, endpoint)
            await outbox.wake(bridge.db, endpoint.id)
        else:
            oldest = self.sql(
                "SELECT event_id, customer, sequence FROM outbox"
                " WHERE endpoint = %s AND state = %s ORDER BY id LIMIT 1",
                endpoint.id,
                "waiting" if act == "skip" else "delivered",
            )
            for event_id, customer, sequence in oldest:
                async with bridge.db.transaction() as connection:
                    if act == "skip":
                        await outbox_edits.skip(connection, endpoint.id, Choice((event_id,)))
                        self.skipped.add((number, customer, sequence))
                    else:
                        await outbox_edits.resend(connection, endpoint, Choice((event_id,)))
        await bridge.close()

    async def end_well(self) -> None:
        """Everything is mended, and time passes until nothing waits."""
        self.poisoned.clear()
        for number, receiver in enumerate(self.receivers):
            receiver.status = 200
            await self.by_hand("enable", number)
        for _ in range(40):
            await self.drain()
            if not self.sql("SELECT 1 FROM outbox WHERE state = 'waiting'"):
                return
            self.later()
        raise AssertionError("something waits for ever")

    def check_order(self) -> None:
        """Each receiver has first seen what it has in order."""
        for receiver in self.receivers:
            for whom in self.written:
                first_seen = list(dict.fromkeys(event["sequence"] for event in receiver.of(whom)))
                assert first_seen == sorted(first_seen)

    def check(self) -> None:
        """Each receiver has all that was not skipped, first seen in order."""
        self.check_order()
        for number, receiver in enumerate(self.receivers):
            for whom, last in self.written.items():
                wanted = {n for n in range(1, last + 1) if (number, whom, n) not in self.skipped}
                assert wanted <= {event["sequence"] for event in receiver.of(whom)}

    @property
    def endpoints(self) -> list[str]:
        """The ids of both endpoints, in the receivers' order."""
        loaded = Settings.load({**BASE, **self.environ, "DATABASE_URL": self.url})
        return [endpoint.id for endpoint in loaded.outbox.endpoints]

    def begin_anew(self) -> None:
        """Nothing has happened yet."""
        self.sql("TRUNCATE outbox, outbox_streams, outbox_endpoints, outbox_attempts, due")
        self.poisoned.clear()
        self.skipped.clear()
        self.written.clear()
        for receiver in self.receivers:
            receiver.status = 200
            receiver.taken.clear()


@pytest.fixture
def game(database_url: str) -> Iterator[Game]:
    """A game whose receivers run."""
    made = Game(database_url)
    with ExitStack() as stack:
        made.environ = outlet(*(stack.enter_context(receiving(receiver)) for receiver in made.receivers))
        for number, receiver in enumerate(made.receivers):
            receiver.answers = lambda event, number=number: made.answer(number, event)
        yield made


class Deliveries(RuleBasedStateMachine):
    """Whatever happens, in any order; the sentences that always hold, and those that hold in the end."""

    def __init__(self, game: Game) -> None:
        super().__init__()
        self.game = game
        self.loop = asyncio.Runner()
        game.begin_anew()

    numbers = st.integers(0, 1)

    @rule(customers=st.lists(st.sampled_from(CUSTOMERS), min_size=1, max_size=3))
    def something_happens(self, customers: list[str]) -> None:
        """To one customer or several, in one transaction."""
        self.loop.run(self.game.write(*customers))

    @rule()
    def passes_run(self) -> None:
        """A fresh process delivers what is due."""
        self.loop.run(self.game.drain())

    @rule(number=numbers, status=st.sampled_from([200, 500, 503, 302, 410]))
    def a_receiver_changes(self, number: int, status: int) -> None:
        """It is well, fails, redirects or is gone: the last one disables it."""
        self.game.receivers[number].status = status

    @rule(customer=st.sampled_from(CUSTOMERS))
    def one_event_is_not_taken(self, customer: str) -> None:
        """Nor are those behind it; or they are again."""
        self.game.poisoned ^= {customer}

    @rule()
    def time_passes(self) -> None:
        """What was to be tried later is due."""
        self.game.later()

    @rule(number=numbers)
    def days_pass(self, number: int) -> None:
        """A receiver that fails has done so for so long that its next failure disables it."""
        endpoint = self.game.endpoints[number]
        self.game.sql(
            "UPDATE outbox_endpoints SET failing_since = failing_since - interval '6 days' WHERE endpoint = %s",
            endpoint,
        )
        self.game.later()

    @rule(number=numbers, act=st.sampled_from(["skip", "resend", "enable"]))
    def a_person_acts(self, number: int, act: Literal["skip", "resend", "enable"]) -> None:
        """On the oldest that waits, the oldest that arrived, or the endpoint."""
        self.loop.run(self.game.by_hand(act, number))

    @invariant()
    def numbers_have_no_gap(self) -> None:
        """Each endpoint has each customer's events as 1, 2, 3 ..., disabled or not: none is lost or there twice."""
        rows = self.game.sql(
            "SELECT endpoint, customer, array_agg(sequence ORDER BY sequence) FROM outbox GROUP BY 1, 2"
        )
        found = {(endpoint, customer): sequences for endpoint, customer, sequences in rows}
        wanted = {
            (endpoint, customer): list(range(1, last + 1))
            for endpoint in self.game.endpoints
            for customer, last in self.game.written.items()
        }
        assert found == wanted

    @invariant()
    def each_is_first_seen_in_order(self) -> None:
        """A receiver sees no number before a lower one, but for those that were skipped; a repetition may come late."""
        self.game.check_order()

    @invariant()
    def what_is_told_as_delivered_was_seen(self) -> None:
        """And what waits is waited for by a row of the queue, or by an endpoint that a person must enable."""
        told = self.game.sql("SELECT endpoint, customer, sequence FROM outbox WHERE state = 'delivered'")
        for endpoint, customer, sequence in told:
            receiver = self.game.receivers[self.game.endpoints.index(endpoint)]
            assert sequence in {event["sequence"] for event in receiver.of(customer)}
        assert not self.game.sql(
            "SELECT o.id FROM outbox o JOIN outbox_endpoints e USING (endpoint)"
            " WHERE o.state = 'waiting' AND e.disabled_at IS NULL AND NOT EXISTS (SELECT FROM due"
            " WHERE kind = 'outbox' AND key IN (o.endpoint || ':' || o.customer, o.endpoint || ':'))"
        )

    def teardown(self) -> None:
        """Everything is mended in the end, and everybody has everything."""
        try:
            self.loop.run(self.game.end_well())
            self.game.check()
        finally:
            self.loop.close()


def test_all_arrive_in_order_whatever_happens(game: Game) -> None:
    """Receivers that fail, redirect, go or are disabled, one bad event, skips, repetitions, and time."""

    class Here(Deliveries):
        """With these receivers and this database."""

        def __init__(self) -> None:
            super().__init__(game)

    run_state_machine_as_test(Here, settings=settings(max_examples=20, stateful_step_count=14, deadline=None))


def mortal(patch: pytest.MonkeyPatch, dies_at: int) -> list[str]:
    """A process that dies at its n-th step: before a write, before a request, or before it sees the answer."""
    steps: list[str] = []
    execute, post = psycopg.AsyncConnection.execute, Sender.post
    exchange = psycopg.AsyncClientCursor.execute

    def step(name: str) -> None:
        if len(steps) >= dies_at:
            raise Killed
        steps.append(name)

    async def mortal_execute(self: Any, query: Any, *rest: Any, **more: Any) -> Any:
        if writes(str(query)):
            step(" ".join(str(query).split())[:60])
        return await execute(self, query, *rest, **more)

    async def mortal_exchange(self: Any, query: bytes) -> Any:
        step(" ".join(query.decode().split())[:60])
        return await exchange(self, query)

    async def mortal_post(self: Sender, body: bytes, headers: Any) -> Attempt:
        step("before the request")
        attempt = await post(self, body, headers)
        step("after the request")
        return attempt

    patch.setattr(psycopg.AsyncConnection, "execute", mortal_execute)
    patch.setattr(psycopg.AsyncClientCursor, "execute", mortal_exchange)
    patch.setattr(Sender, "post", mortal_post)
    return steps


async def test_killed_at_any_step_it_is_taken_up_again(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two statements and requests, with one receiver that takes everything and one that fails."""
    killed = 0
    for number in range(1, 300):
        customers = (f"cus_{number}a", f"cus_{number}b")
        await game.write(customers[0], customers[1], customers[0])
        game.receivers[1].status = 500
        with monkeypatch.context() as patch:
            steps = mortal(patch, number)
            try:
                await game.drain()
            except Killed:
                killed += 1
        game.later()
        await game.end_well()
        game.check()
        for whom in customers:  # at least once: what was under way may come twice, and no more than that
            assert all(len(receiver.of(whom)) <= game.written[whom] + 1 for receiver in game.receivers), steps
        if killed < number:
            break
    assert killed > 15
