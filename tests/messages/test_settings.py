"""The settings of outgoing events: all that is wrong is said at once, and nothing is guessed."""

import pytest

from lib.config import Settings
from lib.errors import SettingsError
from lib.model.outgoing import OutgoingType
from tests.messages.receiver import OTHER, SECRET

BASE = {
    "DATABASE_URL": "postgresql://app:fake@db.example/app",
    "STRIPE_SECRET_KEY": "rk_test_fake",
    "STRIPE_WEBHOOK_SECRET": "whsec_fake",
    "ENHANCE_API_URL": "https://panel.example.com",
    "ENHANCE_API_TOKEN": "fake",
    "ENHANCE_ORG_ID": "00000000-0000-4000-8000-000000000000",
    "ADMIN_API_KEY": "fake",
    "CRON_SECRET": "fake",
}
TWO = "https://one.example/a, https://two.example/b"


def load(**more: str) -> Settings:
    """The settings with these besides what is needed."""
    return Settings.load({**BASE, **more})


def test_unset_is_nowhere() -> None:
    """Without an address there is no outlet, whatever else is set."""
    assert not load().outbox
    assert not load(OUTBOX_SECRET=SECRET, OUTBOX_TYPES="order.paid").outbox


def test_secrets_and_types_go_by_position() -> None:
    """Each address has its own; `old|new` are two of one address."""
    outlet = load(
        OUTBOX_URL=TWO, OUTBOX_SECRET=f"{SECRET}|{OTHER},{OTHER}", OUTBOX_TYPES="service.*|order.paid,"
    ).outbox
    first, second = outlet.endpoints
    assert [secret.reveal() for secret in first.secrets] == [SECRET, OTHER]
    assert [secret.reveal() for secret in second.secrets] == [OTHER]
    assert first.types == {one for one in OutgoingType if one.startswith("service.")} | {OutgoingType.ORDER_PAID}
    assert second.types == set(OutgoingType)


def test_an_endpoint_keeps_its_name_at_another_place() -> None:
    """Its id is that of its address, and shows nothing of what the address hides."""
    swapped = ",".join(reversed(TWO.split(",")))
    names = [
        {e.url: e.id for e in load(OUTBOX_URL=u, OUTBOX_SECRET=f"{SECRET},{OTHER}").outbox.endpoints}
        for u in (TWO, swapped)
    ]
    assert names[0] == names[1]
    (hidden,) = load(OUTBOX_URL="https://one.example/a?token=fake", OUTBOX_SECRET=SECRET).outbox.endpoints
    assert "fake" not in hidden.shown + hidden.id


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OUTBOX_URL": "https://one.example"}, "OUTBOX_SECRET is missing"),
        ({"OUTBOX_URL": TWO, "OUTBOX_SECRET": SECRET}, "OUTBOX_SECRET has 1 and OUTBOX_URL 2"),
        ({"OUTBOX_URL": "http://one.example", "OUTBOX_SECRET": SECRET}, "OUTBOX_URL must begin with https://"),
        ({"OUTBOX_URL": "one.example", "OUTBOX_SECRET": SECRET}, "OUTBOX_URL must be addresses"),
        ({"OUTBOX_URL": "https://a:b@one.example", "OUTBOX_SECRET": SECRET}, "OUTBOX_URL must be plain"),
        ({"OUTBOX_URL": "https://a.example,https://a.example", "OUTBOX_SECRET": SECRET}, "names one address twice"),
        ({"OUTBOX_URL": "https://one.example", "OUTBOX_SECRET": "whsec_short"}, "OUTBOX_SECRET must be whsec_"),
        ({"OUTBOX_URL": "https://one.example", "OUTBOX_SECRET": "secret"}, "OUTBOX_SECRET must be whsec_"),
        (
            {"OUTBOX_URL": "https://one.example", "OUTBOX_SECRET": SECRET, "OUTBOX_TYPES": "order.payed"},
            "is no type",
        ),
        (
            {"OUTBOX_URL": TWO, "OUTBOX_SECRET": f"{SECRET},{OTHER}", "OUTBOX_TYPES": "order.paid"},
            "OUTBOX_TYPES has 1 lists and OUTBOX_URL 2",
        ),
    ],
)
def test_what_is_wrong_is_said(environ: dict[str, str], said: str) -> None:
    """By the name of the setting, without its value."""
    with pytest.raises(SettingsError) as refused:
        load(**environ)
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)


def test_private_addresses_by_http_only_where_they_are_allowed() -> None:
    """For local use, by a word of its own."""
    environ = {"OUTBOX_URL": "http://127.0.0.1:4000/events", "OUTBOX_SECRET": SECRET}
    assert load(**environ, OUTBOX_ALLOW_PRIVATE="1").outbox.allow_private
