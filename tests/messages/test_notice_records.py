"""Mails to customers as operators see them, and for how long they are kept."""

import subprocess
import sys
import time

from lib.config import Settings
from lib.database import Database, erasure
from lib.model import CustomerKey
from tests.messages.postoffice import mail
from tests.world import ADMIN_KEY, World

DAY = 86400
NOWHERE = mail("smtps://127.0.0.1:9")
BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def behind(world: World) -> str:
    """A customer who is told of a debt, by a mail server that is away."""
    customer = world.customer()
    bought = world.buy(customer)
    await world.sync(customer, **NOWHERE)
    world.stripe.fail_payment(bought, world.stripe.now() - DAY)
    await world.sync(customer, **NOWHERE)
    return customer


def end(world: World, status: str = "sent") -> None:
    """Let a mail have come to its end."""
    world.sql(
        "UPDATE notices SET status = %s, ended_at = now(), recipient = 'ada@example.com', answer = '550 no'"
        " WHERE kind = 'payment_failed'",
        status,
    )


async def test_each_mail_is_in_the_timeline(world: World) -> None:
    """What it was, what became of it, to whom it went, and what the server said."""
    customer = await behind(world)
    end(world)
    async with world.functions() as client:
        answer = (await client.get(f"/api/admin/customers?id={customer}&limit=200", headers=BEARER)).json()
        pages, more = [], ""
        for _ in range(20):
            page = (await client.get(f"/api/admin/customers?id={customer}&limit=1{more}", headers=BEARER)).json()
            pages += page["timeline"]["data"]
            if page["timeline"]["nextCursor"] is None:
                break
            more = f"&cursor={page['timeline']['nextCursor']}"
    assert pages == answer["timeline"]["data"]
    sent, soon = sorted((one for one in pages if one["source"] == "notice"), key=lambda one: str(one["kind"]))
    assert (sent["kind"], sent["state"], sent["facts"]["recipient"]) == ("payment_failed", "sent", "ada@example.com")
    assert sent["steps"][0]["after"] == {"answer": "550 no"}
    assert (soon["kind"], soon["state"]) == ("suspension_soon", "pending")
    assert soon["facts"]["send_at"] < soon["facts"]["date"]


async def test_refused_mails_are_on_the_dashboard(world: World) -> None:
    """With the server's words, as an alert for some days and in the list as long as they are kept."""
    customer = await behind(world)
    end(world, "refused")
    async with world.functions() as client:
        found = (await client.get("/api/admin/dashboard", headers=BEARER)).json()
        assert found["noticesNotSent"]["total"] == 1
        (one,) = found["noticesNotSent"]["newest"]
        assert (one["customerId"], one["kind"], one["answer"]) == (customer, "payment_failed", "550 no")
        assert "notices" in [alert["code"] for alert in found["alerts"]]
        world.sql("UPDATE notices SET ended_at = now() - interval '8 days' WHERE ended_at IS NOT NULL")
        found = (await client.get("/api/admin/dashboard", headers=BEARER)).json()
        assert found["noticesNotSent"]["total"] == 1
        assert "notices" not in [alert["code"] for alert in found["alerts"]]


async def test_old_ones_are_pruned_and_lost_ones_are_found(world: World) -> None:
    """After EVENT_RETENTION_DAYS; what waits is kept, and is due again should the queue have lost it."""
    await behind(world)
    end(world)
    world.sql("UPDATE notices SET ended_at = now() - interval '91 days' WHERE ended_at IS NOT NULL")
    world.sql("UPDATE notices SET send_at = now() WHERE ended_at IS NULL")
    world.sql("DELETE FROM due WHERE kind = 'notice'")
    async with world.bridge(**NOWHERE) as bridge:
        assert (await bridge.sweep(deadline=time.monotonic() + 120)).finished
    assert [row["kind"] for row in world.sql("SELECT kind FROM notices")] == ["suspension_soon"]
    assert len([row for row in world.due() if row["kind"] == "notice"]) == 1


async def test_who_is_erased_is_not_written_to(world: World) -> None:
    """Addresses and answers are gone, what waits is not sent, and nothing new is written."""
    customer = await behind(world)
    end(world)
    db = Database(Settings.load(world.environ).database_url)
    held = await erasure.look(db, CustomerKey.stripe(customer))
    assert held is not None
    assert held.notices == 2
    await erasure.erase(db, CustomerKey.stripe(customer), livemode=False, actor="anna")
    await db.close()
    rows = world.sql("SELECT status, recipient, answer FROM notices ORDER BY status")
    assert [tuple(row.values()) for row in rows] == [("obsolete", None, None), ("sent", None, None)]
    (bought,) = world.sql("SELECT subscription_id FROM services")
    world.stripe.cancel(bought["subscription_id"])
    await world.sync(customer, **NOWHERE)
    assert len(world.sql("SELECT 1 FROM notices")) == 2


async def test_shadow_mode_writes_to_nobody(world: World) -> None:
    """Who is still looked after by something else hears nothing of this."""
    customer = world.customer()
    bought = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(bought, world.stripe.now() - DAY)
    await world.sync(customer, **NOWHERE, PROVISIONING_MODE="shadow")
    assert world.sql("SELECT 1 FROM notices") == []


def test_without_the_settings_nothing_is_loaded() -> None:
    """A pass and a sweep know neither mails nor their texts."""
    program = (
        "import sys, lib.bridge, lib.subscription_manager.customer, lib.subscription_manager.sweep, lib.checkout.order;"
        "print(*sorted(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert loaded.isdisjoint(
        {"smtplib", "lib.database.notices", "lib.policy.notices", "lib.messages", "lib.model.notice"}
    )
