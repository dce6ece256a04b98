"""Two deployments, each with a database, that serve the two halves of one account's customers in one panel."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest

from lib.bridge import Bridge
from lib.config import Secret, Settings
from lib.database import Database, splitting
from lib.errors import DatabaseUnfit, Declined, SettingsError
from lib.model.shard import Shard, shard_of
from scripts._postgres import Postgres
from scripts._split import _split as split_by_script
from tests.checkout.shop import WISH, open_shop
from tests.messages.receiver import outlet
from tests.money.till import came, order, sell
from tests.passes.test_lifecycle import held
from tests.world import World

ORDERS = {"ORDERS": "on"}


class Halves:
    """A world with a database for each half of its customers. While one half works, the other's lets nobody in."""

    def __init__(self, world: World, postgres: Postgres, urls: tuple[str, str]) -> None:
        self.world = world
        self._postgres = postgres
        self._urls = urls
        self._told = 0

    def customers(self, each: int) -> tuple[list[str], list[str]]:
        """So many new customers of either half."""
        found: tuple[list[str], list[str]] = [], []
        while min(map(len, found)) < each:
            number = self.world.stripe.now() + sum(map(len, found))
            customer = self.world.customer(f"Buyer {number}", f"buyer{number}.{len(found[0])}@example.com")
            found[shard_of(customer, 2)].append(customer)
        return found[0][:each], found[1][:each]

    @contextmanager
    def alone(self, number: int) -> Iterator[None]:
        """Look at this half's database, and let nobody into the other's."""
        other = psycopg.conninfo.conninfo_to_dict(self._urls[1 - number])["dbname"]
        self.world.connection.close()
        self.world.open(self._urls[number])
        with psycopg.connect(self._postgres.dsn(), autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{other}" ALLOW_CONNECTIONS false')
            try:
                yield
            finally:
                admin.execute(f'ALTER DATABASE "{other}" ALLOW_CONNECTIONS true')

    @asynccontextmanager
    async def half(self, number: int, **environ: str) -> AsyncIterator[Bridge]:
        """A fresh process of one half."""
        with self.alone(number):
            async with self.world.bridge(SHARD=f"{number}/2", **ORDERS, **environ) as bridge:
                yield bridge

    async def deliver(self, *, lost: bool = False) -> None:
        """Send what happened at Stripe since to both endpoints, unless it gets lost; then both work it off."""
        events = list(self.world.stripe.events)
        fresh, self._told = events[self._told :], len(events)
        for number in (0, 1):
            async with self.half(number) as bridge:
                for event in [] if lost else fresh:
                    await bridge.accept([self.world.stripe.signed(event)[0]])
            with self.alone(number):
                await self.world.come_to_rest(SHARD=f"{number}/2", **ORDERS)

    async def sweep(self) -> list[dict[str, Any]]:
        """Each half sweeps and works off what it found; what the sweeps counted."""
        found = []
        for number in (0, 1):
            async with self.half(number) as bridge:
                report = await bridge.sweep(deadline=float("inf"))
                assert report.errors == {} and report.finished
                found.append(report.counts)
                await self.world.come_to_rest(SHARD=f"{number}/2", **ORDERS)
        return found

    def copy(self) -> None:
        """Let the second database be a copy of the first."""
        first, second = (str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]) for url in self._urls)
        self.world.connection.close()
        self._postgres.drop_database(second)
        self._postgres.create_database(second, first)
        self.world.open(self._urls[0])

    def rows(self, statement: str) -> tuple[list[Any], list[Any]]:
        """The one column of a statement in either database."""
        found = []
        for number in (0, 1):
            with self.alone(number):
                found.append([next(iter(row.values())) for row in self.world.sql(statement)])
        return found[0], found[1]


@pytest.fixture
def halves(world: World, postgres: Postgres, template_database: str) -> Iterator[Halves]:
    """A world whose database is the first half's, and an empty one with the same mappings for the second."""
    first = world.environ["DATABASE_URL"]
    name = f"{psycopg.conninfo.conninfo_to_dict(first)['dbname']}_other"
    world.connection.close()
    second = postgres.create_database(name, str(psycopg.conninfo.conninfo_to_dict(first)["dbname"]))
    world.open(first)
    yield Halves(world, postgres, (first, second))
    world.connection.close()
    world.open(first)
    postgres.drop_database(name)


