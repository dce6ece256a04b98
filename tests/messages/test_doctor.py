"""What the doctor tells of the operator's own systems: reached without sending anything, and what waits for them."""

import socket

from lib.config import Settings
from lib.database import Database
from scripts._doctor import redactor
from scripts.doctor_checks.finding import Finding, Verdict
from scripts.doctor_checks.outgoing import check_outgoing
from tests.messages.receiver import OTHER, SECRET, Receiver, outlet, receiving
from tests.world import World


async def examined(world: World, environ: dict[str, str]) -> list[Finding]:
    """What is found of these settings."""
    settings = Settings.load({**world.environ, **environ})
    database = Database(settings.database_url)
    found = [finding async for finding in check_outgoing(settings, database)]
    await database.close()
    return found


async def test_each_address_is_reached_and_sent_nothing(world: World) -> None:
    """One that nobody listens at is a failure with its remedy; without an address there is nothing to say."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url, gone = f"http://127.0.0.1:{listening.getsockname()[1]}/events", "http://127.0.0.1:1/events"
        good, bad = await examined(world, outlet(url, gone))
        connected, _ = listening.accept()
        with connected:
            assert connected.recv(1) == b""
    assert (good.verdict, bad.verdict) == (Verdict.OK, Verdict.FAIL)
    assert gone in bad.said
    assert await examined(world, {}) == []


async def test_one_that_fails_is_told_with_what_waits(world: World) -> None:
    """As the dashboard does, with the way to enable it."""
    with receiving(Receiver(status=410)) as url:
        environ = outlet(url)
        world.buy(customer := world.customer())
        await world.sync(customer, **environ)
        await world.drain(**environ)
    _, told = await examined(world, environ)
    assert told.verdict is Verdict.WARN
    assert "is disabled, and 2 events wait" in told.said


async def test_a_private_address_is_told_before_anything_is_lost(world: World) -> None:
    """By name or number, unless it is allowed."""
    environ = {"OUTBOX_URL": "https://localhost/events", "OUTBOX_SECRET": SECRET}
    (told,) = await examined(world, environ)
    assert told.verdict is Verdict.FAIL
    assert "no address of the public internet" in told.said


def test_both_secrets_of_a_change_are_hidden() -> None:
    """Whoever quotes one of `old|new`."""
    hide = redactor({"OUTBOX_SECRET": f"{SECRET}|{OTHER}"})
    assert SECRET not in hide(f"a {SECRET} b")
    assert OTHER not in hide(f"a {OTHER} b")
