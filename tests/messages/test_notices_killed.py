"""Processes that die at each of their statements: who is told, is told once."""

from collections import Counter
from pathlib import Path

import pytest

from tests.killed import lives
from tests.messages.postoffice import PostOffice, certificate, mail, open_office
from tests.world import World

DAY = 86400


async def test_a_fact_that_is_killed_at_any_statement_is_written_once(world: World) -> None:
    """The pass that finds a debt: its mail is there once, together with what is remembered of the debt."""
    environ = mail("smtps://127.0.0.1:9")
    for statements in range(100):
        customer = world.customer()
        bought = world.buy(customer, domain=f"shop{statements}.example")
        await world.sync(customer)
        world.stripe.fail_payment(bought, world.stripe.now() - DAY)
        lived = await lives(statements, lambda customer=customer: world.sync(customer, **environ))  # type: ignore[misc]
        remembered = world.service(bought)["grace_until"] is not None
        written = world.sql("SELECT kind FROM notices WHERE subscription_id = %s ORDER BY kind", bought)
        assert bool(written) is remembered, statements
        world.hurry()
        await world.sync(customer, **environ)
        written = world.sql("SELECT kind FROM notices WHERE subscription_id = %s ORDER BY kind", bought)
        assert [row["kind"] for row in written] == ["payment_failed", "suspension_soon"], statements
        due = world.sql("SELECT 1 FROM notices JOIN due ON key = notice_id::text WHERE subscription_id = %s", bought)
        assert len(due) == 2, "each is due, in the same transaction"
        if lived:
            break
    assert 3 < statements < 100


async def test_sending_that_is_killed_at_any_statement_is_taken_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mail; two of one id where the process died between the text and writing down its answer; never more."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    customer = world.customer()
    bought = world.buy(customer)
    await world.sync(customer)
    world.sql("DELETE FROM due")
    with open_office(office := PostOffice(), pem) as url:
        for statements in range(100):
            world.sql(
                "WITH one AS (INSERT INTO notices (provider, customer_id, kind, about, subscription_id, slot)"
                " VALUES ('stripe', %s, 'running_again', %s, %s, 1) RETURNING notice_id)"
                " INSERT INTO due (kind, key, lane) SELECT 'notice', notice_id, 'out' FROM one",
                customer, f"{bought}:{statements}", bought,
            )  # fmt: skip
            lived = await lives(statements, lambda: world.drain(**mail(url)))
            for _ in range(3):
                world.sql("UPDATE notices SET send_at = send_at - interval '16 minutes'")
                world.hurry()
                await world.drain(**mail(url))
            assert {row["status"] for row in world.sql("SELECT status FROM notices")} == {"sent"}, statements
            assert world.due() == []
            if lived:
                break
    copies = Counter(str(one["Message-ID"]) for one in office.taken)
    assert len(copies) == statements + 1
    assert set(copies.values()) == {1, 2}
    assert list(copies.values()).count(2) == 1, "only where it can't be known"