def holds(halves: Halves) -> dict[str, list[str]]:
    """Why each service of either half is off, by its subscription; the panel must say the same."""
    found = {}
    for number in (0, 1):
        with halves.alone(number):
            for row in halves.world.sql("SELECT subscription_id FROM services"):
                assert row["subscription_id"] not in found  # else both serve it
                found[row["subscription_id"]] = held(halves.world, row["subscription_id"]) or []
    return found


async def test_two_halves_end_equal_to_stripe_and_know_nothing_of_each_other(halves: Halves) -> None:
    """Told by events and found by sweeps alone: each customer is served by one half, in its database alone."""
    world = halves.world
    both = halves.customers(4)
    an_hour_ago = world.stripe.now() - 3600
    bought = [
        [world.buy(one, domain=f"site{n}{m}.example", created=an_hour_ago) for m, one in enumerate(half)]
        for n, half in enumerate(both)
    ]
    await halves.deliver()
    assert world.panel.world() == dict.fromkeys(("orgs", "logins", "members", "subscriptions", "websites"), 8)
    for unpaid, ended, disputed, moved in bought:
        world.stripe.mark_unpaid(unpaid)
        world.stripe.cancel(ended)
        world.stripe.dispute(disputed)
        world.stripe.refund(moved, 100)
        world.stripe.change_items(moved, price="price_big_monthly", invoice="paid")
    await halves.deliver(lost=True)
    await halves.sweep()

    why: tuple[list[str], ...] = (["unpaid"], ["ended"], ["dispute"], [])
    assert holds(halves) == {sub: list(w) for half in bought for sub, w in zip(half, why, strict=True)}
    assert sum(s.plan_id == world.big_plan_id for s in world.panel.subscriptions.values()) == 2
    for table in ("customers", "services", "subscriptions", "actions", "disputes", "refunds", "orders"):
        mine, yours = halves.rows(f"SELECT customer_id FROM {table}")  # noqa: S608 - the words above
        assert mine and set(mine) <= set(both[0]), table
        assert yours and set(yours) <= set(both[1]), table
    mine, yours = halves.rows("SELECT customer_id FROM events WHERE customer_id IS NOT NULL")
    assert not set(mine) & set(yours)

    calls = len(world.panel.calls)
    reads = world.stripe.count("GET", "/v1/(disputes|refunds)/.+")
    for counts in await halves.sweep():
        assert (counts["subscriptions"], counts["subscriptionsElsewhere"]) == (4, 4)
        assert counts["marked"] == counts["eventsMissed"] == 0
        assert "orphans" not in counts
    assert {call.method for call in world.panel.calls[calls:]} == {"GET"}
    assert world.stripe.count("GET", "/v1/(disputes|refunds)/.+") == reads


async def test_what_the_other_half_is_making_is_no_orphan(halves: Halves) -> None:
    """An organisation that still carries its mark is the other half's, and a sweep neither shows nor touches it."""
    world = halves.world
    (customer,) = halves.customers(1)[1]
    world.buy(customer)
    world.panel.drop_next("POST", "/customers$", when="after")
    with halves.alone(1):
        await world.sync(customer, SHARD="1/2")
    assert [f"[{customer}]" in org.name for org in world.panel.orgs.values() if org.name].count(True) == 1
    async with halves.half(0) as bridge:
        counts = (await bridge.sweep(deadline=float("inf"))).counts
    assert counts.get("orphans", 0) == 0
    await halves.sweep()
    assert world.panel.world()["orgs"] == 1


async def test_an_event_that_names_nobody_is_kept_once_it_is_known_whose_it_is(halves: Halves) -> None:
    """A dispute names no customer: both are sent it and look whose it is, and the other one remembers that alone."""
    world = halves.world
    (mine,), (yours,) = halves.customers(1)
    disputes = [world.stripe.dispute(world.buy(customer))["id"] for customer in (mine, yours)]
    await halves.deliver()
    assert halves.rows("SELECT dispute_id FROM disputes") == ([disputes[0]], [disputes[1]])
    assert halves.rows("SELECT object_id FROM elsewhere") == ([disputes[1]], [disputes[0]])
    told = halves.rows("SELECT event_id FROM events WHERE object_id LIKE 'd%%' ORDER BY event_id")
    assert told[0] == told[1] != []


