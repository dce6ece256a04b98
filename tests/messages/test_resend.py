"""A mail that was refused, or of which nobody knows, sent again because a person says so."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.messages.postoffice import PostOffice
from tests.messages.test_admin import ADMIN, EVENTS
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
DAY = 86400


async def refused(world: World, office: PostOffice, email: str = "ada@exmaple.com") -> tuple[str, str]:
    """A customer whose mailbox is refused; and the id of the mail about their debt."""
    office.recipient_says = lambda address: "250 ok" if "example.com" in address else f"550 <{address}> is nobody"
    customer = world.customer(email=email)
    bought = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(bought, world.stripe.now() - DAY)
    await world.sync(customer)
    await world.drain()
    (row,) = world.sql("SELECT notice_id::text AS id FROM notices WHERE kind = 'payment_failed'")
    return customer, str(row["id"])


def one(world: World, notice_id: str) -> dict[str, Any]:
    """A mail as it stands."""
    (row,) = world.sql("SELECT * FROM notices WHERE notice_id::text = %s", notice_id)
    return row


async def ask(client: httpx.AsyncClient, notice_id: str) -> httpx.Response:
    """The answer to asking for it."""
    return await client.post(EVENTS, json={"action": "resendNotice", "noticeId": notice_id}, headers=ADMIN)


async def test_a_corrected_address_gets_the_mail(world: World, post: PostOffice) -> None:
    """Once however often it is asked for, under the same id, with who asked and what had been answered before."""
    customer, notice_id = await refused(world, post)
    assert (one(world, notice_id)["status"], one(world, notice_id)["answer"]) == (
        "refused",
        "550 <the address> is nobody",
    )
    world.stripe.update_customer(customer, email="ada@example.com")
    async with world.functions() as client:
        answers = await asyncio.gather(*(ask(client, notice_id) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409]
        (answer,) = [one.json() for one in answers if one.status_code == 202]
        assert (answer["id"], answer["kind"], answer["status"]) == (notice_id, "payment_failed", "pending")
    await world.drain()
    assert [mail["To"] for mail in post.taken] == ["ada@example.com"]
    assert notice_id in str(post.taken[0]["Message-ID"])
    assert one(world, notice_id)["status"] == "sent"
    (noted,) = world.sql("SELECT * FROM actions WHERE kind = 'notice_resent'")
    assert (noted["customer_id"], noted["actor"], noted["state"], noted["rule"]) == (
        customer, "admin", "noted", "by_hand",
    )  # fmt: skip
    assert noted["facts"] == {
        "notice": "payment_failed", "notice_id": notice_id, "status": "refused",
        "answer": "550 <the address> is nobody",
    }  # fmt: skip
    async with world.functions() as client:
        shown = (await client.get(f"/api/admin/customers?id={customer}", headers=ADMIN)).json()["timeline"]["data"]
        assert [
            (entry["actor"], entry["facts"]["notice_id"]) for entry in shown if entry["kind"] == "notice_resent"
        ] == [("admin", notice_id)]


async def test_what_is_not_true_any_more_is_not_sent(world: World, post: PostOffice) -> None:
    """It was paid meanwhile: asked for or not, nobody is told of a debt."""
    customer, notice_id = await refused(world, post)
    (subscription,) = world.sql("SELECT subscription_id FROM services")
    world.stripe.pay_open_invoice(subscription["subscription_id"])
    world.stripe.update_customer(customer, email="ada@example.com")
    async with world.functions() as client:
        assert (await ask(client, notice_id)).status_code == 202
    await world.come_to_rest()
    assert (post.taken, one(world, notice_id)["status"]) == ([], "obsolete")


async def test_a_lost_answer_is_risked_once_more(world: World, post: PostOffice) -> None:
    """Each time that a person asks, one mail; and nobody knows again."""
    customer, notice_id = await refused(world, post)
    world.stripe.update_customer(customer, email="ada@example.com")
    world.sql("UPDATE notices SET status = 'unsure', lost = 1 WHERE kind = 'payment_failed'")
    post.loses_answers = 9
    for asked in (1, 2):
        async with world.functions() as client:
            assert (await ask(client, notice_id)).status_code == 202
        for _ in range(3):
            await world.drain()
            world.hurry()
        assert (len(post.taken), one(world, notice_id)["status"]) == (asked, "unsure")


@pytest.mark.parametrize("status", ["sent", "obsolete", "pending"])
async def test_nothing_else_is_sent_again(world: World, post: PostOffice, status: str) -> None:
    """What was taken, was not true or waits already: said so, and nothing is changed."""
    _, notice_id = await refused(world, post)
    ended = None if status == "pending" else "now"
    world.sql("UPDATE notices SET status = %s, ended_at = %s::timestamptz", status, ended)
    before = one(world, notice_id)
    async with world.functions() as client:
        answer = await ask(client, notice_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_refused")
        assert status in answer.json()["detail"]
        unknown = await ask(client, "00000000-0000-0000-0000-000000000000")
        assert (unknown.status_code, unknown.json()["field"]) == (404, "noticeId")
        assert (await ask(client, "nonsense")).status_code == 404
    assert one(world, notice_id) == before
    assert world.sql("SELECT 1 FROM actions WHERE kind = 'notice_resent'") == []


async def test_without_a_mail_server_it_is_said(world: World, post: PostOffice) -> None:
    """Nothing waits for settings that may never come."""
    _, notice_id = await refused(world, post)
    async with world.functions(MAIL_URL="", MAIL_FROM="") as client:
        answer = await ask(client, notice_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "mail_off")
    assert one(world, notice_id)["status"] == "refused"


async def test_in_a_shell(world: World, post: PostOffice) -> None:
    """The list names what to send again, without any address; sending again says who."""
    customer, notice_id = await refused(world, post)
    world.stripe.update_customer(customer, email="ada@example.com")

    def run(*given: str) -> tuple[int, str]:
        program = "from scripts._notice import main; main()"
        ended = subprocess.run(
            [sys.executable, "-c", program, *given], env={**os.environ, **world.environ}, cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout

    code, said = run("list")
    assert code == 1
    assert notice_id in said and customer in said and "550 <the address> is nobody" in said
    assert "@" not in said
    code, said = run("resend", notice_id, "--actor", "anna")
    assert code == 0, said
    await world.drain()
    assert len(post.taken) == 1
    assert [row["actor"] for row in world.sql("SELECT actor FROM actions WHERE kind = 'notice_resent'")] == ["anna"]
    assert (run("resend", notice_id))[0] == 1
    assert (run("list"))[0] == 0
