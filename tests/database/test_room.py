"""Rows that are written again and again enter no index, and what is dead of them is room for the next."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from lib.config import Secret
from lib.database import Database, due, events, leases
from lib.kinds import nudge
from lib.model import ReceivedEvent, Settlement
from tests.tools import until_alone

CUSTOMERS = 20
ROUNDS = 100


def told(number: int, customer: int) -> ReceivedEvent:
    """An event about one of them."""
    whom = f"cus_{customer}"
    about = (("customer", whom),)
    return ReceivedEvent(f"evt_{number}", "invoice.paid", "{}", "accepted", about, object_id="in_1", customer_id=whom)


def writes(url: str, table: str) -> dict[str, Any]:
    """What was written into a table so far, and how large it is; once everybody's counts are told."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        until_alone(connection)
        cursor = connection.execute(
            """
            SELECT n_tup_upd AS updated, n_tup_upd - n_tup_hot_upd AS moved, n_tup_del AS deleted,
                pg_relation_size(relid) / 8192 AS pages, pg_indexes_size(relid) / 8192 AS index_pages
            FROM pg_stat_user_tables WHERE relname = %s
            """,
            (table,),
        )
        row = cursor.fetchone()
        assert row is not None
        return row


async def accept(url: str, numbers: range) -> None:
    """Take in so many events, one at a time, in a process that tells its counts by ending."""
    db = Database(Secret(url))
    for number in numbers:
        assert await events.accept(db, [told(number, number % CUSTOMERS)], nudge)
    await db.close()


async def test_a_repeated_nudge_enters_no_index_and_takes_no_room(database_url: str) -> None:
    """However many events come in for those who are due already: no index grows, and the table stays a few pages."""
    await accept(database_url, range(CUSTOMERS))
    before = writes(database_url, "due")
    await accept(database_url, range(CUSTOMERS, CUSTOMERS * (ROUNDS + 1)))
    after = writes(database_url, "due")
    assert (after["updated"] - before["updated"], after["moved"]) == (CUSTOMERS * ROUNDS, 0)
    assert after["pages"] <= 3
    assert after["index_pages"] == before["index_pages"]


async def test_a_pass_moves_its_row_once(database_url: str) -> None:
    """A claim enters the indexes of leases; nudges meanwhile and the end of the pass enter none."""
    await accept(database_url, range(CUSTOMERS))
    db = Database(Secret(database_url))
    claims = await due.claim(db, concurrency=CUSTOMERS, limit=CUSTOMERS)
    assert len(claims) == CUSTOMERS
    await db.close()
    assert writes(database_url, "due")["moved"] == CUSTOMERS
    await accept(database_url, range(CUSTOMERS, CUSTOMERS * 2))
    assert writes(database_url, "due")["moved"] == CUSTOMERS
    db = Database(Secret(database_url))
    for claim in claims:
        assert await due.settle(db, claim, Settlement())  # is due again: somebody has nudged it
    for claim in await due.claim(db, concurrency=CUSTOMERS, limit=CUSTOMERS):
        assert await due.settle(db, claim, Settlement())
    await db.close()
    written = writes(database_url, "due")
    assert written["deleted"] == CUSTOMERS
    assert written["moved"] == 3 * CUSTOMERS  # claimed, ended for the nudge's sake, claimed


async def test_a_lease_that_is_taken_again_and_again_stays_where_it_is(database_url: str) -> None:
    """The sweep's lease is prolonged at each page: one row on one page, in no index anew."""
    db = Database(Secret(database_url))
    for _ in range(ROUNDS):
        assert await leases.take(db, "sweep", "00000000-0000-4000-8000-000000000001", leases.LEASE)
    await db.close()
    written = writes(database_url, "leases")
    assert (written["updated"], written["moved"], written["pages"]) == (ROUNDS - 1, 0, 1)


@pytest.mark.parametrize(
    "table", ["customers", "services", "subscriptions", "orders", "payments", "due", "events", "actions"]
)
async def test_no_table_waits_for_a_fifth_of_itself(database_url: str, table: str) -> None:
    """Where a table grows for years, a vacuum comes by what has changed, and the planner hears of it as soon."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        cursor = await connection.execute("SELECT reloptions FROM pg_class WHERE relname = %s", (table,))
        row = await cursor.fetchone()
    assert row is not None
    options = dict(option.split("=") for option in row[0])
    assert float(options["autovacuum_vacuum_scale_factor"]) <= 0.05
    assert float(options["autovacuum_analyze_scale_factor"]) <= 0.05
