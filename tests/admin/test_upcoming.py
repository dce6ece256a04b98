"""`GET /api/admin/work?view=upcoming`: who is suspended or deleted next, as a list, as CSV and as a calendar."""

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from lib.config import Settings
from lib.model import Service, ServiceKey, ServiceState
from lib.operators.calendar import LINE, _folded, _text
from lib.policy.coming import coming
from tests.admin.hand import ADMIN, DAY, WORK, done
from tests.world import World

WINDOW = "Tue 09:00-10:00 Europe/Berlin"
QUERY = {"view": "upcoming", "days": "60"}


async def upcoming(client: httpx.AsyncClient, **query: Any) -> Any:
    """A page of it."""
    answer = await client.get(WORK, params={**QUERY, **query}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def some(world: World, client: httpx.AsyncClient) -> tuple[str, str]:
    """Somebody in their grace, and somebody whose hosting has ended; their subscriptions."""
    names = []
    for name in ("grace", "ended"):
        customer = world.customer(name, f"{name}@example.com")
        names.append(world.buy(customer, domain=f"{name}.example"))
        await done(client, "retry", customerId=customer)
        if name == "grace":
            world.stripe.fail_payment(names[0], world.stripe.now() - 2 * DAY)
        else:
            world.stripe.cancel(names[1])
        await done(client, "retry", customerId=customer)
    return names[0], names[1]


async def test_what_comes_in_the_order_of_its_dates(world: World) -> None:
    """A grace and a retention, in the hours of the window, with what the prices cost; only within the days asked."""
    async with world.functions(RETENTION_DAYS="30", SUSPEND_WINDOW=WINDOW) as client:
        grace, ended = await some(world, client)
        found = (await upcoming(client))["data"]
        assert [(row["what"], row["service"], row["domain"]) for row in found] == [
            ("suspend", grace, "grace.example"), ("delete", ended, "ended.example"),
        ]  # fmt: skip
        for row in found:
            local = datetime.fromisoformat(row["at"]).astimezone(ZoneInfo("Europe/Berlin"))
            assert (local.weekday(), local.hour, local.minute) == (1, 9, 0)
            assert (row["amount"], row["currency"], row["exponent"]) == (1900, "eur", 2)
        assert datetime.fromisoformat(found[0]["at"]) == world.service(grace)["grace_until"]
        assert found[0]["reason"] == "in_grace"
        assert [row["what"] for row in (await upcoming(client, days="20"))["data"]] == ["suspend"]
        first = await upcoming(client, limit="1")
        assert [row["service"] for row in (await upcoming(client, cursor=first["nextCursor"]))["data"]] == [ended]


async def test_what_was_cancelled_for_a_date_comes_too(world: World) -> None:
    """Somebody who has cancelled at the end of the period is in the list, behind nobody else's page."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with world.functions() as client:
        await done(client, "retry", customerId=customer)
        world.stripe.cancel(subscription, at_period_end=True)
        ends = world.stripe.get(subscription, "subscription")["cancel_at"]
        await done(client, "retry", customerId=customer)
        (row,) = (await upcoming(client))["data"]
        assert (row["what"], row["reason"], datetime.fromisoformat(row["at"]).timestamp()) == (
            "suspend",
            "ending",
            ends,
        )
        world.sql("UPDATE services SET grace_until = ends_at, unpaid_since = now()")
        assert [row["reason"] for row in (await upcoming(client))["data"]] == ["active"], "it goes off once"


async def test_each_service_comes_once_as_what_happens_to_it(world: World) -> None:
    """Whatever dates are remembered, the list says of each service what `coming` says, page by page and in order."""
    chance = random.Random(7)  # noqa: S311
    now = datetime.now(UTC)
    world.sql("INSERT INTO customers (customer_id, email) VALUES ('cus_1', 'ada@example.com')")
    services: dict[str, Service] = {}
    for number in range(1, 41):
        state = chance.choice([ServiceState.LIVE, ServiceState.LIVE, ServiceState.SUSPENDED, ServiceState.TERMINATED])
        dates: dict[str, Any] = {
            name: now + timedelta(hours=chance.randrange(1, 900)) if chance.random() < 0.5 else None
            for name in ("grace_until", "ends_at", "retain_until", "unpaid_since")
        }
        key = ServiceKey(f"sub_{number}", 1)
        services[str(key)] = Service(key, item_id="si", price_id="price_basic_monthly", state=state, **dates)
        world.sql(
            "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, state,"
            " panel_subscription_id, grace_until, ends_at, retain_until, unpaid_since)"
            " VALUES ('cus_1', %s, 1, 'si', 'price_basic_monthly', %s, %s, %s, %s, %s, %s)",
            key.subscription_id, state.value, number, *dates.values(),
        )  # fmt: skip
    async with world.functions(RETENTION_DAYS="1", SUSPEND_WINDOW=WINDOW) as client:
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await upcoming(client, limit="7", **cursor)
            assert page["data"] == sorted(page["data"], key=lambda row: datetime.fromisoformat(row["at"]))
            found += page["data"]
            if page["nextCursor"] is None:
                break
            cursor = {"cursor": page["nextCursor"]}
    policy = Settings.load({**world.environ, "RETENTION_DAYS": "1", "SUSPEND_WINDOW": WINDOW}).policy
    told = {name: coming(service, policy) for name, service in services.items()}
    assert len(found) == len({row["service"] for row in found})
    assert {row["service"]: (datetime.fromisoformat(row["at"]), row["what"]) for row in found} == {
        name: one for name, one in told.items() if one is not None
    }


async def test_an_amount_that_nobody_knows_is_null(world: World) -> None:
    """While Stripe is away nothing is guessed; what was read once is not asked for again."""
    async with world.functions() as client:
        await some(world, client)
        world.stripe.forbid("^/v1/prices", "rak_price_read")
        (row,) = (await upcoming(client))["data"]
        assert (row["amount"], row["currency"], row["exponent"]) == (None, None, None)
    world.stripe.clear_faults()
    async with world.functions() as client:
        assert (await upcoming(client))["data"][0]["amount"] == 1900
        before = len(world.stripe.calls)
        assert (await upcoming(client))["data"][0]["amount"] == 1900
        assert len(world.stripe.calls) == before


async def test_what_is_owed_is_counted_once_for_all_services_of_a_subscription(world: World) -> None:
    """An open bill of an order is at stake once, however many services it pays for."""
    world.sql("INSERT INTO customers (customer_id, email) VALUES ('cus_1', 'ada@example.com')")
    world.sql(
        "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, state, panel_subscription_id,"
        " unpaid_since, grace_until) SELECT 'cus_1', 'sub_1', n, 'si_1', 'price_basic_monthly', 'live', n,"
        " now() - interval '1 day', now() + interval '2 days' FROM generate_series(1, 2) n"
    )
    world.sql("ALTER TABLE orders DISABLE TRIGGER USER")
    world.sql(
        "INSERT INTO orders (order_id, provider, origin, state, customer_id, subscription_id, currency, amount,"
        " billing_plan_id, created_at, paid_at) VALUES (gen_random_uuid(), 'stripe', 'checkout', 'paid', 'cus_1',"
        " 'sub_1', 'jpy', 3800, 'price_basic_monthly', now(), now())"
    )
    for attempt, (invoice, state, amount) in enumerate(
        [("in_1", "succeeded", 3800), ("in_2", "failed", 3800), ("in_2", "processing", 3800)], 1
    ):
        world.sql(
            "INSERT INTO payments (payment_id, order_id, provider, attempt, state, amount, currency, invoice_id,"
            " created_at, paid_at) SELECT gen_random_uuid(), order_id, 'stripe', %s, %s, %s, 'jpy', %s, now(),"
            " CASE WHEN %s = 'succeeded' THEN now() END FROM orders",
            attempt, state, amount, invoice, state,
        )  # fmt: skip
    async with world.functions() as client:
        found = (await upcoming(client))["data"]
    assert [(row["service"], row["amount"], row["currency"], row["exponent"]) for row in found] == [
        ("sub_1", 3800, "jpy", 0), ("sub_1/2", 0, "jpy", 0),
    ]  # fmt: skip


async def test_the_whole_list_as_csv_and_as_a_calendar(world: World) -> None:
    """The calendar is RFC 5545: lines of 75 octets, ends of CRLF, the same UID when it is read again."""
    async with world.functions(RETENTION_DAYS="30") as client:
        grace, _ = await some(world, client)
        world.sql("UPDATE services SET domain = 'ünïcödé, with; signs ' || repeat('ä', 60) WHERE state = 'live'")
        answer = await client.get(WORK, params=QUERY, headers={**ADMIN, "Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [(row["what"], row["amount"], row["exponent"]) for row in rows] == [
            ("suspend", "1900", "2"), ("delete", "1900", "2"),
        ]  # fmt: skip
        first, again = [await client.get(WORK, params={**QUERY, "format": "ics"}, headers=ADMIN) for _ in range(2)]
    assert first.headers["content-type"] == "text/calendar; charset=utf-8"
    text = first.content.decode()
    assert text.endswith("END:VCALENDAR\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert all(len(line.encode()) <= LINE for line in text.split("\r\n"))
    lines = text.replace("\r\n ", "").split("\r\n")
    assert lines[:2] == ["BEGIN:VCALENDAR", "VERSION:2.0"]
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 2
    until = world.service(grace)["grace_until"].astimezone(UTC)
    assert f"DTSTART:{until:%Y%m%dT%H%M%SZ}" in lines
    (stamp, _) = [line.removeprefix("DTSTAMP:") for line in lines if line.startswith("DTSTAMP:")]
    assert abs(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(hours=1)
    assert f"SUMMARY:Suspend ünïcödé\\, with\\; signs {'ä' * 60}" in lines
    (told, _) = [line for line in lines if line.startswith("DESCRIPTION:")]
    assert "At stake: 19.00 EUR" in told
    assert "\\nService: " in told

    def uids(answer: httpx.Response) -> list[str]:
        return [line for line in answer.text.replace("\r\n ", "").split("\r\n") if line.startswith("UID:")]

    assert uids(first) == uids(again)
    assert len(set(uids(first))) == 2


def test_no_line_is_broken_within_a_character() -> None:
    """Whatever it is made of, a folded line is the same once it is put together, and each part is whole UTF-8."""
    for line in ("x" * 75, "x" * 76, "é" * 200, "x" + "😀" * 80, ""):
        parts = list(_folded(line))
        assert "".join([parts[0], *(part.removeprefix(" ") for part in parts[1:])]) == line
        assert all(len(part.encode()) <= LINE for part in parts)
    assert _text("a\\b\r\nc\rd;e,f") == "a\\\\b\\nc\\nd\\;e\\,f"
