"""Names and times in every answer."""

from datetime import datetime, timedelta
from typing import Any

from lib.operators.customers import TIMELINE
from lib.web.page import pack_cursor
from tests.admin.hand import ADMIN, _ahead, done, fields_of
from tests.world import World


async def test_answers_are_camel_case_and_in_utc(world: World) -> None:
    """Every field of an answer is camelCase and every time is in UTC, also where the database's clock is elsewhere."""
    name = world.environ["DATABASE_URL"].rpartition("/")[2]
    world.sql(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    customer = world.customer()
    subscription = world.buy(customer)
    answers = []
    async with world.functions() as client:
        answers.append(await done(client, "retry", customerId=customer))
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        answers.append(await done(client, "retry", customerId=customer))
        year = _ahead(days=3000).year
        until = f"{year}-05-01T12:00:00+09:00"
        answers.append(await done(client, "grace", subscriptionId=subscription, until=until))
    for answer in answers:
        for field, value in fields_of(answer):
            assert "_" not in field, field
            if isinstance(value, str) and field.endswith(("At", "Until", "at")):
                assert datetime.fromisoformat(value).utcoffset() == timedelta(), (field, value)
    assert answers[-1]["services"][0]["graceUntil"] == f"{year}-05-01T03:00:00+00:00"


LISTS: tuple[tuple[Any, ...], ...] = (
    ("work", {"view": "upcoming"}, "upcoming", "sub_1", 1, "grace"),
    ("orders", {}, "orders", "00000000-0000-4000-8000-000000000000"),
    (
        "orders",
        {"view": "reconciliation", "provider": "bank_transfer"},
        "orders",
        "00000000-0000-4000-8000-000000000000",
    ),
    ("orders", {"view": "disputes"}, "disputes", "dp_1"),
    ("orders", {"view": "disputes", "over": "true"}, "disputes over", "dp_1"),
    ("events", {}, "events", "evt_1"),
    ("events", {"direction": "out"}, "outgoing", 1),
    ("events", {"direction": "ledger"}, "ledger", 1),
    ("customers", {}, "customers.newest", "stripe", "cus_1"),
    ("customers", {"id": "cus_1"}, TIMELINE, "event", "evt_1"),
)
"""Route, parameters, the name of the list, and what stands behind the time in its cursor."""


async def test_no_list_asks_the_database_for_a_cursor_that_it_can_not_read(world: World) -> None:
    """A cursor that was cut or made up is 422 in each list in the order of time, and one that was not is taken."""
    world.sql("INSERT INTO customers (customer_id) VALUES ('cus_1')")
    async with world.functions() as client:
        for route, parameters, of, *behind in LISTS:
            for at, status in (("2026-11-28 12:00:00.5+00", 200), ("2026-11-28T12:00:00Z", 200), ("x", 422)):
                cursor = pack_cursor(of, [at, *behind])
                answer = await client.get(f"/api/admin/{route}", params={**parameters, "cursor": cursor}, headers=ADMIN)
                assert (answer.status_code, of) == (status, of), answer.text
        cursor = pack_cursor("orders", ["2026-11-28T12:00:00Z", "no-uuid"])
        assert (await client.get("/api/admin/orders", params={"cursor": cursor}, headers=ADMIN)).status_code == 422
