"""Leases: what may be written under one, when, and what work outside of a pass leaves behind. Pooled or not."""

import asyncio

import pytest

from lib.database import Database, due, leases
from lib.errors import Declined, LeaseLost
from tests.database.test_queue import ADA, address, claim_one, db

__all__ = ["address", "db"]

EXPIRE = "UPDATE due SET leased_until = clock_timestamp() - interval '1 second'"


async def waiting(db: Database) -> list[tuple[str, int, bool]]:
    """Every row of the queue: its key, its generation and whether somebody has a lease of it."""
    rows = await db.rows("SELECT key, generation, lease_id IS NOT NULL AS leased FROM due ORDER BY key")
    return [(row["key"], row["generation"], row["leased"]) for row in rows]


async def fail_half_way(db: Database) -> None:
    """Work on somebody new that ends with an error."""
    async with leases.alone(db, "customer", "cus_bob") as alone:
        await alone.connection.execute("UPDATE due SET generation = 9")
        raise ValueError("half")


async def test_what_was_learnt_may_be_written_until_somebody_else_has_the_row(db: Database) -> None:
    """A lease that only ran out still lets its holder remember; one that was taken over lets nothing through."""
    await due.mark(db, [ADA])
    claim = await claim_one(db)
    await db.rows(EXPIRE)
    async with leases.holding(db, claim.lease_id) as connection:
        await connection.execute("UPDATE due SET waits_for = 'learnt'")
    assert [row["waits_for"] for row in await db.rows("SELECT waits_for FROM due")] == ["learnt"]
    await claim_one(db)
    with pytest.raises(LeaseLost):
        async with leases.holding(db, claim.lease_id) as connection:
            await connection.execute("UPDATE due SET waits_for = 'overtaken'")
    assert [row["waits_for"] for row in await db.rows("SELECT waits_for FROM due")] == ["learnt"]
    await db.close()


async def test_work_outside_of_a_pass_leaves_the_queue_as_it_was(db: Database) -> None:
    """A row that was not there is gone again, one that was there stays, and a nudge inside is not lost."""
    async with leases.alone(db, ADA.kind, ADA.key):
        pass
    assert await waiting(db) == []
    async with leases.alone(db, ADA.kind, ADA.key) as alone:
        await alone.connection.execute(f"INSERT INTO due (kind, key) VALUES ('customer', 'cus_ada') {due.NUDGE}")  # noqa: S608
    assert await waiting(db) == [("cus_ada", 2, False)]
    async with leases.alone(db, ADA.kind, ADA.key):
        pass
    assert await waiting(db) == [("cus_ada", 2, False)]
    with pytest.raises(ValueError, match="half"):
        await fail_half_way(db)
    assert await waiting(db) == [("cus_ada", 2, False)]
    await db.close()


async def test_work_outside_of_a_pass_and_a_pass_exclude_each_other(db: Database) -> None:
    """Neither waits: the work is declined, and the pass is claimed afterwards; a dead one is in nobody's way."""
    await due.mark(db, [ADA])
    async with leases.alone(db, ADA.kind, ADA.key):
        assert await asyncio.wait_for(due.claim(db, concurrency=4), 5) == []
    claim = await claim_one(db)
    with pytest.raises(Declined, match="run this again"):
        async with leases.alone(db, ADA.kind, ADA.key):
            raise AssertionError("two at a time")
    await db.rows(EXPIRE)
    async with leases.alone(db, ADA.kind, ADA.key):
        pass
    with pytest.raises(LeaseLost):
        async with leases.holding(db, claim.lease_id):
            raise AssertionError("overtaken")
    await db.close()
