"""Processes that die at each of their steps: who is told, is told once, of whatever it is."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib.messages.mail import Server
from lib.model import Lane
from tests.killed import Life, lives, writes
from tests.messages.postoffice import PostOffice, certificate, mail, open_office
from tests.money.till import came, order, past, sell
from tests.world import World

DAY = 86400
AWAY = mail("smtps://127.0.0.1:9")
"""Mails are written, and the mail server is not there."""

PAUSES = {"PAUSE_COLLECTION": "suspend"}


def told(world: World, since: int = 0) -> list[str]:
    """The kinds of the mails after so many, oldest first."""
    return [row["kind"] for row in world.sql("SELECT kind FROM notices ORDER BY created_at, kind OFFSET %s", since)]


def all_due(world: World) -> bool:
    """Whether every mail that waits is in the queue, each in the same transaction."""
    return not world.sql(
        "SELECT 1 FROM notices WHERE status = 'pending' AND NOT EXISTS"
        " (SELECT FROM due WHERE kind = 'notice' AND key = notice_id::text)"
    )


async def bought(world: World, customer: str | None = None) -> tuple[str, str]:
    """A customer with one more hosting that runs, and of which nothing was told."""
    customer = customer or world.customer()
    subscription = world.buy(customer, domain=None)
    world.sql("DELETE FROM services WHERE state = 'suspended'")  # what an earlier death was about
    await world.sync(customer)
    assert world.service(subscription)["state"] == "live"
    return customer, subscription


async def again(world: World, customer: str) -> None:
    """The lease of the dead is over, and what they had begun can't take effect any more: a fresh process."""
    world.hurry()
    world.age_intents()
    await world.sync(customer, **AWAY, **PAUSES)


async def test_a_debt_that_is_killed_at_any_write_is_told_once(world: World) -> None:
    """The pass that finds it: its mails are there once, together with what is remembered of the debt."""
    customer, subscription = await bought(world)
    for steps in range(100):
        world.stripe.fail_payment(subscription, world.stripe.now() - DAY + steps)
        before = len(told(world))
        lived = await lives(steps, lambda: world.sync(customer, **AWAY), writes)
        remembered = world.service(subscription)["grace_until"] is not None
        assert bool(told(world, before)) is remembered, steps
        await again(world, customer)
        assert sorted(told(world, before)) == ["payment_failed", "suspension_soon"], steps
        assert all_due(world)
        if lived:
            break
        world.stripe.pay_open_invoice(subscription)
        await again(world, customer)
    assert 3 < steps < 100


Change = Callable[[World, str, int], Any]


def later(world: World, subscription: str, n: int) -> None:
    """Cancel it for a date that no other one has."""
    found = world.stripe.get(subscription, "subscription")
    world.stripe.edit(found, world.stripe.now(), None, cancel_at=world.stripe.now() + (30 + n) * DAY)


async def test_each_fact_that_is_killed_at_any_write_is_told_once(world: World) -> None:
    """Suspended, running again, cancelled for a date: one mail each, wherever the pass dies that does it."""
    facts: dict[str, Change] = {
        "suspended": lambda world, sub, _: world.stripe.set_pause_collection(sub, "void"),
        "running_again": lambda world, sub, _: world.stripe.set_pause_collection(sub, None),
        "ending": later,
    }
    customer, subscription = await bought(world)
    alive: dict[str, int] = {}
    for steps in range(100):
        for kind, change in facts.items():
            if kind == "ending" and kind in alive:
                continue
            before = len(told(world))
            change(world, subscription, steps)
            lived = await lives(steps, lambda: world.sync(customer, **AWAY, **PAUSES), writes)
            await again(world, customer)
            assert (told(world, before), all_due(world)) == ([kind], True), (kind, steps)
            if lived:
                alive.setdefault(kind, steps)
        if alive.keys() == facts.keys():
            break
    assert alive["ending"] > 2 and alive["suspended"] > 5 and alive["running_again"] > 5
    count = len(told(world))
    await again(world, customer)
    assert len(told(world)) == count


async def test_an_end_that_is_killed_at_any_write_is_told_once(world: World) -> None:
    """A subscription ends once: each death has one of its own."""
    customer = None
    for steps in range(100):
        customer, subscription = await bought(world, customer)
        world.stripe.cancel(subscription)
        before = len(told(world))
        lived = await lives(steps, lambda customer=customer: world.sync(customer, **AWAY), writes)  # type: ignore[misc]
        await again(world, customer)
        assert (told(world, before), all_due(world)) == (["ended"], True), steps
        if lived:
            break
    assert 3 < steps < 100


