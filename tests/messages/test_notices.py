"""Mails to customers from the fact to the mail server: each once, only while it is true, whatever fails on the way."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.messages.mail import NotTaken, address_of
from scripts.sim.stripe_sim import Obj
from tests.admin import hand
from tests.messages.postoffice import PostOffice, certificate, mail, open_office
from tests.world import World

DAY = 86400


@pytest.fixture
def office(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PostOffice, str]]:
    """A mail server whose certificate this machine trusts, and its address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    found = PostOffice()
    with open_office(found, pem) as url:
        yield found, url


def let_time_pass(world: World, days: int = 0) -> None:
    """Let the time pass that mails and rows of the queue wait for."""
    world.sql("UPDATE notices SET send_at = send_at - make_interval(days => %s, mins => 16)", days)
    world.hurry()


def statuses(world: World) -> dict[str, str]:
    """Kind -> what became of it."""
    return {row["kind"]: row["status"] for row in world.sql("SELECT * FROM notices ORDER BY created_at")}


async def buys(world: World, created: int | None = None, /, **environ: str) -> tuple[str, str]:
    """A customer whose hosting runs."""
    customer = world.customer()
    bought = world.buy(customer, created=created)
    await world.sync(customer, **environ)
    return customer, bought


async def fails(world: World, days: float, created: int | None = None, /, **environ: str) -> tuple[str, str]:
    """A customer whose payment failed so many days ago, as a pass has found it."""
    customer, bought = await buys(world, created, **environ)
    world.stripe.fail_payment(bought, world.stripe.now() - int(days * DAY))
    await world.sync(customer, **environ)
    return customer, bought


def open_invoices(world: World) -> list[Obj]:
    """What is owed at Stripe."""
    return list(world.stripe.tables["invoice"].newest_first({"status": "open"}))


def written(at: datetime) -> str:
    """A date as the English templates write it."""
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


async def test_without_the_settings_nothing_is_written(world: World) -> None:
    """No setting, no row, whatever happens."""
    await fails(world, 1)
    assert world.sql("SELECT 1 FROM notices") == []


async def test_a_debt_from_beginning_to_end(world: World, office: tuple[PostOffice, str]) -> None:
    """Failed, soon, suspended, running again: each once however often passes run, with the link where it is paid."""
    found, url = office
    environ = mail(url)
    customer, bought = await fails(world, 1, **environ)
    for _ in range(2):
        await world.sync(customer, **environ)
        await world.drain(**environ)
    grace_until = world.service(bought)["grace_until"]
    assert found.subjects == ["The payment for shop.example is outstanding"]
    assert written(grace_until.astimezone(UTC)) in found.plain()
    (invoice,) = open_invoices(world)
    assert f"You can pay 19.00 EUR here: {invoice['hosted_invoice_url']}\n" in found.plain()
    assert f'<a href="{invoice["hosted_invoice_url"]}">' in found.html()
    assert statuses(world)["suspension_soon"] == "pending"
    let_time_pass(world, days=6)
    await world.drain(**environ)
    assert found.subjects[1:] == [f"shop.example is switched off on {written(grace_until.astimezone(UTC))}"]
    world.stripe.clock = lambda: time.time() + 7 * DAY
    for _ in range(2):
        world.hurry()
        await world.drain(**environ)
        await world.sync(customer, **environ)
    assert world.service(bought)["state"] == "suspended"
    await world.drain(**environ)
    assert found.subjects[2:] == ["shop.example is switched off"]
    world.stripe.pay_open_invoice(bought)
    for _ in range(2):
        await world.sync(customer, **environ)
        await world.drain(**environ)
    assert found.subjects[3:] == ["shop.example runs again"]
    assert set(statuses(world).values()) == {"sent"}
    assert {mail["To"] for mail in found.taken} == {"ada@example.com"}


async def test_what_is_paid_before_the_mail_goes_out_is_not_sent(world: World, office: tuple[PostOffice, str]) -> None:
    """Nobody is asked for money that has come, though no pass of the customer knows it yet."""
    found, url = office
    _, bought = await fails(world, 1, **mail(url))
    world.stripe.pay_open_invoice(bought)
    await world.come_to_rest(**mail(url))
    let_time_pass(world, days=30)
    await world.come_to_rest(**mail(url))
    assert found.taken == []
    assert statuses(world) == {"payment_failed": "obsolete", "suspension_soon": "obsolete"}


