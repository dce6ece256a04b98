"""Acts on everybody who matches: grace for all (an amnesty), hold, lift and release, shown before they are done."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from lib.database import bulk, leases
from lib.kinds import Context
from lib.model import CustomerKey, Mandate
from lib.subscription_manager import act
from tests.admin.hand import ANNA, DAY, TWO_KEYS, WORK, assert_problem
from tests.world import World

OWING = {"hold": "unpaid", "upcoming": True}


async def send(client: httpx.AsyncClient, action: str, **body: Any) -> httpx.Response:
    """An act of Anna's."""
    return await client.post(WORK, json={"action": action, **body}, headers=ANNA)


async def made(client: httpx.AsyncClient, action: str, matches: int, **body: Any) -> dict[str, Any]:
    """Look at an act and do it: how far it has come once the answer was given and the work after it is done."""
    shown = await send(client, action, dryRun=True, **body)
    assert shown.status_code == 200, shown.text
    assert shown.json()["matches"] == matches
    begun = await send(client, action, expected=matches, asOf=shown.json()["asOf"], **body)
    assert (begun.status_code, begun.json()["matches"]) == (202, matches), begun.text
    progress: dict[str, Any] = (await client.get(WORK, params={"batch": begun.json()["id"]}, headers=ANNA)).json()
    return progress


async def several(world: World, client: httpx.AsyncClient) -> dict[str, tuple[str, str]]:
    """Somebody who runs, somebody in their grace, and two who are held for a debt: name -> (customer, subscription)."""
    found = {}
    for name in ("live", "grace", "held", "gone"):
        customer = world.customer(name, f"{name}@example.com")
        subscription = world.buy(customer, domain=f"{name}.example")
        await world.sync(customer)
        if name != "live":
            world.stripe.fail_payment(subscription, world.stripe.now() - (2 if name == "grace" else 30) * DAY)
        if name == "gone":
            world.stripe.mark_unpaid(subscription)
        await world.sync(customer)
        found[name] = (customer, subscription)
    return found


