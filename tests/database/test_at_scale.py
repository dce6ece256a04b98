"""With 100,000 customers and 1,000,000 rows of the ledger each screen's first answer comes from ranges of indexes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from bench.lists import SCREENS, WHOLE, ask, asked, behind
from bench.many import BIG, CUSTOMERS, fill
from scripts._functions import functions_app
from scripts._postgres import Postgres
from tests.world import ADMIN_KEY, World, make_world

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}

ROWS = 5_000
"""More than one part of a first answer reads, sorts or hands on; a fiftieth of what any of these tables holds."""

PAGES = 20_000
"""More than a first answer touches of the database's pages, all of its parts together."""


@pytest.fixture(scope="module")
def big(postgres: Postgres, template_database: str) -> Iterator[World]:
    """A world with many in it, for all tests of this module; they write nothing."""
    url = postgres.create_database("at_scale", template_database)
    with make_world(url) as world:
        fill(url)
        yield world
    postgres.drop_database("at_scale")


Sent = tuple[str, Mapping[str, Any] | Sequence[Any] | None]


@contextmanager
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sent]]:
    """Every statement that is sent meanwhile, with its parameters."""
    sent: list[Sent] = []
    execute, mogrify = psycopg.AsyncConnection.execute, psycopg.AsyncClientCursor.mogrify

    async def listened(self: Any, query: Any, params: Any = None, **more: Any) -> Any:
        sent.append((query, params))
        return await execute(self, query, params, **more)

    def joined(self: Any, query: Any, params: Any = None) -> str:
        sent.append((mogrify(self, query, params), None))  # goes as one text with others
        return sent[-1][0]

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "execute", listened)
        patched.setattr(psycopg.AsyncClientCursor, "mogrify", joined)
        yield sent


def plan(world: World, statement: str, parameters: Any) -> dict[str, Any]:
    """How the database does it: what it really read of each part. What it wrote is undone."""
    with world.connection.transaction(force_rollback=True):
        cursor = world.connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
        (row,) = cursor.fetchall()
    found: dict[str, Any] = row["QUERY PLAN"][0]["Plan"]
    return found


