"""The queue as a list: every row once, whatever comes and goes meanwhile."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx
import pytest

from tests.admin.hand import ADMIN, WORK, assert_problem, provisioned
from tests.world import World


def fill(world: World, count: int, prefix: str = "cus_", **columns: str) -> None:
    """Rows of the queue, as SQL says; `n` is the row's number."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    world.sql(
        f"INSERT INTO due (kind, key{names}) SELECT 'customer', '{prefix}' || lpad(n::text, 5, '0'){values}"  # noqa: S608
        f" FROM generate_series(1, {count}) AS n"
    )


def fill_states(world: World) -> None:
    """Three rows in each state, two of the parked with a second problem."""
    fill(world, 3, "cus_due_", due_at="now() - interval '1 minute'")
    fill(world, 3, "cus_waiting_", due_at="now() + interval '1 hour'", waits_for="'in_grace'")
    fill(world, 3, "cus_working_", lease_id="gen_random_uuid()", leased_until="now() + interval '1 hour'")
    for prefix, reason in (("cus_plan_", "plan_not_found"), ("cus_price_", "unmapped_price")):
        problems = [{"reason": reason, "detail": "a detail", "subject": "x"}]
        if reason == "plan_not_found":
            problems.append({"reason": "no_email", "detail": "another", "subject": "y"})
        quoted = "'" + json.dumps(problems) + "'"
        fill(world, 3, prefix, due_at="NULL", parked_reason=f"'{reason}'", parked_at="now()", problems=quoted)