def states(world: World, found: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Name -> how its service is remembered."""
    return {name: world.service(subscription)["state"] for name, (_, subscription) in found.items()}


def until(days: float) -> str:
    """A date to come."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def test_an_amnesty_keeps_everybody_on_until_its_date_and_ends_by_itself(world: World) -> None:
    """Who is held for a debt runs again, whoever is in a grace is let alone, and at the date all of that is over."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        assert states(world, found) == {"live": "live", "grace": "live", "held": "suspended", "gone": "suspended"}
        date = until(10)
        progress = await made(client, "grace", 3, filter=OWING, until=date, reason="the bank was down")
        assert (progress["left"], progress["subjects"], progress["actor"]) == (0, 3, "anna")
        assert progress["given"]["reason"] == "the bank was down"
        assert set(states(world, found).values()) == {"live"}
        dates = {world.service(found[name][1])["grace_until"] for name in ("grace", "held", "gone")}
        assert dates == {datetime.fromisoformat(date)}
        notes = world.sql("SELECT customer_id, actor, facts FROM actions WHERE kind = 'grace' ORDER BY customer_id")
        assert {note["customer_id"] for note in notes} == {found[name][0] for name in ("grace", "held", "gone")}
        for note in notes:
            assert (note["actor"], note["facts"]["batch"]) == ("anna", progress["id"])
            assert (note["facts"]["reason"], note["facts"]["until"]) == ("the bank was down", date)
        world.sql("UPDATE services SET grace_override = now() - interval '1 second' WHERE amnesty")
        await world.come_to_rest()
        for customer, _ in found.values():
            await world.sync(customer)
        assert states(world, found) == {"live": "live", "grace": "suspended", "held": "suspended", "gone": "suspended"}


async def test_an_amnesty_makes_no_date_sooner(world: World) -> None:
    """Whose grace runs longer keeps it, and so does who was promised more."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        later = datetime.now(UTC) + timedelta(days=60)
        world.sql("UPDATE services SET grace_override = %s WHERE subscription_id = %s", later, found["held"][1])
        await world.sync(found["held"][0])
        await made(client, "grace", 1, filter=OWING, until=until(2))
        assert world.service(found["held"][1])["grace_override"] == later
        assert world.service(found["grace"][1])["grace_override"] is None  # five days are left of it
        assert world.service(found["gone"][1])["amnesty"] is True


async def test_who_was_promised_a_date_alone_keeps_it_when_an_amnesty_is_taken_back(world: World) -> None:
    """Taking it back takes what it gave: a date that one customer got by a person's word is theirs."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        customer, subscription = found["held"]
        later = until(60)
        assert (await send(client, "grace", customerId=customer, until=later)).status_code == 200
        await made(client, "grace", 2, filter=OWING, until=until(10))
        await made(client, "grace", 2, filter=OWING, until=None)
        assert world.service(subscription)["grace_override"] == datetime.fromisoformat(later)
        assert states(world, found) == {"live": "live", "grace": "live", "held": "live", "gone": "suspended"}


async def test_one_customers_part_of_an_amnesty_is_undone_to_the_date_they_were_promised(world: World) -> None:
    """The earlier promise comes back, and a date by an earlier amnesty is the amnesty's again; else there is none."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        customer, subscription = found["held"]
        promised = until(5)
        assert (await send(client, "grace", customerId=customer, until=promised)).status_code == 200
        await made(client, "grace", 3, filter=OWING, until=until(10))
        offered = (await undos(client, customer))[0]
        assert offered["services"] == [subscription]
        assert (await client.post(WORK, json=offered, headers=ANNA)).status_code == 200
        assert world.service(subscription)["grace_override"] == datetime.fromisoformat(promised)
        customer, subscription = found["gone"]
        await made(client, "grace", 3, filter=OWING, until=until(20))
        for place, left in ((0, True), (-1, False)):  # the later amnesty, then the earlier one that stands again
            offered = (await undos(client, customer))[place]
            assert (await client.post(WORK, json=offered, headers=ANNA)).status_code == 200
            assert world.service(subscription)["amnesty"] is left
        assert world.service(subscription)["grace_override"] is None


async def undos(client: httpx.AsyncClient, customer: str) -> list[Any]:
    """What takes dates of a customer back, newest first, as it is sent."""
    answer = await client.get("/api/admin/customers", params={"id": customer}, headers=ANNA)
    offered = [one["undo"] for one in answer.json()["timeline"]["data"] if one["kind"] == "grace"]
    return [undo["body"] for undo in offered if undo]


async def test_an_amnesty_is_taken_back(world: World) -> None:
    """With a date of null whoever got one by it loses it, and is held as before."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        await made(client, "grace", 3, filter=OWING, until=until(10))
        await made(client, "grace", 3, filter=OWING, until=None)
        assert states(world, found) == {"live": "live", "grace": "live", "held": "suspended", "gone": "suspended"}
        assert world.sql("SELECT count(*) AS n FROM services WHERE amnesty OR grace_override IS NOT NULL")[0]["n"] == 0


async def test_nobody_is_written_to_about_a_suspension_while_an_amnesty_runs(world: World) -> None:
    """The mail that was waiting is not sent any more, and no other one takes its place."""
    mail = {"MAIL_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "billing@example.com"}
    async with world.functions(**TWO_KEYS, **mail) as client:
        customer = world.customer()
        subscription = world.buy(customer)
        await world.sync(customer)
        world.stripe.fail_payment(subscription, world.stripe.now() - 2 * DAY)
        await world.sync(customer, **mail)
        (soon,) = world.sql("SELECT notice_id FROM notices WHERE kind = 'suspension_soon' AND ended_at IS NULL")
        await made(client, "grace", 1, filter=OWING, until=until(8))
        kinds = world.sql("SELECT notice_id FROM notices WHERE kind = 'suspension_soon'")
        assert kinds == [soon]
        world.sql("UPDATE notices SET send_at = now() - interval '1 minute'")
        world.sql("UPDATE due SET due_at = now() WHERE kind = 'notice'")
        await world.drain(**mail)
        (row,) = world.sql("SELECT status FROM notices WHERE kind = 'suspension_soon'")
        assert row["status"] == "obsolete"


async def test_who_has_paid_meanwhile_is_given_no_date(world: World) -> None:
    """Somebody's hold is gone by the time the act comes to them: nothing is written for them, and it ends."""
    async with world.functions(**TWO_KEYS, PROVISIONING_MODE="paused") as client:
        found = await several(world, client)
        progress = await made(client, "grace", 3, filter=OWING, until=until(10))
        assert (progress["left"], progress["subjects"]) == (3, 0)
        world.sql("UPDATE services SET holds = '{}', state = 'live' WHERE subscription_id = %s", found["held"][1])
    await world.come_to_rest()
    assert world.service(found["held"][1])["grace_override"] is None
    assert world.sql("SELECT count(*) AS n FROM batch_items")[0]["n"] == 0
    assert len(world.sql("SELECT 1 FROM actions WHERE kind = 'grace'")) == 2


async def test_who_has_a_pass_just_then_is_come_to_afterwards(world: World) -> None:
    """What a pass remembers and what a person edits never overwrite each other: the act waits for the lease."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        async with world.bridge() as bridge, leases.alone(bridge.db, "customer", found["gone"][0]):
            progress = await made(client, "grace", 3, filter=OWING, until=until(10))
            assert (progress["subjects"], progress["left"]) == (2, 1)
        await world.come_to_rest()
        assert states(world, found)["gone"] == "live"
        after = (await client.get(WORK, params={"batch": progress["id"]}, headers=ANNA)).json()
        assert (after["subjects"], after["left"]) == (3, 0)


async def test_an_act_that_died_goes_on_and_its_passes_go_after_who_has_paid(world: World) -> None:
    """Run twice, it edits everybody once; whom it makes due waits behind what was asked for."""
    async with world.functions(**TWO_KEYS, PROVISIONING_MODE="paused") as client:
        found = await several(world, client)
        progress = await made(client, "hold", 2, filter={"hold": "unpaid"})
    world.sql("DELETE FROM due WHERE kind = 'customer'")
    async with world.bridge() as bridge:
        now = await bridge.db.now()
        context = Context(bridge.settings, bridge.db, cast("Any", None), Mandate("", now, ""))
        claim = cast("Any", SimpleNamespace(key=progress["id"]))
        customer = CustomerKey.read(found["held"][0])
        (batch, choice) = await bulk.given_to(bridge.db, progress["id"]) or pytest.fail("it was written down")
        assert await act._come_to(context, batch, choice, customer)  # and here its process dies
        for _ in range(2):
            await act.run(claim, context)
    rows = world.sql("SELECT key, priority FROM due WHERE kind = 'customer' ORDER BY key")
    assert rows == [{"key": key, "priority": 1} for key in sorted((found["held"][0], found["gone"][0]))]
    assert len(world.sql("SELECT 1 FROM actions WHERE kind = 'hold'")) == 2
    assert world.service(found["held"][1])["holds"] == ["admin", "unpaid"]


async def test_many_are_held_and_lifted(world: World) -> None:
    """Everybody in a grace is held by hand, and all that are held so are let go; each has a line with the act's id."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        held = await made(client, "hold", 1, filter={"upcoming": True}, reason="fraud")
        assert (states(world, found)["grace"], held["left"]) == ("suspended", 0)
        assert world.service(found["grace"][1])["holds"] == ["admin"]
        await made(client, "lift", 1, filter={"hold": "admin"})
        assert states(world, found)["grace"] == "live"
        notes = world.sql("SELECT kind, facts ->> 'batch' AS batch FROM actions WHERE rule = 'by_hand' ORDER BY id")
        assert [note["kind"] for note in notes] == ["hold", "lift"]
        assert notes[0]["batch"] == held["id"]


async def test_many_are_released(world: World) -> None:
    """Those who wait for the one reason are let through; who waits for another one is not."""
    async with world.functions(**TWO_KEYS, ON_DOUBLE_PURCHASE="hold") as client:
        bought = []
        for name in ("anna", "ben"):
            customer = world.customer(name, f"{name}@example.com")
            bought += [world.buy(customer, domain=f"{name}{n}.example") for n in range(2)]
            await world.sync(customer, ON_DOUBLE_PURCHASE="hold")
        await made(client, "release", 2, filter={"reason": "double_purchase"})
        assert [world.service(subscription)["state"] for subscription in bought] == ["live"] * 4


async def test_retry_of_those_who_are_held(world: World) -> None:
    """A retry takes the same filters; it is about customers then."""
    async with world.functions(**TWO_KEYS) as client:
        await several(world, client)
        progress = await made(client, "retry", 2, filter={"hold": "unpaid"})
        assert (progress["subjects"], progress["left"]) == (2, 0)


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("hold", {"filter": {}}, "filter"),
        ("release", {"filter": {"state": "parked"}}, "filter.reason"),
        ("release", {"filter": {"reason": "no_email"}}, "filter.reason"),
        ("lift", {"filter": {"hold": "admin"}, "hold": "unpaid"}, "hold"),
        ("lift", {"filter": {"hold": "unpaid"}, "hold": "admin"}, "filter.hold"),
        ("grace", {"filter": {"state": "parked"}, "until": None}, "filter.hold"),
        ("grace", {"filter": {"hold": "ended", "upcoming": True}, "until": None}, "filter.hold"),
        ("grace", {"filter": OWING, "until": "2020-01-01"}, "until"),
        ("hold", {"filter": {"hold": "nonsense"}}, "filter.hold"),
        ("hold", {"filter": {"hold": "unpaid"}, "customerId": "cus_1"}, "customerId"),
    ],
    ids=str,
)
async def test_what_could_mean_others_than_was_meant_is_refused(
    world: World, action: str, body: dict[str, Any], field: str
) -> None:
    """Each fault names its field, and nothing is done."""
    async with world.functions(**TWO_KEYS) as client:
        assert_problem(await send(client, action, dryRun=True, **body), 422, "invalid_field", field)
    assert world.sql("SELECT 1 FROM batches") == []