async def test_a_renewal_that_is_killed_at_any_write_is_asked_for_once(world: World) -> None:
    """The pass that makes the order of the next period: the mail is there with the order, and with it alone."""
    sell(world)
    world.environ |= AWAY
    made = await order(world)
    await came(world, made, 1900, external_id="line 1")
    await at_rest(world)
    past(world, 17)
    died = 0
    for steps in range(100):
        lived = await lives(steps, lambda: at_rest(world), writes)
        asked = len(world.sql("SELECT 1 FROM orders WHERE renews IS NOT NULL"))
        assert (told(world).count("renewal_due"), all_due(world)) == (asked, True), steps
        died += not asked
        world.hurry()
        if lived:
            break
    assert (told(world), died > 3) == (["order_paid", "renewal_due"], True)


async def test_money_that_is_killed_at_any_write_is_thanked_for_once(world: World) -> None:
    """The call that takes it in comes again with the same line of the bank."""
    sell(world)
    world.environ |= AWAY
    for steps in range(100):
        made = await order(world, domain=f"shop{steps}.example")
        before = len(told(world))

        async def comes(made: Any = made, line: str = f"line {steps}") -> None:
            await came(world, made, 1900, external_id=line)

        lived = await lives(steps, comes, writes)
        (paid,) = world.sql("SELECT state FROM orders WHERE order_id::text = %s", made.id)
        assert bool(told(world, before)) is (paid["state"] == "paid"), steps
        await comes()
        assert (told(world, before), all_due(world)) == (["order_paid"], True), steps
        if lived:
            break
    assert 3 < steps < 100


async def at_rest(world: World) -> None:
    """Run what is due, but for what goes out."""
    async with world.bridge() as bridge:
        await bridge.drain(deadline=float("inf"), lanes=(Lane.STRIPE, Lane.PANEL))


@pytest.mark.parametrize("kind", ["running_again", "order_paid"])
async def test_sending_that_is_killed_at_any_step_is_taken_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Before each write, and before and after each word to the server: one mail, or two of one id where the process
    died between the text and writing down its answer; never more, and none is forgotten.
    """
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    about = await subject(world, kind)
    world.sql("DELETE FROM due")
    with open_office(office := PostOffice(), pem) as url:
        for steps in range(100):
            world.sql(
                "WITH one AS (INSERT INTO notices (provider, customer_id, kind, about, subscription_id, slot, order_id)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING notice_id)"
                " INSERT INTO due (kind, key, lane) SELECT 'notice', notice_id, 'out' FROM one",
                *about[:2], kind, f"{about[2:]}:{steps}", *about[2:],
            )  # fmt: skip
            life = Life(steps, writes)
            with monkeypatch.context() as patch:
                mortal(patch, life)
                lived = await life.lives(lambda: world.drain(**mail(url)))
            for _ in range(2):
                world.sql("UPDATE notices SET send_at = send_at - interval '16 minutes' WHERE status = 'pending'")
                world.hurry()
                await world.drain(**mail(url))
            assert {row["status"] for row in world.sql("SELECT status FROM notices")} == {"sent"}, steps
            assert world.due() == []
            if lived:
                break
    copies = Counter(str(one["Message-ID"]) for one in office.taken)
    assert len(copies) == steps + 1
    assert set(copies.values()) == {1, 2}
    assert list(copies.values()).count(2) == 2, "only where it can't be known: before its answer is seen, and written"


async def test_a_process_that_dies_twice_after_the_text_leaves_it_to_a_person(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two copies may be out, and no third is sent: it is shown as unsure."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    sell(world)
    world.environ |= AWAY
    made = await order(world)
    await came(world, made, 1900, external_id="line 1")
    world.sql("DELETE FROM due WHERE kind <> 'notice'")
    with open_office(office := PostOffice(), pem) as url:
        for _ in range(4):
            life = Life(100)
            with monkeypatch.context() as patch:
                mortal(patch, life, dies_after_text=True)
                await life.lives(lambda: world.drain(**mail(url)))
            world.sql("UPDATE notices SET send_at = send_at - interval '16 minutes' WHERE status = 'pending'")
            world.hurry()
    assert len(office.taken) == 2
    assert [row["status"] for row in world.sql("SELECT status FROM notices")] == ["unsure"]


async def subject(world: World, kind: str) -> tuple[Any, ...]:
    """What a mail of this kind can truly be about: provider, customer, subscription, slot, order."""
    if kind == "running_again":
        customer, subscription = await bought(world)
        return "stripe", customer, subscription, 1, None
    sell(world)
    made = await order(world)
    await came(world, made, 1900, external_id="line 1")
    return made.provider.value, made.terms.customer_id, None, None, made.id


def mortal(patch: pytest.MonkeyPatch, life: Life, *, dies_after_text: bool = False) -> None:
    """Let the words to the mail server be steps of this life, before each and after each."""

    def around(word: Callable[..., Any]) -> Callable[..., Any]:
        def spoken(*given: Any) -> Any:
            life.step()
            answer = word(*given)
            life.dead = life.dead or (dies_after_text and word is hand_over)
            life.step()
            return answer

        return spoken

    hand_over = Server.hand_over
    patch.setattr(Server, "open", around(Server.open))
    patch.setattr(Server, "hand_over", around(hand_over))
