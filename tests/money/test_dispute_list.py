"""Disputes as a list: the next one due first, also those of no order that is kept, each with what to do."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from lib.policy.disputes import ANSWER, OVER, next_step
from tests.money.shop import ON, Shop
from tests.world import ADMIN_KEY, World

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
ROUTE = "/api/admin/orders"
NOW = datetime(2026, 1, 10, tzinfo=UTC)


def dispute(world: World, name: str, status: str = "needs_response", due: str = "NULL", **columns: str) -> None:
    """A dispute that Stripe told of, which is about nobody we know unless the columns say so."""
    names = "".join(f", {column}" for column in columns)
    values = "".join(f", {value}" for value in columns.values())
    world.sql(
        "INSERT INTO disputes (dispute_id, charge_id, status, amount, currency, created_at, due_by"  # noqa: S608
        f"{names}) VALUES ('{name}', 'ch_{name}', '{status}', 1900, 'eur', now(), {due}{values})"
    )


async def test_the_open_ones_come_by_their_dates_page_by_page(world: World) -> None:
    """The next due is the first, what has no date the last, and what is over is in a list of its own."""
    dispute(world, "dp_later", due="now() + interval '9 days'")
    dispute(world, "dp_never", "under_review")
    dispute(world, "dp_next", due="now() + interval '1 day'")
    dispute(world, "dp_missed", due="now() - interval '1 day'")
    dispute(world, "dp_won", "won", due="now() - interval '2 days'", closed_at="now()")
    async with world.functions() as client:
        names, cursor = [], None
        while True:
            query = {"view": "disputes", "limit": "1", **({"cursor": cursor} if cursor else {})}
            answer = (await client.get(ROUTE, params=query, headers=BEARER)).json()
            names += [row["id"] for row in answer["data"]]
            if (cursor := answer["nextCursor"]) is None:
                break
        over = (await client.get(ROUTE, params={"view": "disputes", "over": "true"}, headers=BEARER)).json()
        told = (await client.get("/api/admin/dashboard", headers=BEARER)).json()
    assert names == ["dp_missed", "dp_next", "dp_later", "dp_never"]
    assert [(row["id"], row["remedy"]) for row in over["data"]] == [("dp_won", None)]
    assert (told["orders"]["openDisputes"], told["orders"]["disputed"]) == (4, 0)
    (need,) = [one for one in told["verdict"]["needs"] if one["what"] == "disputes"]
    assert (need["count"], need["says"]) == (3, "3 disputes to answer")


async def test_it_names_whom_and_what_it_is_about_as_far_as_that_is_known(world: World) -> None:
    """A dispute of an order leads to it and to its buyer; one of no order is there, too, and says what to do."""
    shop = Shop(world)
    _, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    known = shop.stripe.dispute(shop.payments()[0]["charge_id"])
    await shop.hear()
    stranger = world.customer("Bo Example", "bo@example.com")
    world.sql("INSERT INTO customers (customer_id, email) VALUES (%s, 'bo@example.com')", stranger)
    dispute(world, "dp_theirs", due="now() + interval '90 days'", customer_id=f"'{stranger}'")
    dispute(world, "dp_nobodys", due="now() + interval '91 days'")
    async with world.functions(**ON) as client:
        answer = await client.get(ROUTE, params={"view": "disputes"}, headers=BEARER)
        of_one = await client.get(ROUTE, params={"view": "disputes", "customer": stranger}, headers=BEARER)
        as_csv = await client.get(ROUTE, params={"view": "disputes"}, headers={**BEARER, "Accept": "text/csv"})
        pack = await client.get(ROUTE, params={"dispute": "dp_nobodys", "format": "text"}, headers=BEARER)
    first, second, third = answer.json()["data"]
    order = shop.order()
    assert (first["id"], first["orderId"], first["email"]) == (known["id"], str(order["order_id"]), "ada@example.com")
    assert (first["amount"], first["currency"], first["exponent"]) == (1900, "eur", 2)
    assert "no order" not in first["remedy"]
    assert (second["orderId"], second["email"]) == (None, "bo@example.com")
    assert "belongs to no order" in second["remedy"] and "by hand" not in second["remedy"]
    assert (third["orderId"], third["customerId"]) == (None, None)
    assert "belongs to no order" in third["remedy"] and "hold that customer by hand" in third["remedy"]
    assert [row["id"] for row in of_one.json()["data"]] == ["dp_theirs"]
    assert [row["id"] for row in csv.DictReader(io.StringIO(as_csv.text))] == [known["id"], "dp_theirs", "dp_nobodys"]
    assert "dp_nobodys" in pack.text and "charge ch_dp_nobodys" in pack.text


@pytest.mark.parametrize(
    ("query", "field"),
    [({"view": "disputes", "notLive": "true"}, "notLive"), ({"view": "disputes", "from": "-7d"}, "from"),
     ({"over": "true"}, "over"), ({"view": "disputes", "cursor": "x"}, "cursor")],
)  # fmt: skip
async def test_a_filter_that_disputes_do_not_have_is_refused(world: World, query: dict[str, str], field: str) -> None:
    """It is named, rather than left out without a word."""
    async with world.functions() as client:
        answer = await client.get(ROUTE, params=query, headers=BEARER)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("status", [*ANSWER, *OVER, "under_review", "warning_under_review", "of_tomorrow"])
@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_every_open_dispute_says_what_to_do(status: str, late: bool, known: bool) -> None:
    """Whatever Stripe calls it, an open one has a remedy; nobody is sent to answer what takes no answer any more."""
    due = NOW + timedelta(days=-1 if late else 1)
    told = next_step(status, due, NOW, order_kept=known, customer_known=known)
    assert (told is None) == (status in OVER)
    if told is not None:
        assert ("Answer it" in told) == (status in ANSWER and not late)
        assert ("belongs to no order" in told) != known