async def test_as_many_others_by_then_get_no_grace(world: World) -> None:
    """One of them has paid and another fell behind since: nobody gets the date, and who matches now is shown."""
    async with world.functions(**TWO_KEYS) as client:
        found = await several(world, client)
        body = {"filter": OWING, "until": until(10)}
        shown = (await send(client, "grace", dryRun=True, **body)).json()
        world.sql("UPDATE services SET grace_until = NULL WHERE subscription_id = %s", found["grace"][1])
        world.sql("UPDATE services SET holds = '{unpaid}' WHERE subscription_id = %s", found["live"][1])
        refused = await send(client, "grace", expected=shown["matches"], asOf=shown["asOf"], **body)
        assert_problem(refused, 409, "changed_meanwhile", "asOf")
        anew = refused.json()["preview"]
        assert (anew["matches"], found["live"][0] in anew["sample"]) == (shown["matches"], True)
        other = await send(client, "grace", expected=anew["matches"], asOf=anew["asOf"], filter=OWING, until=until(20))
        assert_problem(other, 409, "not_shown", "asOf")
    assert world.sql("SELECT id FROM batches") == []
    assert {row["grace_override"] for row in world.sql("SELECT grace_override FROM services")} == {None}


async def test_another_number_by_then_does_nothing(world: World) -> None:
    """One more has fallen behind since: it is shown again first."""
    async with world.functions(**TWO_KEYS) as client:
        await several(world, client)
        refused = await send(client, "grace", filter=OWING, until=until(3), expected=1, asOf=until(0))
        assert_problem(refused, 409, "changed_meanwhile", "expected")
    assert world.sql("SELECT 1 FROM batches") == []