async def test_money_of_the_other_half_is_learnt_by_nobody_here(halves: Halves) -> None:
    """Bills and payments that were made due before their customer was known become no order of this half."""
    world = halves.world
    (customer,) = halves.customers(1)[1]
    world.buy(customer, created=world.stripe.now() - 3600)
    (invoice,) = world.stripe.tables["invoice"]
    (intent,) = world.stripe.tables["payment_intent"]
    with halves.alone(0):
        for kind, key in (("payment", invoice), ("payment", intent), ("order", invoice)):
            world.sql("INSERT INTO due (kind, key, lane) VALUES (%s, %s, 'stripe')", kind, key)
        assert await world.come_to_rest(SHARD="0/2", **ORDERS) == []
        assert world.sql("SELECT order_id FROM orders") == []


async def test_a_person_is_told_which_half_serves_a_customer(halves: Halves) -> None:
    """Asked for a pass of somebody of the other half, nothing is done, and the answer names the half that it is."""
    (customer,) = halves.customers(1)[1]
    halves.world.buy(customer)
    async with halves.half(0) as bridge:
        with pytest.raises(Declined, match=f"{customer} is served by shard 1/2") as declined:
            await bridge.reconcile(customer)
    assert declined.value.code == "other_shard"
    with halves.alone(0):
        halves.world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
        assert await halves.world.come_to_rest(SHARD="0/2") == []
    assert halves.world.panel.calls == []


@pytest.mark.parametrize("wrong", ["1/2", "0/4", ""])
async def test_a_database_is_served_as_its_own_half_alone(halves: Halves, wrong: str) -> None:
    """With another SHARD than the database's nothing runs on it: customers would be served twice, or be missed."""
    async with halves.half(0) as bridge:
        await bridge.ensure_schema(migrates=False)
    with halves.alone(0):
        async with halves.world.bridge(SHARD=wrong) as bridge:
            for verb in (bridge.drain(deadline=0.0), bridge.sweep(deadline=0.0), bridge.reconcile("cus_x")):
                with pytest.raises(DatabaseUnfit, match="this database is shard 0/2"):
                    await verb


async def test_a_database_with_everybody_in_it_becomes_no_half(halves: Halves) -> None:
    """SHARD set where customers of other shards are served is refused, with what is to be done first."""
    world = halves.world
    (customer,) = halves.customers(1)[1]
    world.buy(customer)
    with halves.alone(0):
        await world.sync(customer)
        with pytest.raises(DatabaseUnfit, match=r"\./scripts/split --to 0/2"):
            await world.drain(SHARD="0/2")


@pytest.mark.parametrize("count", [2, 4, 64])
def test_the_database_and_this_code_say_the_same_shard(world: World, count: int) -> None:
    """Every customer is of exactly one shard, and its halves are those of twice as many."""
    ids = [f"cus_{n}" for n in range(200)] + ["", "cus_ä\U0001f600"]
    theirs = world.sql("SELECT id, shard_of(id, %s) AS shard FROM unnest(%s::text[]) AS id", count, ids)
    assert {row["id"]: row["shard"] for row in theirs} == {i: shard_of(i, count) for i in ids}
    assert [sum(Shard(n, count).holds(i) for n in range(count)) for i in ids] == [1] * len(ids)
    assert all(shard_of(i, 2 * count) in (shard_of(i, count), shard_of(i, count) + count) for i in ids)


# --- from one to two --------------------------------------------------------------------------------------------------

WHOLE = {**ORDERS, **outlet("http://127.0.0.1:9/hook")}
"""As before the split: with outgoing events, whose receiver is away."""

IN_BOTH = ("due", *splitting.OF_ALL)


def contents(world: World) -> dict[str, list[str]]:
    """Every row of the tables that are split."""
    found = {}
    for table in splitting.TABLES - set(IN_BOTH):
        rows = world.sql(f"SELECT t::text AS row FROM {table} AS t ORDER BY 1")  # noqa: S608 - names of ours
        found[table] = [row["row"] for row in rows]
    return found