async def test_a_debt_that_was_put_away_still_ends_at_its_date(world: World, office: tuple[PostOffice, str]) -> None:
    """Voiding the invoice ends no grace: they are told the date, and to answer instead of to pay."""
    found, url = office
    await fails(world, 1, int(time.time()) - 70 * DAY, **mail(url))
    (invoice,) = open_invoices(world)
    world.stripe.void_invoice(invoice["id"])
    for _ in range(3):
        await world.drain(**mail(url))
        world.hurry()
    assert "Please answer this mail" in found.plain()
    assert "http" not in found.plain()


async def test_another_date_is_told_in_time(world: World, office: tuple[PostOffice, str]) -> None:
    """An admin's one-off date: the mail before the old one is not sent, and the one before the new one is."""
    found, url = office
    customer, _ = await fails(world, 1, **mail(url))
    await world.drain(**mail(url))
    later = datetime.now(UTC) + timedelta(days=20)
    world.sql("UPDATE services SET grace_override = %s", later)
    await world.sync(customer, **mail(url))
    let_time_pass(world, days=5)
    await world.drain(**mail(url))
    assert len(found.taken) == 1
    let_time_pass(world, days=15)
    await world.drain(**mail(url))
    assert found.subjects[1:] == [f"shop.example is switched off on {written(later)}"]


async def test_an_end_and_its_deletion_are_told(world: World, office: tuple[PostOffice, str]) -> None:
    """Ended with the date of the deletion, once more before it; not to somebody who bought the domain again."""
    found, url = office
    environ = mail(url, RETENTION_DAYS="30")
    customer, bought = await buys(world, **environ)
    world.stripe.cancel(bought)
    for _ in range(2):
        await world.sync(customer, **environ)
        await world.drain(**environ)
    gone_at = written(world.service(bought)["retain_until"].astimezone(UTC))
    assert found.subjects == ["shop.example has ended"]
    assert f"deleted on {gone_at}" in found.plain()
    let_time_pass(world, days=29)
    await world.drain(**environ)
    assert found.subjects[1:] == [f"shop.example is deleted on {gone_at}"]
    other = world.buy(customer)
    await world.sync(customer, **environ)
    assert world.service(other)["website_id"]
    world.sql("UPDATE notices SET status = 'pending', ended_at = NULL WHERE kind = 'deletion_soon'")
    world.sql("INSERT INTO due (kind, key, lane) SELECT 'notice', notice_id, 'out' FROM notices WHERE status='pending'")
    await world.drain(**environ)
    assert len(found.taken) == 2
    assert statuses(world)["deletion_soon"] == "obsolete"


async def test_several_services_of_one_subscription_are_one_mail(world: World, office: tuple[PostOffice, str]) -> None:
    """Five of a thing that end are one end."""
    found, url = office
    customer = world.customer()
    bought = str(
        world.stripe.subscribe(customer, [("price_basic_monthly", 3)], metadata={"domain": "shop.example"})["id"]
    )
    await world.come_to_rest(**mail(url))
    await world.sync(customer, **mail(url))
    world.stripe.cancel(bought)
    await world.sync(customer, **mail(url))
    await world.drain(**mail(url))
    assert found.subjects == ["shop.example has ended"]


async def test_their_language_is_theirs(world: World, office: tuple[PostOffice, str]) -> None:
    """What Stripe knows of it first, then NOTICE_LANGUAGE; names and umlauts arrive as they are."""
    found, url = office
    customer = str(
        world.stripe.create_customer(
            email="jörg@münchen.example", name="Jörg <b>Müller</b>", preferred_locales=["pl", "de-AT"]
        )["id"]
    )
    bought = world.buy(customer, domain="münchen.example")
    await world.sync(customer, **mail(url))
    world.stripe.cancel(bought)
    await world.sync(customer, **mail(url))
    await world.drain(**mail(url))
    assert found.taken == []
    (row,) = world.sql("SELECT * FROM notices")
    assert (row["status"], row["answer"]) == ("refused", "this is no e-mail address that mail servers take")
    world.stripe.update_customer(customer, email="joerg@münchen.example")
    world.sql("UPDATE notices SET status = 'pending', ended_at = NULL")
    world.sql("INSERT INTO due (kind, key, lane) SELECT 'notice', notice_id, 'out' FROM notices")
    await world.drain(**mail(url))
    assert found.subjects == ["xn--mnchen-3ya.example ist beendet"]
    assert found.taken[0]["To"] == "joerg@xn--mnchen-3ya.example"
    assert found.plain().startswith("Hallo Jörg <b>Müller</b>,\n")
    assert "Hallo Jörg &lt;b&gt;Müller&lt;/b&gt;," in found.html()
    assert '<html lang="de">' in found.html()


