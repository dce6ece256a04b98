"""What a receiver goes by: the signature of Standard Webhooks, also while a secret is changed."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from lib.config import Secret
from lib.messages.signature import signed
from tests.messages.receiver import OTHER, SECRET, Receiver, outlet, receiving
from tests.world import World

BODY = '{"type":"order.paid","domain":"schöner.example"}'.encode()


def headers(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    """The headers of a body that is sent now, or at another time."""
    return signed([Secret(secret) for secret in secrets], "evt_1", BODY, at or datetime.now(UTC))


def test_the_library_of_the_standard_verifies_it() -> None:
    """With the secret as it stands in the settings."""
    assert Webhook(SECRET).verify(BODY, headers(SECRET))["type"] == "order.paid"


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_while_a_secret_is_changed_either_verifies(secret: str) -> None:
    """The receiver may change over at any moment of it."""
    Webhook(secret).verify(BODY, headers(SECRET, OTHER))


def test_another_secret_another_body_or_an_old_time_does_not() -> None:
    """Each part of it counts."""
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers(SECRET))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers(SECRET))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, {**headers(SECRET), "webhook-id": "evt_2"})
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, headers(SECRET, at=datetime.now(UTC) - timedelta(minutes=6)))


async def test_each_endpoint_has_its_own_secret_and_each_attempt_its_own_time(world: World) -> None:
    """By position; what is repeated after an hour verifies as what is sent at once does."""
    first, second = Receiver(), Receiver(status=500)
    with receiving(first) as one, receiving(second) as two:
        environ = outlet(one, two, OUTBOX_SECRET=f"{SECRET},{SECRET}|{OTHER}")
        world.buy(customer := world.customer())
        await world.sync(customer, **environ)
        await world.drain(**environ)
        second.status = 200
        world.sql("UPDATE outbox_endpoints SET next_try_at = now()")
        world.sql("UPDATE outbox SET created_at = created_at - interval '1 hour'")
        world.hurry()
        await world.drain(**environ)
    assert [event["type"] for event in first.taken] == [event["type"] for event in second.taken]
    for call in first.calls:
        Webhook(SECRET).verify(call.body, call.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(OTHER).verify(call.body, call.headers)
    for call in second.calls:
        Webhook(SECRET).verify(call.body, call.headers)
        Webhook(OTHER).verify(call.body, call.headers)