async def keys(client: httpx.AsyncClient, **query: str) -> list[str]:
    """The keys of one page of the list."""
    answer = await client.get(WORK, params=query, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return [row["key"] for row in answer.json()["data"]]


@pytest.mark.parametrize("state", ["due", "waiting", "working", "parked"])
async def test_the_list_by_state(world: World, state: str) -> None:
    """Each row is in exactly one state, and the filter shows those of one."""
    fill_states(world)
    async with world.functions() as client:
        answer = (await client.get(WORK, params={"state": state}, headers=ADMIN)).json()
        everything = (await client.get(WORK, headers=ADMIN)).json()
    assert {row["state"] for row in answer["data"]} == {state}
    assert len(answer["data"]) == (6 if state == "parked" else 3)
    assert answer["nextCursor"] is None
    assert len(everything["data"]) == 15


async def test_the_list_by_reason(world: World) -> None:
    """A reason finds the parked rows that have it among their problems, first or not, and none by halves."""
    fill_states(world)
    async with world.functions() as client:
        assert len(await keys(client, reason="unmapped_price")) == 3
        assert await keys(client, reason="no_email") == await keys(client, reason="plan_not_found")
        assert await keys(client, reason="unmapped") == []
        assert_problem(await client.get(WORK, params={"reason": ""}, headers=ADMIN), 422, field="reason")
        assert await keys(client, reason="' OR true --") == []
        assert await keys(client, reason="unmapped_price", state="due") == []
        assert len(await keys(client, reason="unmapped_price", state="parked")) == 3


async def test_a_parked_row_says_all_that_is_needed_to_act(world: World) -> None:
    """Who, since when, why in words and numbers, and the remedy for the row and for each problem; camelCase, UTC."""
    customer = world.customer()
    world.stripe.create_price("price_unmapped")
    world.buy(customer, price="price_unmapped")
    await world.sync(customer)
    async with world.functions() as client:
        (row,) = (await client.get(WORK, headers=ADMIN)).json()["data"]
    assert set(row) == {
        "kind", "key", "email", "state", "dueAt", "attempts", "lastError", "waitsFor", "reason", "parkedAt", "problems",
        "remedy", "since",
    }  # fmt: skip
    assert (row["kind"], row["key"], row["state"], row["reason"]) == ("customer", customer, "parked", "unmapped_price")
    assert "plan_mappings" in row["remedy"]
    (problem,) = row["problems"]
    assert problem["subject"] == "price_unmapped"
    assert problem["remedy"] == row["remedy"]
    assert "price_unmapped" in problem["detail"]
    assert datetime.fromisoformat(row["parkedAt"]).utcoffset() == timedelta()


async def test_a_row_of_a_known_customer_has_their_address(world: World) -> None:
    """People look for people, not for ids."""
    customer, _ = await provisioned(world)
    world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    async with world.functions() as client:
        (row,) = (await client.get(WORK, headers=ADMIN)).json()["data"]
    assert row["email"] == "ada@example.com"


async def test_what_fails_and_what_a_brake_keeps_are_lists_of_their_own(world: World) -> None:
    """They are found among all that waits, each says since when and what to do, and a retry reaches them alone."""
    fill_states(world)
    fill(world, 2, "cus_brake_", due_at="now() + interval '1 hour'", waits_for="'brake'")
    error = "'the panel did not answer'"
    fill(world, 2, "cus_fails_", due_at="now() + interval '1 hour'", last_error=error, attempts="3")
    fill(world, 1, "cus_token_", due_at="now() + interval '1 hour'", last_error="'panel_token: 401'")
    async with world.functions() as client:
        braked = (await client.get(WORK, params={"state": "braked"}, headers=ADMIN)).json()["data"]
        failing = (await client.get(WORK, params={"state": "failing"}, headers=ADMIN)).json()["data"]
        waiting = (await client.get(WORK, params={"state": "waiting"}, headers=ADMIN)).json()["data"]
        due = (await client.get(WORK, params={"state": "due"}, headers=ADMIN)).json()["data"]
        asked = {"action": "retry", "filter": {"state": "failing"}, "dryRun": True}
        matches = (await client.post(WORK, json=asked, headers=ADMIN)).json()["matches"]
    assert [row["key"] for row in braked] == ["cus_brake_00001", "cus_brake_00002"]
    assert {row["remedy"] for row in braked} == {"Look at who waits, then releaseBrake."}
    assert [row["key"] for row in failing] == ["cus_fails_00001", "cus_fails_00002", "cus_token_00001"]
    assert ["retry" in row["remedy"] for row in failing] == [True, True, False]
    assert "new token" in failing[2]["remedy"]
    assert {row["state"] for row in [*braked, *failing]} == {"waiting"} and len(waiting) == 8
    assert matches == 3
    assert all(row["remedy"] for row in waiting) and {row["remedy"] for row in due} == {None}
    assert all(datetime.fromisoformat(row["since"]).utcoffset() == timedelta() for row in [*waiting, *due])


async def test_every_remembered_reason_comes_with_a_remedy(world: World) -> None:
    """Also a reason that this version does not know any more."""
    problems = "'" + json.dumps([{"reason": "of_yesterday", "detail": "?", "subject": ""}]) + "'"
    fill(world, 1, due_at="NULL", parked_reason="'of_yesterday'", parked_at="now()", problems=problems)
    async with world.functions() as client:
        (row,) = (await client.get(WORK, headers=ADMIN)).json()["data"]
    assert row["remedy"]
    assert row["problems"][0]["remedy"]


async def walk(client: httpx.AsyncClient, between: Callable[[int], None], **query: str) -> list[str]:
    """Every key of the list, page by page, while `between` changes the world after each page."""
    found: list[str] = []
    for page in range(1000):
        answer = (await client.get(WORK, params=query, headers=ADMIN)).json()
        assert len(answer["data"]) <= int(query.get("limit", "50"))
        found += [row["key"] for row in answer["data"]]
        if answer["nextCursor"] is None:
            return found
        query["cursor"] = answer["nextCursor"]
        between(page)
    raise AssertionError("the list never ends")


@pytest.mark.parametrize("limit", ["1", "7", "50", "200"])
async def test_paging_loses_and_doubles_nothing(world: World, limit: str) -> None:
    """Whatever the page's length, every row comes once and in order; the last page says that it is the last."""
    count = 60 if limit == "1" else 600
    fill(world, count)
    async with world.functions() as client:
        found = await walk(client, lambda _: None, limit=limit)
    assert found == [f"cus_{n:05d}" for n in range(1, count + 1)]


async def test_paging_while_rows_come_go_and_change(world: World) -> None:
    """Rows that stay come exactly once, whatever happens around them between two pages."""
    fill(world, 400)
    gone = {f"cus_{n:05d}" for n in range(3, 401, 10)}

    def change(page: int) -> None:
        world.sql("DELETE FROM due WHERE key = ANY(%s)", [key for key in gone if key.endswith(f"{page % 10}3")])
        world.sql("UPDATE due SET attempts = attempts + 1, due_at = now() - random() * interval '1 day'")
        fill(world, 3, f"cus_0{page % 5}new{page:03d}")

    async with world.functions() as client:
        found = await walk(client, change, limit="25")
    assert len(found) == len(set(found))
    assert {f"cus_{n:05d}" for n in range(1, 401)} - gone <= set(found)


async def test_paging_with_a_filter(world: World) -> None:
    """The cursor goes with the filter: pages of the parked hold the parked only."""
    fill(world, 120)
    fill(world, 120, "cus_p_", due_at="NULL", parked_reason="'no_email'", parked_at="now()")
    async with world.functions() as client:
        found = await walk(client, lambda _: None, limit="33", state="parked")
    assert found == [f"cus_p_{n:05d}" for n in range(1, 121)]


@pytest.mark.parametrize(("state", "at"), [("due", "now() - "), ("waiting", "now() + ")])
@pytest.mark.parametrize("limit", ["1", "7", "50"])
async def test_what_has_a_turn_comes_in_the_order_of_turns(world: World, state: str, at: str, limit: str) -> None:
    """By lane, priority and date, also where many have one date; every row once, whatever the page's length."""
    for lane in ("stripe", "panel", "out"):
        for priority in ("1", "0"):
            columns = {"lane": f"'{lane}'", "priority": priority, "due_at": f"{at} (n / 4) * interval '1 hour' "}
            fill(world, 12, f"cus_{lane}_{priority}_", **columns)
    fill_states(world)
    world.sql("DELETE FROM due WHERE key LIKE 'cus_due_%%' OR key LIKE 'cus_waiting_%%'")
    world.sql("UPDATE due SET due_at = due_at + interval '1 hour' WHERE due_at > now()")
    past = "<=" if state == "due" else ">"
    rows = world.sql(
        f"SELECT key FROM due WHERE due_at {past} now() AND lease_id IS NULL"  # noqa: S608
        " ORDER BY lane, priority, due_at, kind, key"
    )
    async with world.functions() as client:
        found = await walk(client, lambda _: None, limit=limit, state=state)
    assert found == [row["key"] for row in rows]
    assert len(found) >= 54


async def test_a_cursor_belongs_to_its_state(world: World) -> None:
    """The order differs, so a page of one list can't go on in the other."""
    fill(world, 3)
    async with world.functions() as client:
        cursor = (await client.get(WORK, params={"state": "due", "limit": "1"}, headers=ADMIN)).json()["nextCursor"]
        assert_problem(await client.get(WORK, params={"cursor": cursor}, headers=ADMIN), 422, field="cursor")
        assert await keys(client, state="due", cursor=cursor) == ["cus_00002", "cus_00003"]


async def test_paging_over_keys_of_any_script(world: World) -> None:
    """Keys that sort, quote or look oddly come once each."""
    odd = ["cus_ä", "cus_a", "cus_A", "cus_'", 'cus_"', "cus_%", "cus__", "cus_🚀", "cus_[", "cus_\\", "cus_,"]
    for key in odd:
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s), ('invoice', %s)", key, key)
    async with world.functions() as client:
        found = await walk(client, lambda _: None, limit="1")
    assert sorted(found) == sorted(odd * 2)


