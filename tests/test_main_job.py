"""The main job, end to end: a signed event becomes an account, a login, a subscription and a website, once."""

from tests.world import World


async def test_a_paid_checkout_is_provisioned_once(world: World) -> None:
    """A signed event makes one organisation, login, subscription and website, and mails one set-password link."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions() as client:
        answer = await world.deliver(client, world.stripe.events_of("customer.subscription.created")[0])
    assert answer.status_code == 200
    assert world.panel.world()["orgs"], world.panel.world()