async def test_a_refusal_is_kept_and_is_the_end(world: World, office: tuple[PostOffice, str]) -> None:
    """5xx for the recipient: shown with the server's words but for the address, and never sent again."""
    found, url = office
    found.recipient_says = lambda address: f"550 5.1.1 <{address}> has no mailbox here"
    await fails(world, 1, **mail(url))
    for _ in range(3):
        await world.drain(**mail(url))
        world.hurry()
    (row,) = world.sql("SELECT * FROM notices WHERE kind = 'payment_failed'")
    assert (row["status"], row["answer"]) == ("refused", "550 5.1.1 <the address> has no mailbox here")
    assert row["attempts"] == 0
    assert found.connections == 1


async def test_what_is_not_taken_for_now_is_tried_again(world: World, office: tuple[PostOffice, str]) -> None:
    """4xx: on the curve, until it is taken."""
    found, url = office
    answers = iter(["451 4.7.1 greylisted", "250 taken"])
    found.text_says = lambda: next(answers)
    await fails(world, 1, **mail(url))
    await world.drain(**mail(url))
    (row,) = world.sql("SELECT * FROM due WHERE kind = 'notice' AND last_error IS NOT NULL")
    assert "451 4.7.1 greylisted" in row["last_error"]
    assert found.taken == []
    world.hurry()
    await world.drain(**mail(url))
    assert len(found.taken) == 1
    assert statuses(world)["payment_failed"] == "sent"


async def test_a_server_that_fails_is_tried_by_one_for_all(world: World, office: tuple[PostOffice, str]) -> None:
    """Nobody is parked for it, and when it is back everybody has their mail, once."""
    found, url = office
    found.password = "another"
    for n in range(4):
        customer = world.customer(f"Ada {n}", f"ada{n}@example.com")
        bought = world.buy(customer, domain=f"shop{n}.example")
        await world.sync(customer, **mail(url))
        world.stripe.cancel(bought)
        await world.sync(customer, **mail(url))
    for _ in range(12):
        await world.drain(**mail(url))
        let_time_pass(world)
    assert {row["parked_reason"] for row in world.due()} == {None}
    said = "the mail server fails: 535 the user or password of MAIL_URL is refused"
    assert said in {row["last_error"] for row in world.due()}
    assert found.connections <= 4 + 12
    found.password = "fake:password"
    for _ in range(2):
        await world.drain(**mail(url))
        let_time_pass(world)
    assert sorted(str(one["To"]) for one in found.taken) == [f"ada{n}@example.com" for n in range(4)]


async def test_a_person_who_asks_has_the_server_tried_at_once(world: World, office: tuple[PostOffice, str]) -> None:
    """What others put off for a server that failed goes out when somebody has mended it and says retry, not later."""
    found, url = office
    found.password = "another"
    for n in range(2):
        bought = world.buy(customer := world.customer(email=f"ada{n}@example.com"), domain=f"s{n}.example")
        await world.sync(customer, **mail(url))
        world.stripe.cancel(bought)
        await world.sync(customer, **mail(url))
    await world.drain(**mail(url))
    assert len(world.sql("SELECT kind FROM notices WHERE status = 'pending'")) == 2 and not found.taken
    found.password = "fake:password"
    await world.drain(**mail(url))
    assert found.taken == []
    async with world.functions(**mail(url)) as client:
        counted = await hand.act(client, "retry", filter={}, dryRun=True)
        seen = {"expected": counted.json()["matches"], "asOf": counted.json()["asOf"]}
        assert (await hand.act(client, "retry", filter={}, **seen)).status_code == 202
    await world.drain(**mail(url))
    assert sorted(str(one["To"]) for one in found.taken) == ["ada0@example.com", "ada1@example.com"]


