"""Mails to customers that came back: read as mail servers write it, marked once, and shown to who can mend it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.messages.bounce import Bounce, NotRecognised, of_fields, of_message
from tests.messages import reports
from tests.messages.postoffice import PostOffice
from tests.messages.test_admin import ADMIN, EVENTS
from tests.messages.test_resend import DAY, ROOT, ask, one
from tests.world import ADMIN_KEY, World

NOTICE = "7d0cf5a1-3b8e-4c12-9a44-0123456789ab"
OURS = f"<notice-{NOTICE}@example.com>"
ADA = "ada@example.com"

SERVERS: dict[str, Callable[[str, str], bytes]] = {
    "postfix": reports.postfix,
    "exchange": reports.exchange,
    "gmail": reports.gmail,
    "international": reports.international,
}


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", SERVERS)
def test_each_servers_words_are_understood(server: str) -> None:
    """Which mail, to whom, that it is over, and why in one line that names no address."""
    found = of_message(SERVERS[server](OURS, ADA))
    assert (found.notice_id, found.address, found.failed) == (NOTICE, ADA, True)
    assert found.said.startswith(("5.1.1 smtp; 550", "5.1.10 smtp;550", "5.7.1 smtp; 550"))
    assert "@" not in found.said
    assert found.said.isprintable()
    if server in ("postfix", "exchange"):
        assert "the address" in found.said


def test_a_mail_that_takes_its_time_is_no_failure() -> None:
    """Whatever its number: a server that gave up after days says so itself."""
    late = of_message(reports.postfix(OURS, ADA, action="delayed", status="4.3.0"))
    assert (late.failed, late.said[:5]) == (False, "4.3.0")
    over = of_message(reports.postfix(OURS, ADA, action="failed", status="4.4.7"))
    assert (over.failed, over.said[:5]) == (True, "4.4.7")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (reports.plain(ADA), "a person has to read it"),
        (reports.away(), "no delivery status notification"),
        (reports.read(OURS), "another kind: disposition-notification"),
        (reports.postfix(OURS, ADA, action="delivered", status="2.0.0"), "the mail was delivered"),
        (reports.postfix(OURS, ADA, action="relayed", status="2.0.0"), "the mail was relayed"),
        (reports.postfix(OURS, ADA).replace(b"-Recipient:", b"-Nobody:"), "names no recipient"),
        (b"", "no delivery status notification"),
        (b"\xff\x00" * 100, "no delivery status notification"),
        (b"Content-Type: multipart/report; boundary=b\r\n\r\nnothing", "."),
    ],
)
def test_anything_else_is_named(raw: bytes, why: str) -> None:
    """A mail for people, an answer of somebody's, a report about something else: nothing is guessed from its words."""
    with pytest.raises(NotRecognised, match=why):
        of_message(raw)


def test_only_the_mail_that_is_given_back_is_believed() -> None:
    """A report about another mail is not ours, though its words may quote an id of ours."""
    foreign = of_message(reports.postfix("<somebody@example.net>", ADA).replace(b"This is the", OURS.encode()))
    assert (foreign.notice_id, foreign.address) == (None, ADA)


@given(
    st.sampled_from(list(SERVERS)),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=40)), max_size=8),
    st.integers(0, 5000),
)
def test_a_broken_report_breaks_nobody(server: str, changes: list[tuple[int, bytes]], cut: int) -> None:
    """Bytes changed anywhere, and the end cut off: it is understood or not recognised, and never longer than a line."""
    raw = SERVERS[server](OURS, ADA)
    for place, other in changes:
        raw = raw[:place] + other + raw[place + len(other) :]
    for text in (raw, raw[:cut]):
        try:
            found = of_message(text)
        except NotRecognised:
            continue
        assert found.said.isprintable()
        assert len(found.said) <= 500
        assert "@" not in found.said or found.said.count("@") == found.said.count("@ ")