def parts(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's parts, the whole first."""
    yield node
    for below in node.get("Plans", []):
        yield from parts(below)


def too_much(whole: dict[str, Any]) -> Iterator[str]:
    """What of a plan grows with the number of customers."""
    if (pages := whole["Shared Hit Blocks"] + whole["Shared Read Blocks"]) > PAGES:
        yield f"{pages} pages"
    for part in parts(whole):
        kind, table = part["Node Type"], part.get("Relation Name") or part.get("Index Name") or ""
        thrown = part.get("Rows Removed by Filter", 0) + part.get("Rows Removed by Index Recheck", 0)
        rows = (part["Actual Rows"] + thrown) * part["Actual Loops"]
        if kind == "Seq Scan" and table in BIG:
            yield f"goes through {table}"
        if rows > ROWS:
            yield f"{kind} {table} of {rows:.0f} rows"


PLANNED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_first_answer_is_a_range_of_an_index(big: World, monkeypatch: pytest.MonkeyPatch, screen: str) -> None:
    """No statement of any of them goes through a table, sorts much, or reads more than a page and what is wrong."""
    wrong: dict[str, list[str]] = {}
    wanted = [asked(address) for address in SCREENS[screen]]
    wanted += [asked(address, csv=True) for address in WHOLE if address in SCREENS[screen]]
    pages = read = 0
    async with big.functions(ORDERS="on"):
        app = functions_app()
        while wanted:
            one = wanted.pop(0)
            with listening(monkeypatch) as sent:
                answer = await ask(app, one, None if one.name == "/api/health" else ADMIN_KEY)
            assert answer.status == 200, (one, answer.body)
            pages += 1
            if ", next page" not in one.name and one.path.startswith("/api/admin") and (after := behind(one, answer)):
                wanted.append(after)
            for statement, parameters in sent:
                if not statement.lstrip().startswith(PLANNED):
                    continue
                read += 1
                if found := list(too_much(plan(big, statement, parameters))):
                    wrong.setdefault(one.name, []).append(f"{' '.join(statement.split())[:90]}: {', '.join(found)}")
    assert read >= pages > len(SCREENS[screen]) - 1
    assert wrong == {}, json.dumps(wrong, indent=1)


async def test_what_it_shows_is_what_is_there(big: World) -> None:
    """The numbers that are kept are those that counting finds, at any size."""
    async with big.functions() as client:
        shown = (await client.get("/api/admin/dashboard", headers=BEARER)).json()
        plans = (await client.get("/api/admin/plans", headers=BEARER)).json()["data"]
    states = big.sql("SELECT state, count(*) AS n FROM services GROUP BY 1")
    assert {state: n for state, n in shown["services"].items() if n} == {row["state"]: row["n"] for row in states}
    (due,) = big.sql("SELECT count(*) AS n FROM due WHERE parked_reason IS NULL AND due_at <= now()")
    assert (shown["customers"], shown["queue"]["due"]) == (CUSTOMERS, due["n"])
    waiting = big.sql("SELECT count(*) AS n FROM due WHERE parked_reason IS NULL AND due_at > now()")
    assert sum(shown["queue"]["waiting"].values()) == waiting[0]["n"]
    (day,) = big.sql("SELECT count(*) AS n FROM events WHERE received_at > now() - interval '1 day'")
    assert abs(shown["events"]["lastDay"] - day["n"]) <= 2, "a second or two later"
    live = big.sql("SELECT price_id, count(*) AS n FROM services WHERE state <> 'terminated' GROUP BY 1")
    assert {row["billingPlanId"]: row["services"] for row in plans} == {row["price_id"]: row["n"] for row in live}


TROUBLE = """
    ALTER TABLE orders DISABLE TRIGGER USER;
    INSERT INTO customers (customer_id, org_suspended)
    SELECT 'cus_' || n, true FROM generate_series(%(since)s, %(until)s) n;
    INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, state, panel_subscription_id,
        website_gone, panel_suspended, waits_for)
    SELECT 'cus_' || n, 'sub_' || n, 1, 'si_' || n, 'price_basic_monthly', 'live', n, n %% 2 = 0, true,
        CASE WHEN n %% 2 = 1 THEN 'domain_differs' END
    FROM generate_series(%(since)s, %(until)s) n;
    INSERT INTO due (kind, key, due_at, parked_reason, parked_at, problems)
    SELECT 'customer', 'cus_' || n, NULL, reason, now(),
        jsonb_build_array(jsonb_build_object('reason', reason, 'detail', 'why', 'subject', NULL))
    FROM generate_series(%(since)s, %(until)s) n,
        LATERAL (SELECT CASE WHEN n %% 3 = 0 THEN 'no_email' ELSE 'unmapped_price' END) AS r (reason);
    INSERT INTO orders (order_id, provider, origin, state, billing_plan_id, email, currency, amount, reference, line_id,
        created_at, paid_at, disputed, paid_late, collected)
    SELECT md5(provider || n)::uuid, provider, 'admin', 'paid', 'price_basic_monthly', 'a@example.com', 'eur', 1900,
        CASE WHEN provider <> 'stripe' THEN 'REF ' || n END,
        CASE WHEN provider <> 'stripe' THEN md5(provider || n)::uuid END,
        now(), now() - interval '30 days', true, true, CASE WHEN provider <> 'stripe' THEN 2000 ELSE 0 END
    FROM generate_series(%(since)s, %(until)s) n, unnest(ARRAY['stripe', 'bank_transfer']) AS provider;
    INSERT INTO disputes (dispute_id, status, amount, currency, created_at, due_by)
    SELECT 'dp_' || n, 'needs_response', 100, 'eur', now(), now() + interval '5 days'
    FROM generate_series(%(since)s, %(until)s) n;
    INSERT INTO notices (provider, customer_id, kind, about, subscription_id, slot, status, ended_at)
    SELECT 'stripe', 'cus_' || n, 'suspended', 'sub_' || n, 'sub_' || n, 1, 'refused', now() - interval '30 days'
    FROM generate_series(%(since)s, %(until)s) n;
    INSERT INTO shadow_plans (customer_id, actions)
    SELECT 'cus_' || n, '[{"kind": "suspend"}]' FROM generate_series(%(since)s, %(until)s) n;
    INSERT INTO outbox_endpoints (endpoint, url) VALUES ('one', 'https://one.example/in') ON CONFLICT DO NOTHING;
    INSERT INTO outbox_streams (endpoint, customer, sequence)
    SELECT 'one', 'cus_' || n, 1 FROM generate_series(%(since)s, %(until)s) n;
    INSERT INTO outbox (endpoint, customer, sequence, event_id, type, body)
    SELECT 'one', 'cus_' || n, 1, 'out_' || n, 'order.paid', '{}' FROM generate_series(%(since)s, %(until)s) n;
    ALTER TABLE orders ENABLE TRIGGER USER;
    INSERT INTO tallies SELECT * FROM tallies_lack();
"""
"""Everything that can be wrong with somebody but is not due, with each of these customers."""


ANSWERS = ("dashboard", "/api/health?detailed", "/api/health?format=prometheus")
"""What tells how many there are of it."""


def rows_read(node: dict[str, Any]) -> float:
    """How many rows the parts of a plan took from a table or an index, those that were thrown away included."""
    return sum(
        float((part["Actual Rows"] + part.get("Rows Removed by Filter", 0)) * part["Actual Loops"])
        for part in parts(node)
        if "Relation Name" in part or "Index Name" in part
    )


async def test_what_is_wrong_is_not_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many in trouble: what an operator or a monitor is told says so, and of hardly more rows is read."""
    read: dict[str, list[float]] = {}
    told: dict[str, set[bytes]] = {}
    for since, until in ((1, 600), (601, 6_000)):
        with psycopg.ClientCursor(world.connection) as cursor:
            cursor.execute(TROUBLE, {"since": since, "until": until})
        outbox = {"OUTBOX_URL": "https://one.example/in", "OUTBOX_SECRET": "whsec_" + "QUFB" * 8}
        async with world.functions(ORDERS="on", **outbox) as client:
            for _ in range(2):
                await client.get("/api/admin/dashboard", headers=BEARER)  # folds what is kept
            world.sql("VACUUM ANALYZE")
            app = functions_app()
            for asked_for in ANSWERS:
                with listening(monkeypatch) as sent:
                    answer = await ask(app, asked(asked_for), ADMIN_KEY)
                assert answer.status == 200, answer.body
                plans = [plan(world, *each) for each in sent if each[0].lstrip().startswith(PLANNED)]
                read.setdefault(asked_for, []).append(sum(map(rows_read, plans)))
                told.setdefault(asked_for, set()).add(answer.body)
    assert all(len(told[asked_for]) == 2 for asked_for in ANSWERS)
    assert {asked_for: each for asked_for, each in read.items() if each[1] > each[0] + 100} == {}