@pytest.mark.parametrize(
    "limit", ["0", "-1", "201", "1e3", "", " ", "ten", "5.0", "٣", "²", "9" * 40, "000050999", "+5", "0x10", "1_0"]
)
async def test_a_bad_limit_is_named(world: World, limit: str) -> None:
    """A page holds 1 to 200 rows."""
    fill(world, 300)
    async with world.functions() as client:
        assert_problem(await client.get(WORK, params={"limit": limit}, headers=ADMIN), 422, field="limit")


@pytest.mark.parametrize("limit", [None, "1", "50", "200"])
async def test_a_good_limit(world: World, limit: str | None) -> None:
    """Fifty rows unless told otherwise."""
    fill(world, 300)
    async with world.functions() as client:
        assert len(await keys(client, **({"limit": limit} if limit else {}))) == int(limit or 50)


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "ünïcode",
        "====",
        _cursor("not json"),
        _cursor("5"),
        _cursor("null"),
        _cursor("[]"),
        _cursor('["work", "customer"]'),
        _cursor('["work", "customer", "cus_1", "more"]'),
        _cursor('["events", "customer", "cus_1"]'),
        _cursor('"ab"'),
        _cursor('{"kind": 1, "key": 2}'),
        _cursor('["work", 1, 2]'),
        _cursor('["work", "customer", null]'),
        _cursor('["work", "customer", ["cus_1"]]'),
        _cursor('["work", "customer", "cus_\\u0000"]'),
        _cursor('["work", "customer", "cus_\\ud800"]'),
        _cursor("[" * 20_000),
    ],
)
async def test_a_bad_cursor_is_named(world: World, cursor: str) -> None:
    """Only what a list gave out begins a page."""
    async with world.functions() as client:
        assert_problem(await client.get(WORK, params={"cursor": cursor}, headers=ADMIN), 422, field="cursor")


async def test_a_cursor_is_data_and_never_sql(world: World) -> None:
    """Whoever makes up a cursor gets the rows behind it in order, and nothing else happens."""
    fill(world, 5)
    cursor = _cursor(json.dumps(["work", "customer", "cus_00003'; DROP TABLE due; --"]))
    async with world.functions() as client:
        assert await keys(client, cursor=cursor) == ["cus_00004", "cus_00005"]


@pytest.mark.parametrize(("name", "value"), [("state", "nonsense"), ("state", ""), ("reason", "a\x00b")])
async def test_a_bad_filter_is_named(world: World, name: str, value: str) -> None:
    """A state that does not exist, or a text that no row can hold, is a mistake and no empty list."""
    async with world.functions() as client:
        assert_problem(await client.get(WORK, params={name: value}, headers=ADMIN), 422, field=name)


async def test_an_empty_queue_is_an_empty_list(world: World) -> None:
    """Nothing to do looks like nothing to do."""
    async with world.functions() as client:
        answer = await client.get(WORK, headers=ADMIN)
    assert answer.json() == {"data": [], "nextCursor": None}
    assert answer.headers["cache-control"] == "no-store"
