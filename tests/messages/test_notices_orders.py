"""Mails about orders: paid, and the next period of one that is paid without a provider."""

from lib.database import orders
from tests.messages.postoffice import PostOffice
from tests.money.shop import Shop
from tests.money.till import came, order, past, sell
from tests.world import World


async def settle(world: World) -> None:
    """Let everything run that is due now."""
    for _ in range(3):
        await world.drain()


async def test_offline_money_from_the_order_to_its_debt(world: World, post: PostOffice) -> None:
    """Paid in two parts, one mail; the next period with its reference; the debt when that does not come."""
    sell(world)
    made = await order(world)
    await came(world, made, 900, external_id="line 1")
    await settle(world)
    assert post.taken == []
    for _ in range(2):
        await came(world, made, 1000, external_id="line 2")
        await settle(world)
    assert post.subjects == ["Thank you for your order"]
    assert "we have received 19.00 EUR for shop.example." in post.plain()
    past(world, 17)
    for _ in range(2):
        await settle(world)
    renewal = world.sql("SELECT * FROM orders WHERE renews IS NOT NULL")[0]
    assert len(post.taken) == 2
    assert post.subjects[1].startswith("The next period of shop.example is to be paid by ")
    assert f"{renewal['due_at'].day} {renewal['due_at']:%B %Y, %H:%M} UTC" in post.subjects[1]
    assert f"Please pay 19.00 EUR with the reference {renewal['reference']}." in post.plain()
    past(world, 14)
    for _ in range(2):
        await settle(world)
    assert post.subjects[2:] == ["The payment for shop.example is outstanding"]
    assert f"Please pay 19.00 EUR with the reference {renewal['reference']}." in post.plain()
    assert {one["To"] for one in post.taken} == {"ada@example.com"}


async def test_a_renewal_that_is_paid_already_is_not_asked_for(world: World, post: PostOffice) -> None:
    """Its money came while the mail server was away: they are thanked, and not asked."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900, external_id="line 1")
    await settle(world)
    past(world, 17)
    post.recipient_says = lambda _: "451 not now"
    await settle(world)
    (renewal,) = world.sql("SELECT order_id::text AS id FROM orders WHERE renews IS NOT NULL")
    async with world.bridge() as bridge:
        found = await orders.find(bridge.db, renewal["id"])
    assert found is not None
    await came(world, found, 1900, external_id="line 2")
    post.recipient_says = None
    world.hurry()
    await settle(world)
    assert post.subjects == ["Thank you for your order"] * 2
    assert [row["status"] for row in world.sql("SELECT status FROM notices WHERE kind = 'renewal_due'")] == ["obsolete"]


async def test_a_purchase_at_stripe_is_thanked_for_once(world: World, post: PostOffice) -> None:
    """However often its passes run; nobody is thanked for a trial or for what was paid long before we looked."""
    shop = Shop(world)
    _, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com")
    for _ in range(2):
        await shop.hear()
        await settle(world)
    world.sql("INSERT INTO due (kind, key, lane) SELECT 'order', order_id, 'stripe' FROM orders ON CONFLICT DO NOTHING")
    await shop.rest()
    await settle(world)
    assert post.subjects == ["Thank you for your order"]
    assert post.taken[0]["To"] == "ada@example.com"