def test_a_report_inside_reports_without_end_is_not_followed() -> None:
    """Nesting that is made to exhaust its reader ends in a sentence."""
    parts = "".join(f"Content-Type: multipart/report; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(3000))
    with pytest.raises(NotRecognised):
        of_message(parts.encode())


def test_a_providers_webhook_is_understood() -> None:
    """5.x.x came back, 4.x.x is still tried, 2.x.x is none."""
    assert of_fields(OURS, None, "5.2.2", f"<{ADA}> is full") == Bounce(
        NOTICE, None, failed=True, said="5.2.2 <the address> is full"
    )
    assert of_fields(None, ADA, "4.2.2", None) == Bounce(None, ADA, failed=False, said="4.2.2")
    with pytest.raises(NotRecognised, match="arrived"):
        of_fields(OURS, ADA, "2.0.0", None)


# --- marking ----------------------------------------------------------------------------------------------------------


async def sent(world: World, email: str = ADA) -> tuple[str, str]:
    """A customer to whom one mail about their debt was sent; and its id."""
    customer = world.customer(email=email)
    bought = world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.fail_payment(bought, world.stripe.now() - DAY)
    await world.sync(customer)
    await world.drain()
    rows = world.sql(
        "SELECT notice_id::text AS id FROM notices WHERE customer_id = %s AND kind = 'payment_failed'", customer
    )
    assert one(world, rows[0]["id"])["status"] == "sent"
    return customer, str(rows[0]["id"])


async def tell(client: httpx.AsyncClient, **report: Any) -> dict[str, Any]:
    """The answer to a report."""
    answer = await client.post(EVENTS, json={"action": "bounce", **report}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_mail_that_came_back_is_shown_and_is_sent_again(world: World, post: PostOffice) -> None:
    """In the timeline, among what calls for a person, with the server's words; after that it may go out once more."""
    customer, notice_id = await sent(world)
    raw = reports.postfix(str(post.taken[0]["Message-ID"]), ADA).decode()
    async with world.functions() as client:
        answers = await asyncio.gather(*(tell(client, message=raw) for _ in range(3)))
        assert sorted(answer["outcome"] for answer in answers) == ["bounced", "unchanged", "unchanged"]
        assert {answer["notice"]["id"] for answer in answers} == {notice_id}
        found = (await client.get("/api/admin/dashboard", headers=ADMIN)).json()
        assert found["noticesNotSent"]["total"] == 1
        (shown,) = found["noticesNotSent"]["newest"]
        assert (shown["status"], shown["reported"][:14]) == ("bounced", "5.1.1 smtp; 55")
        assert ADA not in str(shown)
        (alert,) = [one for one in found["alerts"] if one["code"] == "notices"]
        assert "came back" in alert["detail"]
        timeline = (await client.get(f"/api/admin/customers?id={customer}", headers=ADMIN)).json()["timeline"]["data"]
        (mail,) = [entry for entry in timeline if entry["id"] == notice_id]
        assert (mail["state"], mail["steps"][0]["after"]["reported"]) == ("bounced", shown["reported"])
        (noted,) = [entry for entry in timeline if entry["kind"] == "notice_bounced"]
        assert (noted["actor"], noted["facts"]["notice_id"]) == ("admin", notice_id)
        world.stripe.update_customer(customer, email="ada@example.net")
        assert (await ask(client, notice_id)).status_code == 202
        await world.drain()
        assert [mail["To"] for mail in post.taken] == [ADA, "ada@example.net"]
        assert (await tell(client, message=raw))["outcome"] == "unchanged"  # it is about what was sent before
        assert one(world, notice_id)["status"] == "sent"
        again = reports.gmail(str(post.taken[1]["Message-ID"]), "ada@example.net").decode()
        assert (await tell(client, message=again))["outcome"] == "bounced"


async def test_a_mail_that_takes_its_time_is_noted_and_nothing_more(world: World, post: PostOffice) -> None:
    """It is no trouble yet; when the server gives up, it is."""
    _, notice_id = await sent(world)
    async with world.functions() as client:
        late = {"messageId": str(post.taken[0]["Message-ID"]), "status": "4.4.1", "diagnostic": "no answer"}
        assert [(await tell(client, **late))["outcome"] for _ in range(2)] == ["delayed", "unchanged"]
        assert (one(world, notice_id)["status"], one(world, notice_id)["reported"]) == ("sent", "4.4.1 no answer")
        assert (await client.get("/api/admin/dashboard", headers=ADMIN)).json()["noticesNotSent"]["total"] == 0
        over = {**late, "status": "5.4.7"}
        assert [(await tell(client, **over))["outcome"] for _ in range(2)] == ["bounced", "unchanged"]
        assert (await tell(client, **late))["outcome"] == "unchanged"
    assert one(world, notice_id)["reported"] == "5.4.7 no answer"


async def test_an_address_marks_the_one_mail_that_fits(world: World, post: PostOffice) -> None:
    """However it is written; of several none is guessed, and what is older is not meant."""
    _, notice_id = await sent(world)
    other, _ = await sent(world, "bob@example.com")
    del post.taken[:]
    async with world.functions() as client:
        assert (await tell(client, address="ADA@Example.com", status="5.1.1"))["outcome"] == "bounced"
        assert one(world, notice_id)["status"] == "bounced"
        assert (await tell(client, address=ADA, status="5.1.1"))["outcome"] == "unchanged"
        assert (await tell(client, address="eve@example.com", status="5.1.1"))["outcome"] == "unknown"
        assert (await tell(client, messageId="<else@example.com>", address="bob@example.com", status="5.1.1"))[
            "outcome"
        ] == "bounced"
        world.sql("UPDATE notices SET status = 'sent' WHERE status = 'bounced'")
        subscription = world.sql("SELECT subscription_id AS id FROM services WHERE customer_id = %s", other)[0]["id"]
        world.stripe.set_pause_collection(subscription, "void")
        await world.sync(other, PAUSE_COLLECTION="suspend")
        await world.drain()
        before = world.sql("SELECT notice_id, status, reported FROM notices ORDER BY 1")
        assert len(post.taken) == 1
        assert (await tell(client, address="bob@example.com", status="5.1.1"))["outcome"] == "ambiguous"
        world.sql("UPDATE notices SET tried_at = tried_at - interval '11 days'")
        assert (await tell(client, address=ADA, status="5.1.1"))["outcome"] == "unknown"
    assert world.sql("SELECT notice_id, status, reported FROM notices ORDER BY 1") == before


@pytest.mark.parametrize("status", ["pending", "refused", "obsolete"])
async def test_a_report_changes_nothing_that_was_not_sent(world: World, post: PostOffice, status: str) -> None:
    """A forged one can't stop a mail that waits, nor begin one anew."""
    _, notice_id = await sent(world)
    ended = None if status == "pending" else "now"
    world.sql("UPDATE notices SET status = %s, ended_at = %s::timestamptz", status, ended)
    before = one(world, notice_id)
    async with world.functions() as client:
        raw = reports.exchange(str(post.taken[0]["Message-ID"]), ADA).decode()
        assert (await tell(client, message=raw))["outcome"] == "unchanged"
    assert one(world, notice_id) == before


async def test_who_was_erased_is_not_written_down_again(world: World, post: PostOffice) -> None:
    """A report that comes late may name them."""
    customer, notice_id = await sent(world)
    world.sql("UPDATE customers SET erased_at = now() WHERE customer_id = %s", customer)
    world.sql("UPDATE notices SET recipient = NULL")
    async with world.functions() as client:
        raw = reports.gmail(str(post.taken[0]["Message-ID"]), ADA).decode()
        assert (await tell(client, message=raw))["outcome"] == "unknown"
    assert one(world, notice_id)["reported"] is None


async def test_a_wrong_report_is_told_what_is_missing(world: World) -> None:
    """All faults at once; and what is no report is answered, since nobody has to send it again."""
    async with world.functions() as client:
        for body, fields in (
            ({}, ["", "status"]),
            ({"address": ADA}, ["status"]),
            ({"address": ADA, "status": "550"}, ["status"]),
            ({"message": "x", "address": ADA}, ["message"]),
        ):
            answer = await client.post(EVENTS, json={"action": "bounce", **body}, headers=ADMIN)
            assert answer.status_code == 422, body
            assert [fault["field"] for fault in answer.json()["errors"]] == fields
        assert (await tell(client, message=reports.plain(ADA).decode()))["outcome"] == "not_recognised"


async def test_a_key_for_bounces_does_nothing_else(world: World) -> None:
    """What a mail provider's adapter holds need not be an operator's."""
    keys = {"ADMIN_API_KEY": f"anna:{ADMIN_KEY},mailer:mailer_fake_key", "KEY_SCOPES": "mailer=bounce"}
    mailer = {"Authorization": "Bearer mailer_fake_key"}
    async with world.functions(**keys) as client:
        report = {"action": "bounce", "address": ADA, "status": "5.1.1"}
        assert (await client.post(EVENTS, json=report, headers=mailer)).json()["outcome"] == "unknown"
        for method, path, body in (
            ("POST", EVENTS, {"action": "resendNotice", "noticeId": NOTICE}),
            ("GET", EVENTS, None),
            ("POST", "/api/admin/orders", {"action": "collect", "orderId": NOTICE}),
            ("POST", "/api/admin/work", {"action": "retry", "customerId": "cus_1"}),
        ):
            answer = await client.request(method, path, json=body, headers=mailer)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path


async def test_a_mail_servers_alias_hands_it_on(world: World, post: PostOffice) -> None:
    """What is understood is marked and listed, what is not is said, and only what could not be done comes again."""
    _, notice_id = await sent(world)

    def run(raw: bytes, *given: str, **environ: str) -> tuple[int, str]:
        program = "from scripts._notice import main; main()"
        ended = subprocess.run(
            [sys.executable, "-c", program, *given], env={**os.environ, **world.environ, **environ}, cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, input=raw, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout.decode()

    raw = reports.postfix(str(post.taken[0]["Message-ID"]), ADA)
    code, said = await asyncio.to_thread(run, raw, "bounce", DATABASE_URL="postgresql://u:p@127.0.0.1:9/none")
    assert (code, "could not be done" in said) == (75, True)
    code, said = await asyncio.to_thread(run, raw, "bounce", "--actor", "postfix")
    assert (code, said[: len(notice_id) + 26]) == (0, f"{notice_id} (payment_failed): bounced")
    code, said = await asyncio.to_thread(run, reports.plain(ADA), "bounce")
    assert (code, said[:14]) == (0, "not recognised")
    code, said = await asyncio.to_thread(run, b"", "list")
    assert (code, notice_id in said, "bounced" in said, ADA in said) == (1, True, True, False)
    (noted,) = world.sql("SELECT actor FROM actions WHERE kind = 'notice_bounced'")
    assert noted["actor"] == "postfix"
