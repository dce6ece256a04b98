"""Names and times in every answer."""

from datetime import datetime, timedelta

from tests.admin.hand import _ahead, done, fields_of
from tests.world import World


async def test_answers_are_camel_case_and_in_utc(world: World) -> None:
    """Every field of an answer is camelCase and every time is in UTC, also where the database's clock is elsewhere."""
    name = world.environ["DATABASE_URL"].rpartition("/")[2]
    world.sql(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    customer = world.customer()
    subscription = world.buy(customer)
    answers = []
    async with world.functions() as client:
        answers.append(await done(client, "retry", customerId=customer))
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        answers.append(await done(client, "retry", customerId=customer))
        year = _ahead(days=3000).year
        until = f"{year}-05-01T12:00:00+09:00"
        answers.append(await done(client, "grace", subscriptionId=subscription, until=until))
    for answer in answers:
        for field, value in fields_of(answer):
            assert "_" not in field, field
            if isinstance(value, str) and field.endswith(("At", "Until", "at")):
                assert datetime.fromisoformat(value).utcoffset() == timedelta(), (field, value)
    assert answers[-1]["services"][0]["graceUntil"] == f"{year}-05-01T03:00:00+00:00"
