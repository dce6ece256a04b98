"""Who may decide by hand, and whose name stands in the ledger."""

import pytest

from tests.admin.hand import ADMIN, ANNA, BOB, DASHBOARD, SYNC, TWO_KEYS, WORK, assert_problem, by_hand, provisioned
from tests.world import ADMIN_KEY, World

STRANGERS = {
    "nobody": {},
    "a wrong key": {"Authorization": "Bearer nonsense"},
    "an empty key": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {ADMIN_KEY}"},
    "the name and the key": {"Authorization": f"Bearer admin:{ADMIN_KEY}"},
    "both keys at once": {"Authorization": f"Bearer {ADMIN_KEY},{ADMIN_KEY}"},
    "the cron's secret": {"Authorization": "Bearer cron_fake_secret"},
    "bytes beyond ASCII": {"Authorization": b"Bearer \xff\xfe"},
}


@pytest.mark.parametrize("who", STRANGERS)
async def test_strangers_see_and_change_nothing(world: World, who: str) -> None:
    """Without a valid key every admin route answers 401 with a problem document, and neither side is asked anything."""
    async with world.functions() as client:
        for method, path in (("GET", WORK), ("POST", WORK), ("GET", DASHBOARD), ("POST", SYNC)):
            body = {"action": "releaseBrake", "all": True} if method == "POST" else None
            answer = await client.request(method, path, json=body, headers=STRANGERS[who])  # type: ignore[arg-type]
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert world.stripe.calls == []
    assert world.panel.calls == []
    assert world.due() == []


async def test_a_strangers_body_is_not_even_read(world: World) -> None:
    """Who may nothing learns nothing: a broken body still answers 401."""
    async with world.functions() as client:
        assert_problem(await client.post(WORK, content=b"{"), 401)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused(world: World, method: str) -> None:
    """The route takes GET and POST, and says so."""
    async with world.functions() as client:
        answer = await client.request(method, WORK, headers=ADMIN)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_the_ledger_names_who_did_it(world: World) -> None:
    """Each admin's own name stands in every row that their action caused, the words of their hand and the panel's."""
    customer, subscription = await provisioned(world)
    async with world.functions(**TWO_KEYS) as client:
        for headers, action in ((ANNA, "hold"), (BOB, "lift")):
            body = {"action": action, "subscriptionId": subscription, "reason": "asked by phone"}
            answer = await client.post(WORK, json=body, headers=headers)
            assert answer.status_code == 200, answer.text
    actors = {(row["kind"], row["actor"]) for row in world.sql("SELECT * FROM actions WHERE actor <> 'bridge'")}
    assert actors == {("hold", "anna"), ("suspend", "anna"), ("lift", "bob"), ("resume", "bob")}
    (row,) = by_hand(world, "hold")
    assert (row["customer_id"], row["subscription_id"], row["state"]) == (customer, subscription, "noted")
    assert row["facts"]["reason"] == "asked by phone"


async def test_the_ledger_names_who_asked_for_a_plan_in_shadow_mode(world: World) -> None:
    """Also what would be done carries the name of whoever asked."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions(PROVISIONING_MODE="shadow", **TWO_KEYS) as client:
        answer = await client.post(WORK, json={"action": "retry", "customerId": customer}, headers=BOB)
        assert answer.status_code == 200, answer.text
    assert {row["actor"] for row in world.sql("SELECT actor FROM actions")} == {"bob"}
