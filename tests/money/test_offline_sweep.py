"""The sweep covers who pays without a provider: lost dates, edits by hand in the panel, and nothing twice."""

import time

from lib.policy.offline_lines import line_name
from tests.money.till import came, order, past, sell, states
from tests.world import World


async def sweep(world: World) -> dict[str, int]:
    """One whole sweep; what it counted."""
    async with world.bridge() as bridge:
        report = await bridge.sweep(deadline=time.monotonic() + 300)
    assert (report.finished, report.errors) == (True, {})
    return report.counts


async def running(world: World) -> str:
    """An offline customer whose site runs; the name of what they bought."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900)
    await world.drain()
    await world.drain()
    name = line_name(made.id)
    assert world.service(name)["state"] == "live"
    return name


async def test_a_world_at_rest_costs_nothing(world: World) -> None:
    """Whoever is equal on both sides is not made due, and nothing of theirs is called an orphan."""
    await running(world)
    await sweep(world)
    await world.drain()
    counts = await sweep(world)
    assert (counts["offline"], counts.get("marked", 0), counts.get("orphans", 0)) == (1, 0, 0)
    assert counts["orgs"] == 1 and counts["websites"] == 1


async def test_lost_dates_are_found(world: World) -> None:
    """Every row of the queue is gone: the next period is asked for and the end noticed, and the hold follows."""
    name = await running(world)
    for days, expected in ((17, []), (14, []), (8, ["unpaid"])):
        past(world, days)
        if days > 8:  # the end of the grace stands in the queue since the sweep has noticed that of the period
            world.sql("DELETE FROM due")
        for _ in range(2):
            await sweep(world)
            await world.drain()
        assert world.service(name)["holds"] == expected
    assert states(world) == [("admin", "paid"), ("renewal", "pending")]


async def test_what_somebody_did_in_the_panel_is_found(world: World) -> None:
    """Hosting deleted by hand is parked, an organisation that was renamed gets its name again."""
    name = await running(world)
    await sweep(world)
    found = world.only_subscription()
    world.panel.orgs[found.org_id].name = "Somebody Else"
    assert (await sweep(world))["marked"] == 1
    await world.drain()
    assert world.panel.orgs[found.org_id].name == "Ada Example"
    found.deleted = True
    await sweep(world)
    await world.drain()
    parked = [row for row in world.due() if row["parked_reason"]]
    assert [(row["key"].partition(":")[0], row["parked_reason"]) for row in parked] == [
        ("bank_transfer", "panel_deleted")
    ]
    assert world.service(name)["state"] == "live", "nothing is made again before somebody says so"
