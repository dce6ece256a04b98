"""The sweep: with every webhook dropped, both sides become equal; with no changes, nothing is marked."""

import time

from tests.world import World


async def sweep(world: World) -> dict[str, int]:
    """Run one whole sweep in a fresh process, and drain what it marked."""
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
        assert report.finished
        await manager.drain(deadline=time.monotonic() + 300, workers=4)
    return report.counts


async def test_a_sweep_finds_what_no_webhook_told(world: World) -> None:
    """With every webhook dropped, one sweep provisions who paid and suspends who stopped paying."""
    anna, ben = world.customer("Anna", "anna@example.com"), world.customer("Ben", "ben@example.com")
    world.buy(anna, domain="anna.example")
    stopped = world.buy(ben, domain="ben.example")
    await sweep(world)
    assert world.panel.world()["subscriptions"] == 2
    world.stripe.mark_unpaid(stopped)
    world.stripe.events.clear()
    counts = await sweep(world)
    assert counts["marked"] == 1
    assert world.sql("SELECT state, holds FROM services ORDER BY customer_id") == [
        {"state": "live", "holds": []},
        {"state": "suspended", "holds": ["unpaid"]},
    ]


async def test_an_unchanged_world_costs_list_pages_only(world: World) -> None:
    """A second sweep marks nobody, asks nothing for a customer, and verifies what was only applied before."""
    world.buy(world.customer("Anna", "anna@example.com"), domain="anna.example")
    await sweep(world)
    await sweep(world)
    world.panel.forget_calls()
    counts = await sweep(world)
    assert counts.get("marked", 0) == 0
    assert world.due() == []
    assert {call.path.rsplit("/", 1)[1] for call in world.panel.calls} == {"customers", "websites"}
    unproven = world.sql(
        "SELECT kind FROM actions a WHERE state = 'applied' AND NOT EXISTS"
        " (SELECT FROM actions v WHERE v.action_id = a.action_id AND v.state = 'verified')"
    )
    assert [row["kind"] for row in unproven] == ["send_welcome"]
