"""Release: what waits for a person goes on, and nothing else."""

import httpx
import pytest

from tests.admin.hand import ADMIN, ANNA, BOB, TWO_KEYS, WORK, assert_problem, by_hand, done, suspended
from tests.database.test_brake import EDIT
from tests.world import World


async def bought_twice(world: World, client: httpx.AsyncClient) -> tuple[str, str, str]:
    """A customer with the same thing bought twice, the second one held: (customer, first, second)."""
    customer = world.customer()
    now = world.stripe.now()
    first = world.buy(customer, created=now - 100)
    second = world.buy(customer, domain="two.example", created=now - 50)
    answer = await done(client, "retry", customerId=customer)
    assert answer["outcome"]["reason"] == "double_purchase"
    assert world.panel.world()["subscriptions"] == 1
    return customer, first, second


async def test_a_released_double_purchase_is_provisioned(world: World) -> None:
    """The release of the second purchase makes it, once, and leaves nobody parked."""
    async with world.functions(ON_DOUBLE_PURCHASE="hold") as client:
        _, first, second = await bought_twice(world, client)
        row = (await client.get(WORK, headers=ADMIN)).json()["data"][0]
        assert (row["state"], row["reason"]) == ("parked", "double_purchase")
        answer = await done(client, "release", subscriptionId=second)
        assert answer["outcome"]["state"] == "settled"
        await done(client, "release", subscriptionId=second)
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 2, "websites": 2}
    assert [world.service(one)["state"] for one in (first, second)] == ["live", "live"]
    assert world.due() == []
    assert len(by_hand(world, "release")) == 2


async def test_releasing_the_first_purchase_does_not_release_the_second(world: World) -> None:
    """A release is of one purchase."""
    async with world.functions(ON_DOUBLE_PURCHASE="hold") as client:
        _, first, _ = await bought_twice(world, client)
        answer = await done(client, "release", subscriptionId=first)
    assert answer["outcome"]["reason"] == "double_purchase"
    assert world.panel.world()["subscriptions"] == 1


async def test_a_release_by_customer_is_of_what_was_shown(world: World) -> None:
    """The second purchase is let pass. What waits for its money is not: should nobody pay, it waits for a person."""
    async with world.functions(ON_DOUBLE_PURCHASE="hold") as client:
        customer, first, second = await bought_twice(world, client)
        waiting = world.buy(customer, "price_big_monthly", None, collection_method="send_invoice", days_until_due=5)
        await done(client, "release", customerId=customer)
        assert world.panel.world()["subscriptions"] == 2
        assert [world.service(one)["released"] for one in (first, second)] == [False, True]
        world.stripe.void_invoice(world.stripe.open_invoice(waiting)["id"])
        answer = await done(client, "retry", customerId=customer)
        assert answer["outcome"]["reason"] == "never_paid"
        assert world.panel.world()["subscriptions"] == 2
        answer = await done(client, "release", customerId=customer)
        assert answer["outcome"]["state"] == "settled"
    assert world.panel.world()["subscriptions"] == 3
    assert [world.service(one)["released"] for one in (first, second, waiting)] == [False, True, True]


@pytest.mark.parametrize("named", ["customer", "subscription"])
async def test_a_released_quantity_lets_nothing_else_pass(world: World, named: str) -> None:
    """So many of one subscription are made, and a usual quantity of another is let pass by nobody."""
    customer = world.customer()
    many = str(world.stripe.subscribe(customer, [("price_basic_monthly", 4)])["id"])
    usual = str(world.stripe.subscribe(customer, [("price_big_monthly", 3)])["id"])
    async with world.functions(QUANTITY_MAX="3") as client:
        await done(client, "retry", customerId=customer)
        whom = {"customerId": customer} if named == "customer" else {"subscriptionId": many}
        await done(client, "release", **whom)
    assert world.panel.world()["subscriptions"] == 7
    assert [row["released"] for row in world.sql("SELECT released FROM services")] == [False] * 7
    let_pass = world.sql("SELECT subscription_id, quantity_let_pass AS so_many FROM subscriptions")
    assert {row["subscription_id"]: row["so_many"] for row in let_pass} == {many: 4, usual: None}


async def test_releasing_the_brake_goes_on_with_who_waits(world: World) -> None:
    """The answer says how many go on, they are done after it, and the release is known by name and time."""
    customers = [world.customer(f"C{n}", f"c{n}@example.com") for n in range(4)]
    subscriptions = [world.buy(customer, domain=None) for customer in customers]
    for customer in customers:
        await world.sync(customer)
    for subscription in subscriptions:
        world.stripe.mark_unpaid(subscription)
    async with world.functions(BRAKE_MAX="2", **TWO_KEYS) as client:
        for customer in customers:
            body = {"action": "retry", "customerId": customer}
            assert (await client.post(WORK, json=body, headers=ANNA)).status_code == 200
        assert sum(suspended(world, one) for one in subscriptions) == 2
        waiting = (await client.get(f"{WORK}?state=waiting", headers=ANNA)).json()["data"]
        assert [row["waitsFor"] for row in waiting] == ["brake", "brake"]
        answer = await client.post(WORK, json={"action": "releaseBrake"}, headers=BOB)
        assert answer.json() == {"action": "releaseBrake", "released": 2}
    assert all(suspended(world, one) for one in subscriptions)
    (brake,) = world.sql("SELECT * FROM brake WHERE counts = 'suspensions'")
    assert (brake["engaged_at"], brake["released_by"]) == (None, "bob")
    assert brake["released_at"] is not None


