"""What there is to say about a dispute, as one text to paste at Stripe."""

from pathlib import Path

import pytest

from tests.messages.postoffice import PostOffice, certificate, mail, open_office
from tests.money.shop import ON, Shop
from tests.world import ADMIN_KEY, World

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def pack(world: World, dispute_id: str, **environ: str) -> str:
    """The text, as it is fetched."""
    async with world.functions(**environ) as client:
        answer = await client.get(f"/api/admin/orders?dispute={dispute_id}&format=text", headers=BEARER)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        as_json = (await client.get(f"/api/admin/orders?dispute={dispute_id}", headers=BEARER)).json()
    assert as_json["text"].partition("HOW MUCH")[0] == answer.text.partition("HOW MUCH")[0]
    return answer.text


async def test_it_tells_what_was_paid_provided_verified_used_and_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the order, the ledger, the panel and the mails; each with its time."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with open_office(PostOffice(), pem) as url:
        environ, shop = mail(url), Shop(world)
        _, session = await shop.begin()
        shop.stripe.complete_checkout(session, "ada@example.com")
        await shop.hear(**environ)
        dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"])
        await shop.hear(**environ)
        await world.come_to_rest(**ON, **environ)
        text = await pack(world, dispute["id"], **environ)
    order, payment = shop.order(), shop.payments()[0]
    hosting = world.only_subscription()
    service = world.service(order["subscription_id"])
    for said in (
        f"- {dispute['id']} of ",
        "19.00 EUR",
        "- reason fraudulent, status needs_response\n- evidence is due by ",
        f"- customer {order['customer_id']}, ",
        f"- charge {payment['charge_id']}",
        f"- 19.00 EUR paid at {payment['paid_at']:%Y-%m-%d %H:%M:%S}",
        f"- order {order['order_id']} of ",
        f"- {order['subscription_id']}: plan {service['plan']}, {service['domain']}, now suspended",
        f"  website {service['website_id']}",
        f"panel_subscription_id {hosting.id})",
        "seen in the panel: hosting made",
        "hosting switched off",
        f"- hosting {hosting.id}, basic-hosting-plan: suspended",
        "order_paid to ada@example.com, sent: 250 2.0.0 taken",
        "suspended to ada@example.com, sent: 250 2.0.0 taken",
    ):
        assert said in text, text
    world.sql("UPDATE notices SET status = 'bounced', reported = '5.1.1 no such mailbox' WHERE kind = 'order_paid'")
    text = await pack(world, dispute["id"])
    assert "order_paid to ada@example.com, bounced: 5.1.1 no such mailbox" in text, "it is not said to have been taken"
    assert len(text.encode()) < 20_000


async def test_without_orders_it_tells_what_is_known(world: World) -> None:
    """Stripe has the payment; what was provided and done is ours to tell, also while the panel is away."""
    customer = world.customer()
    bought = world.buy(customer)
    async with world.functions() as client:
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
        dispute = world.stripe.dispute(bought)
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
    await world.come_to_rest()
    world.panel.down = True
    text = await pack(world, dispute["id"])
    assert "orders were not kept when it was paid" in text
    assert "the panel could not be asked" in text
    assert "shop.example, now suspended" in text


async def test_a_dispute_that_nobody_told_of_is_not_found(world: World) -> None:
    """404 with what to do."""
    async with world.functions() as client:
        answer = await client.get("/api/admin/orders?dispute=dp_unknown", headers=BEARER)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_dispute")
