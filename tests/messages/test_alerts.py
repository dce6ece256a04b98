"""Alerts: somebody is told of each cause once, daily while it lasts, and when it is over."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.config import Alarm, Secret, Settings
from lib.database import alert_facts
from lib.messages import alarm as formats
from lib.messages.alarm import Word
from lib.policy.alerts import causes
from scripts.sim.server import serve
from tests.killed import lives
from tests.messages.postoffice import PostOffice, certificate, mail, open_office
from tests.messages.receiver import Receiver, receiving
from tests.world import ADMIN_KEY, World

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
CAUSE = "parked:unmapped_price"


def told(url: str, form: str = "json", **more: str) -> dict[str, str]:
    """The settings for this receiver."""
    return {"ALERT_WEBHOOK_URL": url, "ALERT_FORMAT": form, "OUTBOX_ALLOW_PRIVATE": "1", **more}


async def run(world: World, environ: dict[str, str]) -> None:
    """Let the time pass that rows wait for, and run what is due, until a look and what it leads to are done."""
    for _ in range(2):
        world.hurry()
        await world.drain(**environ)


async def parked(world: World, environ: dict[str, str]) -> str:
    """A customer who waits for a mapping, and is told of."""
    world.sql("DELETE FROM plan_mappings WHERE billing_plan_id = 'price_big_monthly'")
    world.buy(customer := world.customer(), "price_big_monthly", domain=None)
    await world.sync(customer, **environ)
    await run(world, environ)
    return customer


async def look(world: World, environ: dict[str, str]) -> None:
    """Look now, and see to every open cause."""
    world.sql("UPDATE due SET due_at = now() WHERE kind <> 'customer'")
    world.sql("INSERT INTO due (kind, key, lane) VALUES ('watch', 'alerts', 'stripe') ON CONFLICT DO NOTHING")
    await world.drain(**environ)


def words(receiver: Receiver) -> list[tuple[str, str]]:
    """(cause, what) of everything that was taken."""
    return [(word["cause"], word["what"]) for word in receiver.taken]


async def test_a_cause_is_told_once_reminded_daily_and_told_when_over(world: World) -> None:
    """Whatever runs meanwhile; after the second look that does not find it, and not before, it is over."""
    with receiving(receiver := Receiver()) as url:
        environ = told(url)
        customer = await parked(world, environ)
        assert words(receiver) == [(CAUSE, "open")]
        word = receiver.taken[0]
        assert (word["code"], word["severity"]) == ("parked", "error")
        assert "plan_mappings" in word["remedy"]
        await world.sync(customer, **environ)
        await run(world, environ)
        assert words(receiver) == [(CAUSE, "open")]
        world.sql("UPDATE alert_receivers SET told_at = told_at - interval '1 day'")
        await run(world, environ)
        assert words(receiver)[1:] == [(CAUSE, "reminder")]
        world.map_price("price_big_monthly", "big-hosting-plan")
        await run(world, environ)
        await run(world, environ)
        assert len(receiver.taken) == 2
        world.sql("UPDATE alerts SET clean_since = clean_since - interval '6 minutes'")
        await run(world, environ)
        assert words(receiver)[2:] == [(CAUSE, "over")]
        assert world.sql("SELECT * FROM alerts") == []
        await run(world, environ)
        assert len(receiver.taken) == 3
        assert [row["kind"] for row in world.due() if row["kind"] == "alert"] == []


async def test_what_comes_back_before_it_is_over_is_not_told_anew(world: World) -> None:
    """A cause that one look does not find and the next one does has never ended."""
    rest = "due_at = '2100-01-01' WHERE kind = 'customer'"
    with receiving(receiver := Receiver()) as url:
        environ = told(url)
        await parked(world, environ)
        world.sql(f"UPDATE due SET parked_reason = NULL, parked_at = NULL, {rest}")  # noqa: S608
        await look(world, environ)
        assert world.sql("SELECT clean_since IS NOT NULL AS clean FROM alerts") == [{"clean": True}]
        world.sql(f"UPDATE due SET parked_reason = 'unmapped_price', parked_at = now(), {rest}")  # noqa: S608
        await look(world, environ)
        assert world.sql("SELECT clean_since FROM alerts") == [{"clean_since": None}]
        assert words(receiver) == [(CAUSE, "open")]


async def test_a_receiver_that_refuses_is_shown_on_the_page_and_tried_again(world: World) -> None:
    """The dashboard names the cause, since when, and why nobody was told; the queue tries again, and parks nobody."""
    with receiving(receiver := Receiver(status=403)) as url:
        environ = told(url)
        await parked(world, environ)
        async with world.functions(**environ) as client:
            shown = (await client.get("/api/admin/dashboard", headers=BEARER)).json()
        (alert,) = shown["openAlerts"]
        assert (alert["cause"], alert["lastToldAt"]) == (CAUSE, None)
        assert alert["deliveryError"] == "127.0.0.1: it answered 403"
        assert alert["openedAt"]
        assert "hook" not in alert["deliveryError"]
        assert [one["code"] for one in shown["alerts"]] == ["parked"]
        assert shown["queue"]["parked"]["byReason"] == {"unmapped_price": 1}
        receiver.status = 200
        await run(world, environ)
        assert words(receiver) == [(CAUSE, "open")]
        async with world.functions(**environ) as client:
            (alert,) = (await client.get("/api/admin/dashboard", headers=BEARER)).json()["openAlerts"]
        assert alert["lastToldAt"] is not None
        assert alert["deliveryError"] is None


async def test_no_private_address_is_written_to(world: World) -> None:
    """The rules of outgoing events hold: https, and an address of the public internet."""
    await parked(world, {"ALERT_WEBHOOK_URL": "https://127.0.0.1:9/hook"})
    (row,) = world.sql("SELECT told_at, error FROM alert_receivers")
    assert row["told_at"] is None
    assert "no address of the public internet" in row["error"]


async def test_a_mailbox_is_told(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the mail server of the notices, under an id that a second copy has, too; a refusal is kept for the page."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with open_office(office := PostOffice(), pem) as url:
        environ = mail(url, ALERT_EMAIL="oncall@example.com")
        office.recipient_says = lambda address: "550 no such mailbox" if address.startswith("oncall") else "250 ok"
        await parked(world, environ)
        assert "550" in world.sql("SELECT error FROM alert_receivers")[0]["error"]
        office.recipient_says = None
        await run(world, environ)
    (letter,) = office.taken
    assert letter["To"] == "oncall@example.com"
    assert letter["Subject"] == "Parked: unmapped_price"
    assert letter["Message-ID"].endswith("@example.com>")
    assert "plan_mappings" in office.plain()


def refuse(_address: str) -> str:
    """A mailbox that is not there."""
    return "550 no such mailbox"


async def test_two_receivers_are_told_each_for_themselves(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes a word hears it once, however long the other refuses it: open, reminded, over, and back again."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with open_office(office := PostOffice(), pem) as mails, receiving(receiver := Receiver()) as url:
        environ = {**told(url), **mail(mails, ALERT_EMAIL="oncall@example.com")}
        office.recipient_says = refuse
        await parked(world, environ)
        await run(world, environ)
        assert words(receiver) == [(CAUSE, "open")]
        assert office.taken == []
        office.recipient_says = None
        await run(world, environ)
        assert (len(receiver.taken), len(office.taken)) == (1, 1)

        world.sql("UPDATE alert_receivers SET told_at = told_at - interval '1 day'")
        receiver.status = 503
        await run(world, environ)
        await run(world, environ)
        assert (len(receiver.taken), [letter["Subject"] for letter in office.taken][1:]) == (
            1, ["Still: Parked: unmapped_price"],
        )  # fmt: skip
        receiver.status = 200
        await run(world, environ)
        assert (words(receiver)[1:], len(office.taken)) == ([(CAUSE, "reminder")], 2)

        world.map_price("price_big_monthly", "big-hosting-plan")
        office.recipient_says = refuse
        await run(world, environ)
        world.sql("UPDATE alerts SET clean_since = clean_since - interval '6 minutes'")
        await run(world, environ)
        await run(world, environ)
        assert (words(receiver)[2:], len(office.taken)) == ([(CAUSE, "over")], 2)
        async with world.functions(**environ) as client:
            (alert,) = (await client.get("/api/admin/dashboard", headers=BEARER)).json()["openAlerts"]
        assert (alert["cause"], alert["over"]) == (CAUSE, True)
        assert "550" in alert["deliveryError"]

        rest = "due_at = '2100-01-01' WHERE kind = 'customer'"
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', 'cus_x') ON CONFLICT DO NOTHING")
        world.sql(f"UPDATE due SET parked_reason = 'unmapped_price', parked_at = now(), {rest}")  # noqa: S608
        await look(world, environ)
        assert (words(receiver)[3:], len(office.taken)) == ([(CAUSE, "open")], 2), "not who knew all the time"
        assert world.sql("SELECT error FROM alert_receivers WHERE error IS NOT NULL") == []
        world.sql("DELETE FROM due WHERE key = 'cus_x'")
        office.recipient_says = None
        await look(world, environ)
        world.sql("UPDATE alerts SET clean_since = clean_since - interval '6 minutes'")
        await run(world, environ)
        assert words(receiver)[4:] == [(CAUSE, "over")]
        assert [letter["Subject"] for letter in office.taken][2:] == ["Over: Parked: unmapped_price"]
        assert world.sql("SELECT cause FROM alerts") == []


async def test_a_slow_receiver_keeps_nobody_waiting(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one takes its time the other has heard it, and it is written down; what dies meanwhile tells it once."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    asked, release = asyncio.Event(), asyncio.Event()
    slow = Receiver()
    loop = asyncio.get_running_loop()

    async def hang(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            loop.call_soon_threadsafe(asked.set)
            while not release.is_set():  # noqa: ASYNC110 - it is another thread's loop
                await asyncio.sleep(0.02)
        await slow(scope, receive, send)

    with open_office(office := PostOffice(), pem) as mails, serve(hang) as url:
        environ = {**told(f"{url}/hook"), **mail(mails, ALERT_EMAIL="oncall@example.com")}
        await parked_only(world, environ)
        task = asyncio.create_task(look(world, environ))
        await asked.wait()
        while not world.sql("SELECT told_at FROM alert_receivers WHERE receiver = 'mail'"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert len(office.taken) == 1
        task.cancel()  # the process dies while the slow one thinks
        await asyncio.gather(task, return_exceptions=True)
        release.set()
        world.sql("UPDATE due SET lease_id = NULL, leased_until = NULL")
        await run(world, environ)
        assert len(office.taken) == 1
        assert {what for _, what in words(slow)} == {"open"}
        assert len(world.sql("SELECT told_at FROM alert_receivers WHERE told_at IS NOT NULL AND error IS NULL")) == 2


async def parked_only(world: World, environ: dict[str, str]) -> None:
    """A customer who waits for a mapping; nobody was told yet."""
    world.sql("DELETE FROM plan_mappings WHERE billing_plan_id = 'price_big_monthly'")
    world.buy(customer := world.customer(), "price_big_monthly", domain=None)
    await world.sync(customer, **{**environ, "ALERT_WEBHOOK_URL": "", "ALERT_EMAIL": ""})


async def test_a_pause_stops_no_alert(world: World) -> None:
    """With PROVISIONING_MODE=paused what a sweep shows, a brake and a refused token are told and over; no pass runs."""
    with receiving(receiver := Receiver()) as url:
        environ = told(url, PROVISIONING_MODE="paused")
        world.buy(customer := world.customer())
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s), ('payment', 'pi_1')", customer)
        world.sql("UPDATE brake SET engaged_at = now(), reason = 'many' WHERE counts = 'suspensions'")
        world.panel.knobs.token_expires = (datetime.now(UTC) + timedelta(days=3)).isoformat()
        async with world.bridge(**environ) as bridge:
            assert (await bridge.sweep(deadline=asyncio.get_running_loop().time() + 1e9)).finished
            drained = await bridge.drain(deadline=asyncio.get_running_loop().time() + 60)
        assert sorted(words(receiver)) == [("brake", "open"), ("token_expires", "open")]
        assert drained.passes == 3
        assert (world.panel.orgs, world.sql("SELECT customer_id FROM customers WHERE org_id IS NOT NULL")) == ({}, [])
        world.sql("UPDATE brake SET engaged_at = NULL")
        await look(world, environ)
        world.sql("UPDATE alerts SET clean_since = clean_since - interval '6 minutes'")
        await run(world, environ)
        assert words(receiver)[2:] == [("brake", "over")]
        assert {row["kind"] for row in world.due()} >= {"customer", "payment"}


async def test_without_a_receiver_nothing_is_written_or_woken(world: World) -> None:
    """The page shows the cause all the same."""
    await parked(world, {})
    assert world.sql("SELECT * FROM alerts") == []
    assert {row["kind"] for row in world.due()} == {"customer"}
    async with world.functions() as client:
        (alert,) = (await client.get("/api/admin/dashboard", headers=BEARER)).json()["openAlerts"]
    assert (alert["cause"], alert["lastToldAt"], alert["deliveryError"]) == (CAUSE, None, None)


async def test_many_processes_ask_for_one_look_and_not_soon_again(world: World) -> None:
    """However many passes end: one row of the queue, which is due five minutes after the last look."""
    environ = told("http://127.0.0.1:9/hook")
    world.sql("UPDATE pulses SET beat_at = now() WHERE name = 'alerts'")
    payers = [world.customer(f"C{n}", f"c{n}@example.com") for n in range(3)]
    await asyncio.gather(*(world.sync(payer, **environ) for payer in payers))
    (row,) = [row for row in world.due() if row["kind"] == "watch"]
    (last,) = world.sql("SELECT beat_at FROM pulses WHERE name = 'alerts'")
    assert row["due_at"] == last["beat_at"] + timedelta(minutes=5)


async def test_an_idle_installation_is_woken_by_its_sweeps_alone(world: World) -> None:
    """After a look that finds nothing the next one is due when a sweep would be overdue, and looks make no looks."""
    environ = told("http://127.0.0.1:9/hook")
    async with world.bridge(**environ) as bridge:
        assert (await bridge.sweep(deadline=asyncio.get_running_loop().time() + 1e9)).finished
    await world.drain(**environ)
    (row,) = world.due()
    (began,) = world.sql("SELECT started_at FROM sweeps")
    assert (row["kind"], row["due_at"]) == ("watch", began["started_at"] + timedelta(hours=3))


async def test_telling_that_is_killed_at_any_statement_is_never_lost(world: World) -> None:
    """Told once, or twice where the process died between the answer and writing it down, whatever died before."""
    with receiving(receiver := Receiver()) as url:
        environ = told(url)
        for statements in range(60):
            receiver.calls.clear()
            receiver.taken.clear()
            world.sql("DELETE FROM alerts")
            world.sql("DELETE FROM due")
            world.sql(
                "INSERT INTO due (kind, key, due_at, parked_reason, parked_at)"
                " VALUES ('customer', 'cus_1', NULL, 'unmapped_price', now())"
            )
            world.sql("INSERT INTO due (kind, key, lane) VALUES ('watch', 'alerts', 'stripe')")
            lived = await lives(statements, lambda: world.drain(**environ))
            await run(world, environ)
            assert words(receiver) in ([(CAUSE, "open")], [(CAUSE, "open")] * 2), statements
            if lived:
                break
        assert lived


# --- the facts --------------------------------------------------------------------------------------------------------


async def found(world: World, **environ: str) -> dict[str, Any]:
    """What calls for a person in this world, by cause."""
    async with world.bridge(**environ) as bridge:
        facts = await alert_facts.of(bridge.db, bridge.settings)
        return {cause.cause: cause for cause in causes(facts, alert_facts.limits(bridge.settings))}


async def test_events_that_the_webhook_missed_are_told_once_a_sweep_has_found_them(world: World) -> None:
    """Not those of the very first sweep, nor what was on its way just then; a sweep that finds none ends it."""
    sweep = "INSERT INTO sweeps (started_at, finished_at, phase) VALUES (now() - %s::interval, now(), 'prune')"
    event = (
        "INSERT INTO events (event_id, type, outcome, source, body, created_at) VALUES"
        " (%s, 'invoice.paid', 'accepted', 'sweep', '{}', now() - %s::interval)"
    )
    world.sql(sweep, "1 minute")
    world.sql(event, "evt_1", "2 hours")
    assert await found(world) == {}
    world.sql("UPDATE sweeps SET started_at = now() - interval '2 hours', finished_at = now() - interval '2 hours'")
    world.sql(event, "evt_2", "2 seconds")
    world.sql(sweep, "1 minute")
    assert "1 events" in (await found(world))["webhook"].detail
    world.sql("UPDATE events SET received_at = now() - interval '1 hour'")
    assert await found(world) == {}


async def test_the_panels_token_is_told_before_it_ends(world: World) -> None:
    """A sweep reads the end; what the panel does not show is unknown, and a refusal leaves what was said before."""
    world.panel.knobs.token_expires = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    for refused in (False, True):
        if refused:
            world.panel.fail_next("GET", "access_tokens", 403, times=9, code="unauthorized")
        async with world.bridge() as bridge:
            await bridge.sweep(deadline=asyncio.get_running_loop().time() + 1e9)
        assert "token_expires" in await found(world)
    world.panel.clear_faults()
    world.panel.knobs.token_expires = None
    async with world.bridge() as bridge:
        await bridge.sweep(deadline=asyncio.get_running_loop().time() + 1e9)
    assert await found(world) == {}


async def test_money_and_the_database_are_looked_at(world: World) -> None:
    """Paid after the end, a dispute to answer, a refused key, and a database that is nearly full: each by its name."""
    world.sql(
        "INSERT INTO actions (action_id, customer_id, subscription_id, slot, kind, state, facts) VALUES"
        " (gen_random_uuid(), 'cus_1', 'sub_1', 1, 'paid_after_end', 'noted', %s)",
        '{"amount": 1900, "currency": "eur"}',
    )
    world.sql(
        "INSERT INTO disputes (dispute_id, customer_id, status, amount, currency, created_at, due_by) VALUES"
        " ('dp_1', 'cus_1', 'needs_response', 1900, 'eur', now(), now() + interval '5 days'),"
        " ('dp_2', 'cus_1', 'under_review', 1900, 'eur', now(), now() + interval '5 days')"
    )
    world.sql("UPDATE pulses SET beat_at = now(), error = 'panel_token: 403' WHERE name = 'enhance'")
    shown = await found(world, DATABASE_ALLOWANCE_MB="10")
    assert set(shown) == {"paid_after_end:sub_1", "dispute:dp_1", "panel_token", "database_allowance"}
    assert "19.00 EUR" in shown["paid_after_end:sub_1"].detail


# --- the formats ------------------------------------------------------------------------------------------------------

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORD = Word("dispute:dp_1", "dispute", "open", "A dispute", "<b> & <!channel>", "Answer it.", "error", AT, AT)


def alarm(form: Any) -> Alarm:
    """Who is told."""
    return Alarm(Secret("https://hooks.example.com/T/hook_fake"), form, Secret("routing_fake"), None, None, False)


def test_pagerduty_knows_a_cause_again() -> None:
    """The key of an incident is the cause: a reminder raises the same one, and the end resolves it."""
    event = formats.pagerduty(WORD, alarm("pagerduty"))
    assert (event["event_action"], event["dedup_key"]) == ("trigger", "dispute:dp_1")
    assert event["routing_key"] == "routing_fake"
    assert event["payload"]["severity"] == "error"
    assert set(event["payload"]) >= {"summary", "source", "severity"}
    long = formats.pagerduty(Word(**{**_fields(WORD), "detail": "x" * 5000}), alarm("pagerduty"))
    assert len(long["payload"]["summary"]) == 1024
    over = formats.pagerduty(Word(**{**_fields(WORD), "what": "over"}), alarm("pagerduty"))
    assert over == {"routing_key": "routing_fake", "dedup_key": "dispute:dp_1", "event_action": "resolve"}


def test_a_chat_shows_foreign_words_as_words() -> None:
    """Nothing that a customer or a panel wrote is a link there, or calls everybody."""
    assert formats.slack(WORD, alarm("slack")) == {"text": "*A dispute*\n&lt;b&gt; &amp; &lt;!channel&gt;\nAnswer it."}
    over = Word(**{**_fields(WORD), "what": "over"})
    assert formats.slack(over, alarm("slack")) == {"text": "*Over: A dispute*"}


def _fields(word: Word) -> dict[str, Any]:
    return {name: getattr(word, name) for name in Word.__struct_fields__}


# --- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"ALERT_WEBHOOK_URL": "http://hooks.example.com/x"}, "ALERT_WEBHOOK_URL must begin with https://"),
        ({"ALERT_WEBHOOK_URL": "hooks.example.com"}, "ALERT_WEBHOOK_URL must be an address"),
        ({"ALERT_FORMAT": "pagerduty"}, "ALERT_ROUTING_KEY is missing"),
        ({"ALERT_EMAIL": "oncall@example.com"}, "ALERT_EMAIL needs MAIL_URL"),
        ({"ALERT_EMAIL": "on call"}, "ALERT_EMAIL must be one address"),
        ({"ALERT_FORMAT": "teams"}, "ALERT_FORMAT must be one of slack"),
        ({"SENTRY_DSN": "https://sentry.example.com/1"}, "SENTRY_DSN must be the project's DSN"),
        ({"SENTRY_DSN": "https://key_fake@sentry.example.com"}, "SENTRY_DSN must end with the project's number"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said(world: World, environ: dict[str, str], said: str) -> None:
    """Each by its name, with what is right, and never with the value of a secret."""
    with pytest.raises(Exception, match=said) as failure:
        Settings.load({**world.environ, **environ})
    assert "fake" not in str(failure.value)


def test_pagerduty_needs_its_key_alone(world: World) -> None:
    """The address is known; one of your own (the EU's) comes before it."""
    settings = Settings.load({**world.environ, "ALERT_FORMAT": "pagerduty", "ALERT_ROUTING_KEY": "key_fake"})
    assert settings.alarm is not None
    assert settings.alarm.shown == "events.pagerduty.com"