async def test_releasing_a_brake_that_is_not_engaged_releases_nobody(world: World) -> None:
    """It is no error: what was asked for is true already."""
    async with world.functions() as client:
        assert (await done(client, "releaseBrake"))["released"] == 0


async def both_engaged(world: World, client: httpx.AsyncClient) -> tuple[list[str], list[str]]:
    """Both brakes are on: one customer waits to be suspended, another to be moved; (who runs, who is on which plan)."""
    customers = [world.customer(f"C{n}", f"c{n}@example.com") for n in range(4)]
    subscriptions = [world.buy(customer, domain=None) for customer in customers]
    for customer in customers:
        await world.sync(customer)
    for subscription in subscriptions[:2]:
        world.stripe.mark_unpaid(subscription)
    world.sql(EDIT)
    for customer in customers:
        assert (
            await client.post(WORK, json={"action": "retry", "customerId": customer}, headers=ANNA)
        ).status_code == 200
    assert engaged(world) == ["moves", "suspensions"]
    return subscriptions[:2], subscriptions[2:]


def engaged(world: World) -> list[str]:
    """Which brakes are on."""
    return [row["counts"] for row in world.sql("SELECT counts FROM brake WHERE engaged_at IS NOT NULL ORDER BY counts")]


def on_the_big_plan(world: World, subscriptions: list[str]) -> int:
    """How many of these were moved."""
    numbers = [world.service(one)["panel_subscription_id"] for one in subscriptions]
    return sum(world.panel.subscriptions[number].plan_id == world.big_plan_id for number in numbers)


@pytest.mark.parametrize(("counts", "left"), [("suspensions", "moves"), ("moves", "suspensions")])
async def test_one_brake_is_released_and_the_other_stays_on(world: World, counts: str, left: str) -> None:
    """Who waits for the other one goes on waiting, and the ledger says who released which, why, and for how many."""
    async with world.functions(BRAKE_MAX="1", **TWO_KEYS) as client:
        unpaid, moving = await both_engaged(world, client)
        body = {"action": "releaseBrake", "counts": counts, "expected": 1, "reason": "looked at each"}
        answer = await client.post(WORK, json=body, headers=BOB)
        assert (answer.status_code, answer.json()["released"]) == (200, 1), answer.text
    assert engaged(world) == [left]
    off, moved = sum(suspended(world, one) for one in unpaid), on_the_big_plan(world, moving)
    assert (off, moved) == ((2, 1) if counts == "suspensions" else (1, 2))
    (line,) = by_hand(world, "release_brake")
    assert (line["state"], line["actor"]) == ("noted", "bob")
    assert line["facts"] == {"reason": "looked at each", "counts": [counts], "services": 1, "customers": 1}


async def test_a_release_without_a_name_releases_both_brakes_and_says_so(world: World) -> None:
    """Nobody waits any more, and it is one line of the ledger."""
    async with world.functions(BRAKE_MAX="1", **TWO_KEYS) as client:
        unpaid, moving = await both_engaged(world, client)
        answer = await client.post(WORK, json={"action": "releaseBrake", "expected": 2}, headers=BOB)
        assert (answer.status_code, answer.json()["released"]) == (200, 2), answer.text
    assert engaged(world) == []
    assert (sum(suspended(world, one) for one in unpaid), on_the_big_plan(world, moving)) == (2, 2)
    (line,) = by_hand(world, "release_brake")
    assert line["facts"]["counts"] == ["moves", "suspensions"]


async def test_another_number_than_was_shown_releases_nothing(world: World) -> None:
    """Somebody came to wait after they were looked at: it is refused, and the brake, the queue and the ledger stay."""
    async with world.functions(BRAKE_MAX="1", **TWO_KEYS) as client:
        await both_engaged(world, client)
        for counts, expected in (("suspensions", 0), ("moves", 2), (None, 1)):
            body = {"action": "releaseBrake", "counts": counts, "expected": expected}
            answer = await client.post(WORK, json=body, headers=BOB)
            assert_problem(answer, 409, "changed_meanwhile", "expected")
        assert (await client.get(f"{WORK}?state=waiting", headers=ANNA)).json()["data"]
    assert engaged(world) == ["moves", "suspensions"]
    assert by_hand(world, "release_brake") == []


async def test_as_many_others_than_were_shown_are_not_released(world: World) -> None:
    """One waits no more and another does: it is refused, and with the digest of now just these go on."""
    async with world.functions(BRAKE_MAX="1", **TWO_KEYS) as client:
        await both_engaged(world, client)
        seen = (await client.get("/api/admin/dashboard", headers=ANNA)).json()["brake"]["moves"]["waiting"]
        body = {"action": "releaseBrake", "counts": "moves", "expected": 1}
        world.sql("UPDATE braked SET plan = 'another-plan' WHERE counts = 'moves'")
        answer = await client.post(WORK, json={**body, "digest": seen["digest"]}, headers=BOB)
        assert_problem(answer, 409, "changed_meanwhile", "digest")
        assert engaged(world) == ["moves", "suspensions"]
        unnamed = {"action": "releaseBrake", "digest": seen["digest"]}
        assert_problem(await client.post(WORK, json=unnamed, headers=BOB), 422, "invalid_field", "counts")
        now = (await client.get("/api/admin/dashboard", headers=ANNA)).json()["brake"]["moves"]["waiting"]
        answer = await client.post(WORK, json={**body, "digest": now["digest"]}, headers=BOB)
        assert (answer.status_code, answer.json()["released"]) == (200, 1), answer.text
    assert engaged(world) == ["suspensions"]
