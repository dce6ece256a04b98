"""`SUSPEND_WINDOW` in passes: the row of the queue is due at the moved date, and nothing resumes late."""

from datetime import UTC, datetime, timedelta

from tests.world import World

DAY = 86400
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ALWAYS = "Mon-Sun 00:00-24:00 UTC"


def in_two_days() -> tuple[str, datetime]:
    """A window that is closed now, and its next beginning."""
    opens = (datetime.now(UTC) + timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
    return f"{NAMES[opens.weekday()]} 09:00-10:00 UTC", opens


async def test_a_debt_waits_for_its_hours_and_is_suspended_then(world: World) -> None:
    """Overdue for long: due at the beginning of the window and shown so; once it is open, off; paid at night, on."""
    window, opens = in_two_days()
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(subscription, world.stripe.now() - 30 * DAY)
    await world.sync(customer, SUSPEND_WINDOW=window)
    service = world.service(subscription)
    assert (service["state"], service["holds"], service["grace_until"]) == ("live", [], opens)
    (row,) = world.due()
    assert (row["due_at"], row["waits_for"], row["parked_reason"]) == (opens, "suspend_window", None)
    await world.sync(customer, SUSPEND_WINDOW=ALWAYS)
    assert world.service(subscription)["state"] == "suspended"
    await world.sync(customer, SUSPEND_WINDOW=window)
    assert world.service(subscription)["state"] == "suspended"  # what is off already stays so at night
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer, SUSPEND_WINDOW=window)
    assert world.service(subscription)["state"] == "live"


async def test_a_deletion_waits_for_its_hours(world: World) -> None:
    """Its retention is over: kept until the window opens, due then, and deleted once."""
    window, opens = in_two_days()
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.cancel(subscription, created=world.stripe.now() - 40 * DAY)
    await world.sync(customer, SUSPEND_WINDOW=window, RETENTION_DAYS="30")
    service = world.service(subscription)
    assert (service["state"], service["retain_until"]) == ("suspended", opens)
    assert [row["due_at"] for row in world.due()] == [opens]
    await world.sync(customer, SUSPEND_WINDOW=ALWAYS, RETENTION_DAYS="30")
    assert world.service(subscription)["state"] == "terminated"
    await world.sync(customer, SUSPEND_WINDOW=window, RETENTION_DAYS="30")
    assert (world.ledger("applied").count("terminate"), world.due()) == (1, [])


async def test_a_hold_by_hand_and_a_dispute_wait_for_nothing(world: World) -> None:
    """What a person decides now is now, and a disputed payment may be a fraud."""
    window, _ = in_two_days()
    customer, other = world.customer(), world.customer("Ben", "ben@example.com")
    one, two = world.buy(customer), world.buy(other, domain="ben.example")
    await world.sync(customer)
    await world.sync(other)
    world.stripe.dispute(two)
    async with world.functions(SUSPEND_WINDOW=window) as client:
        headers = {"Authorization": "Bearer admin_fake_key"}
        body = {"action": "hold", "subscriptionId": one}
        assert (await client.post("/api/admin/work", json=body, headers=headers)).status_code == 200
        await world.deliver(client, world.stripe.events_of("charge.dispute.created")[-1])
    assert [world.service(name)["state"] for name in (one, two)] == ["suspended", "suspended"]
