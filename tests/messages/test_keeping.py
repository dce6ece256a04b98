"""What is kept of outgoing events, for how long, and what becomes of it when a customer is erased."""

import time

from lib.config import Settings
from lib.database import Database, erasure, outbox
from lib.model import CustomerKey
from tests.messages.receiver import Receiver, outlet, receiving
from tests.world import World


async def sweep(world: World, **environ: str) -> None:
    """A whole sweep in a fresh process."""
    async with world.bridge(**environ) as bridge:
        report = await bridge.sweep(deadline=time.monotonic() + 120)
        assert report.finished


async def test_what_was_delivered_is_pruned_and_what_waits_is_not(world: World) -> None:
    """After EVENT_RETENTION_DAYS; what waits for an address that the settings have no more is not kept for ever."""
    taking, away = Receiver(), Receiver(status=500)
    with receiving(taking) as one, receiving(away) as two:
        environ = outlet(one, two)
        world.buy(customer := world.customer())
        await world.sync(customer, **environ)
        await world.drain(**environ)
        world.sql(
            "UPDATE outbox SET created_at = created_at - interval '91 days', ended_at = ended_at - interval '91 days'"
        )
        world.sql("UPDATE outbox_attempts SET at = at - interval '91 days'")
        await sweep(world, **environ)
        assert [row["state"] for row in world.sql("SELECT state FROM outbox")] == ["waiting", "waiting"]
        await sweep(world, **outlet(one))
        assert world.sql("SELECT 1 FROM outbox UNION ALL SELECT 1 FROM outbox_attempts") == []


async def test_a_sweep_finds_what_the_queue_has_lost(world: World) -> None:
    """Without a row of the queue what waits is taken up again."""
    with receiving(found := Receiver()) as url:
        world.buy(customer := world.customer())
        await world.sync(customer, **outlet(url))
        world.sql("DELETE FROM due WHERE kind = 'outbox'")
        await sweep(world, **outlet(url))
        await world.drain(**outlet(url))
    assert found.types(customer) == ["service.provisioned", "service.changed"]


async def test_an_erased_customers_events_are_empty_and_not_sent(world: World) -> None:
    """Delivered or not, the bodies are gone; nothing holds up what is told of them later."""
    with receiving(found := Receiver(status=500)) as url:
        environ = outlet(url)
        bought = world.buy(customer := world.customer())
        await world.sync(customer, **environ)
        db = Database(Settings.load(world.environ).database_url)
        held = await erasure.look(db, CustomerKey.stripe(customer))
        assert held is not None
        assert held.outgoing == 2
        await erasure.erase(db, CustomerKey.stripe(customer), livemode=False, actor="anna")
        await db.close()
        assert {(row["body"], row["state"]) for row in world.sql("SELECT * FROM outbox")} == {("", "skipped")}
        found.status = 200
        world.stripe.cancel(bought)
        await world.sync(customer, **environ)
        await world.drain(**environ)
    assert found.types(customer) == ["service.suspended"]
    assert outbox.KIND not in {row["kind"] for row in world.due()}