async def test_a_database_is_split_in_two_and_goes_on(halves: Halves, postgres: Postgres) -> None:
    """Each row is in one of the two copies and none is lost; then each half sweeps, and finds nothing to do."""
    world = halves.world
    both = halves.customers(2)
    an_hour_ago = world.stripe.now() - 3600
    bought = [
        world.buy(customer, domain=f"site{n}.example", created=an_hour_ago)
        for n, customer in enumerate(both[0] + both[1])
    ]
    sell(world)
    await came(world, await order(world, domain="bank.example"), 5)
    async with world.bridge(**WHOLE) as bridge:
        await bridge.sweep(deadline=float("inf"))
        await bridge.drain(deadline=float("inf"))
        for subscription in bought:
            world.stripe.refund(subscription, 100)
        world.stripe.dispute(bought[0])
        world.stripe.dispute(bought[-1])
        await bridge.sweep(deadline=float("inf"))
        await bridge.drain(deadline=float("inf"))
    before = contents(world)
    assert {"customers", "services", "actions", "events", "orders", "payments", "refunds", "disputes", "collections",
            "order_steps", "outbox", "outbox_streams"} <= {table for table, rows in before.items() if rows}  # fmt: skip

    halves.copy()
    after = []
    for number in (0, 1):
        with halves.alone(number):
            await split(halves.world, Shard(number, 2))
            after.append(contents(world))
            assert world.sql("SELECT name FROM tallies_lack()") == []
    for table, rows in before.items():
        assert sorted(after[0][table] + after[1][table]) == rows, table
    customers = halves.rows("SELECT customer_id FROM customers WHERE provider = 'stripe' ORDER BY 1")
    assert customers == (sorted(both[0]), sorted(both[1]))

    calls = len(world.panel.calls)
    for counts in await halves.sweep():
        assert counts.get("billingDiffers", 0) == counts.get("panelDiffers", 0) == 0
    assert [counts["eventsMissed"] for counts in await halves.sweep()] == [0, 0]
    assert {call.method for call in world.panel.calls[calls:]} == {"GET"}


async def split(world: World, to: Shard) -> None:
    """Make the database at which a world looks one shard's."""
    db = Database(Secret(world.environ["DATABASE_URL"]))
    try:
        await splitting.split(db, to)
    finally:
        await db.close()


async def test_the_script_shows_before_it_deletes(
    halves: Halves, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A preview changes nothing and says how many go; with --yes they are gone, and it says what to set."""
    world = halves.world
    for half in halves.customers(1):
        world.buy(half[0], domain=f"{half[0][-4:]}.example")
        await world.sync(half[0])
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    assert await split_by_script(Shard(0, 2), really=False) == 0
    assert "1 customers stay, 1 go" in capsys.readouterr().out
    assert len(world.sql("SELECT customer_id FROM customers")) == 2
    assert await split_by_script(Shard(0, 2), really=True) == 0
    assert "Set SHARD=0/2" in capsys.readouterr().out
    assert len(world.sql("SELECT customer_id FROM customers")) == 1
    assert await split_by_script(Shard(1, 2), really=True) == 1
    assert "it becomes 0/4 and 2/4" in capsys.readouterr().err


async def test_a_half_is_split_into_its_own_quarters(world: World) -> None:
    """A shard becomes one of its two halves and no other's."""
    await split(world, Shard(1, 2))
    for other in (Shard(0, 4), Shard(2, 4), Shard(0, 2)):
        with pytest.raises(Declined, match="it becomes 1/4 and 3/4"):
            await split(world, other)
    await split(world, Shard(3, 4))
    assert await world.drain(SHARD="3/4") is not None


async def test_nothing_is_split_while_a_buyer_is_on_our_page(world: World) -> None:
    """Whose shard a buyer is shows only when they have paid; until then the split is refused, and says so."""
    async with open_shop(world) as client:
        assert (await client.post("/api/checkout", json=WISH)).status_code == 200
    with pytest.raises(Declined, match="switch public checkout off") as declined:
        await split(world, Shard(0, 2))
    assert declined.value.code == "orders_open"
    assert world.sql("SELECT number FROM shard") == []


def test_every_table_is_split_or_said_why_not(world: World) -> None:
    """A new table is named in `splitting`, or a copy would keep or lose what is in it without anybody's decision."""
    rows = world.sql("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    assert {row["name"] for row in rows} == splitting.TABLES


def test_selling_on_our_own_page_does_not_go_with_shards() -> None:
    """Both settings at once are refused at start, with the reason."""
    environ = {"SHARD": "0/2", "CHECKOUT_SUCCESS_URL": "https://a.example", "CHECKOUT_CANCEL_URL": "https://a.example"}
    with pytest.raises(SettingsError, match="sell by Payment Links"):
        Settings.load(environ)


@pytest.mark.parametrize("typed", ["2/2", "0/3", "0/1", "1", "-1/2", "0/128"])
def test_a_shard_is_typed_as_one_of_a_power_of_two(typed: str) -> None:
    """Anything else is refused, with how it is written."""
    with pytest.raises(SettingsError, match=r"SHARD must be a number from 0, a slash"):
        Settings.load({"SHARD": typed})
