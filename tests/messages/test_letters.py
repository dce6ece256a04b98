"""Mails as bytes: what any server takes, and nothing in them that somebody else could have put there."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from lib.config import Mail, Settings
from lib.errors import SettingsError
from lib.messages.alarm import Word
from lib.messages.alarm import letter as alarm_letter
from lib.messages.mail import NotTaken, address_of, as_sent, letter
from lib.messages.templates import Facts, Templates, Text
from lib.model.notice import NoticeKind
from tests.messages.postoffice import PostOffice, mail
from tests.messages.test_admin import ADMIN, EVENTS
from tests.world import World

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = 86400
FROM = Mail("mail.example.com", 25, False, None, None, "Büro Example", "billing@example.com", 2, "de", None)


@pytest.mark.parametrize(
    ("typed", "spoken"),
    [
        ("ada..b@example.com", '"ada..b"@example.com'),
        ("ada.@example.com", '"ada."@example.com'),
        ("ada+1=x'y@example.com", "ada+1=x'y@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_an_unusual_address_gets_its_letter(typed: str, spoken: str) -> None:
    """There are mailboxes with two dots in a row: they are quoted where it counts, and are written to."""
    assert address_of(typed) == spoken
    sent = message_from_bytes(as_sent(letter(FROM, spoken, Text("s", "t", "<p>t</p>"), "1", NOW, "en")), policy=default)
    assert str(sent["To"]) == spoken.replace('"', "")


@pytest.mark.parametrize(
    "typed", ["ada@exa\x00mple.com", "ada@example.com%example.net", "ada@a!b", "ada@.com", "ada@a/b"]
)
def test_a_route_or_a_control_character_is_no_address(typed: str) -> None:
    """It is refused for good, and not tried for a day."""
    with pytest.raises(NotTaken):
        address_of(typed)


async def test_two_dots_in_a_row_are_delivered_to(world: World, post: PostOffice) -> None:
    """By the pass itself, over real SMTP."""
    customer = world.customer(email="ada..b@example.com")
    bought = world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.fail_payment(bought, world.stripe.now() - DAY)
    await world.sync(customer)
    await world.drain()
    assert [str(mail["To"]) for mail in post.taken] == ["ada..b@example.com"]
    (row,) = world.sql("SELECT status, recipient FROM notices WHERE kind = 'payment_failed'")
    assert (row["status"], row["recipient"]) == ("sent", '"ada..b"@example.com')
    async with world.functions() as client:
        report = {"action": "bounce", "address": "Ada..b@example.com", "status": "5.1.1"}
        assert (await client.post(EVENTS, json=report, headers=ADMIN)).json()["outcome"] == "bounced"


def test_every_letter_is_of_seven_bits() -> None:
    """Nobody asks the server whether it takes more, and what is changed on the way has no valid signature any more."""
    text = Text("Über Ihre Zahlung", "Grüße aus Köln\n", "<p>Grüße aus Köln</p>")
    word = Word("c", "c", "open", "Ärger", "Grüße", "Prüfen", "error", NOW, NOW)
    for message in (letter(FROM, "ada@example.com", text, "1", NOW, "de"), alarm_letter(FROM, "ada@example.com", word)):
        raw = as_sent(message)
        assert raw.isascii()
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        body = message_from_bytes(raw, policy=default).get_body(("plain",))
        assert body is not None
        assert "Grüße" in body.get_content()


@pytest.mark.parametrize(
    "name",
    ["Your account is locked, see https://evil.example/now", "www.evil.example", "Pay at evil.example/x", "hxxp://x"],
)
def test_a_name_that_leads_somewhere_is_nobodys(name: str) -> None:
    """Anybody may type a name beside somebody else's address: no letter of ours carries their link to them."""
    for language in ("en", "de"):
        found = Templates().text(NoticeKind.ORDER_PAID, language, Facts(name=name, date=NOW), "Example")
        assert "evil" not in found.plain + found.html + found.subject
        assert "://x" not in found.plain
    usual = Templates().text(
        NoticeKind.ORDER_PAID, "en", Facts(name="Dr. J. S. O'Neil-Müller e.K.", date=NOW), "Example"
    )
    assert "Dr. J. S. O'Neil-Müller e.K." in usual.plain


@pytest.mark.parametrize("sender", ["a..b@example.com", "Example <.a@example.com>", "a.@example.com"])
def test_a_sender_that_no_letter_can_have_is_refused_at_start(world: World, sender: str) -> None:
    """Rather than by each mail."""
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        Settings.load({**world.environ, **mail("smtps://127.0.0.1:9"), "MAIL_FROM": sender})