async def test_a_server_that_fails_for_long_calls_for_a_person(world: World, office: tuple[PostOffice, str]) -> None:
    """As long as customers are written to at all, and until it has taken a mail again."""
    found, url = office
    found.password = "another"
    await fails(world, 1, **mail(url))
    await world.drain(**mail(url))
    assert await alerts(world, **mail(url)) == []
    world.sql("UPDATE pulses SET failing_since = now() - interval '11 minutes' WHERE name = 'mail'")
    let_time_pass(world)
    await world.drain(**mail(url))
    (alert,) = await alerts(world, **mail(url))
    assert alert["code"] == "mail_server"
    assert "535 the user or password of MAIL_URL is refused" in alert["detail"]
    assert await alerts(world) == []
    found.password = "fake:password"
    let_time_pass(world)
    await world.drain(**mail(url))
    assert await alerts(world, **mail(url)) == []


async def alerts(world: World, **environ: str) -> list[dict[str, Any]]:
    """What the dashboard says that somebody must know of."""
    async with world.functions(**environ) as client:
        found: list[dict[str, Any]] = (await client.get(hand.DASHBOARD, headers=hand.ADMIN)).json()["alerts"]
    return found


@pytest.mark.parametrize("starttls", [True, False])
async def test_a_certificate_that_nobody_vouches_for_is_refused(world: World, pem: Path, *, starttls: bool) -> None:
    """No password and no address goes to a server that can't prove its name."""
    found = PostOffice()
    with open_office(found, pem, starttls=starttls) as url:
        await fails(world, 1, **mail(url))
        await world.drain(**mail(url))
    (row,) = world.sql("SELECT * FROM notices WHERE kind = 'payment_failed'")
    assert row["status"] == "pending"
    assert row["answer"].startswith("the certificate is refused")
    assert (found.taken, row["recipient"]) == ([], None)
    errors = [one["last_error"] for one in world.due() if one["kind"] == "notice" and one["last_error"]]
    assert [error.partition(": the certificate")[0] for error in errors] == ["the mail server fails"]


async def test_another_servers_certificate_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must be for the name in MAIL_URL, even when it is trusted."""
    other = certificate(tmp_path, "mail.example.net")
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with open_office(found := PostOffice(), other) as url:
        await fails(world, 1, **mail(url))
        await world.drain(**mail(url))
    assert found.taken == []
    assert "certificate is refused" in world.sql("SELECT answer FROM notices WHERE answer IS NOT NULL")[0]["answer"]


async def test_nothing_goes_out_unencrypted(world: World, pem: Path) -> None:
    """A server without STARTTLS gets no password and no mail."""
    with open_office(found := PostOffice(), pem, encrypts=False) as url:
        await fails(world, 1, **mail(url))
        await world.drain(**mail(url))
    assert found.taken == []
    assert "STARTTLS" in world.sql("SELECT answer FROM notices WHERE answer IS NOT NULL")[0]["answer"]


async def test_tls_from_the_start(world: World, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`smtps://` is encrypted before the first word."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with open_office(found := PostOffice(), pem, starttls=False) as url:
        await fails(world, 1, **mail(url))
        await world.drain(**mail(url))
    assert found.subjects == ["The payment for shop.example is outstanding"]


async def test_a_lost_answer_is_one_more_mail_at_most(world: World, office: tuple[PostOffice, str]) -> None:
    """The same id both times, so that it is known as a copy; after a second lost answer a person looks."""
    found, url = office
    found.loses_answers = 9
    await fails(world, 1, **mail(url))
    for _ in range(5):
        await world.drain(**mail(url))
        let_time_pass(world)
    assert len(found.taken) == 2
    assert len({one["Message-ID"] for one in found.taken}) == 1
    assert statuses(world)["payment_failed"] == "unsure"


async def test_a_connection_that_breaks_before_the_text_is_no_lost_answer(
    world: World, office: tuple[PostOffice, str]
) -> None:
    """Nothing was sent, so it is simply sent later."""
    found, url = office
    found.breaks = 3
    await fails(world, 1, **mail(url))
    for _ in range(5):
        await world.drain(**mail(url))
        let_time_pass(world)
    assert len(found.taken) == 1
    assert statuses(world)["payment_failed"] == "sent"


def test_every_address_has_one_line() -> None:
    """What would begin a header or a second recipient is no address."""
    for typed in ("ada@example.com\r\nBcc: eve@example.net", "a@b@example.com", "ada", "ada@", "<ada@example.com>", ""):
        with pytest.raises(NotTaken):
            address_of(typed)
    assert address_of(" Ada+1@Example.COM ") == "Ada+1@example.com"
