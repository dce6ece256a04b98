"""Texts of mails: every language says everything, nothing that is filled in becomes HTML or a header."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lib.config import Secret, Settings
from lib.messages import templates as templates_module
from lib.messages.mail import as_sent, letter
from lib.messages.templates import OURS, PLACES, WORDS, Facts, TemplateError, Templates
from lib.model.notice import NoticeKind
from scripts._notice import made_up
from scripts.doctor_checks.finding import Verdict
from scripts.doctor_checks.mail import check_mail
from tests.clients.test_config import GOOD, problems
from tests.messages.postoffice import PostOffice, certificate, mail, open_office

ROOT = Path(__file__).resolve().parent.parent.parent
AT = datetime(2026, 12, 4, 23, 5, tzinfo=UTC)
SETTINGS = Settings.load({**GOOD, **mail("smtp://billing%40example.com:fake%3Apassword@mail.example.com:587")})


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_language_says_everything(language: str, kind: NoticeKind) -> None:
    """Subject, text and HTML of every kind, without a place left open and without an empty paragraph."""
    for facts in (made_up(kind), Facts()):
        text = Templates().text(kind, language, facts, "Example Hosting")
        assert text.subject and "\n" not in text.subject
        assert "$" not in text.subject + text.plain + text.html
        assert "\n\n\n" not in text.plain and "<p></p>" not in text.html
        assert text.plain.endswith("Example Hosting\n")


@pytest.mark.parametrize("kind", [NoticeKind.PAYMENT_FAILED, NoticeKind.SUSPENSION_SOON, NoticeKind.DELETION_SOON])
@pytest.mark.parametrize(
    ("language", "said"), [("en", "4 December 2026, 23:05 UTC"), ("de", "4. Dezember 2026, 23:05 UTC")]
)
def test_a_date_is_whole(language: str, said: str, kind: NoticeKind) -> None:
    """Day, month, year, hour and its zone: nobody is off sooner than they read."""
    text = Templates().text(kind, language, Facts(date=AT), "x")
    assert said in text.plain and said in text.html


def test_what_is_filled_in_stays_text() -> None:
    """Names and domains are escaped, begin no header, no paragraph, no placeholder and no link."""
    facts = Facts(
        name="Ada <script>alert(1)</script>\r\nBcc: eve@example.net ${sender} https://evil.example",
        service="<b>$service</b>\r\n.\r\n",
        amount="1 EUR",
        url='https://pay.example/?a=1&b="><img src=x>',
    )
    text = Templates().text(NoticeKind.PAYMENT_FAILED, "en", facts, "Example Hosting")
    assert "<script>" not in text.html and "<img" not in text.html and "<b>" not in text.html
    assert text.html.count("<a href=") == 1
    assert '<a href="https://pay.example/?a=1&amp;b=&quot;&gt;&lt;img src=x&gt;">' in text.html
    assert SETTINGS.mail is not None
    sent = as_sent(letter(SETTINGS.mail, "ada@example.com", text, "1", AT, "en"))
    head, _, _ = sent.partition(b"\r\n\r\n")
    assert b"Bcc" not in head
    assert [line for line in head.split(b"\r\n") if line.startswith(b"To:")] == [b"To: ada@example.com"]
    assert b"\r\n.\r\n" not in sent


def test_an_operators_own_words_come_first(tmp_path: Path) -> None:
    """File by file; a folder of theirs is a language too, and what is wrong with one is said with its name."""
    own = tmp_path / "mine"
    (own / "en").mkdir(parents=True)
    (own / "en/suspended.txt").write_text(
        "Subject: Off: ${service}\n\nSee https://example.com/help?a=1&b=2, ${name}.\n"
    )
    templates = Templates.of(str(own))
    text = templates.text(NoticeKind.SUSPENDED, "en", Facts(name="Ada", service="shop.example"), "x")
    assert (text.subject, text.plain) == ("Off: shop.example", "See https://example.com/help?a=1&b=2, Ada.\n")
    assert '<a href="https://example.com/help?a=1&amp;b=2,">' in text.html
    assert templates.text(NoticeKind.ENDED, "en", Facts(), "x") == Templates().text(
        NoticeKind.ENDED, "en", Facts(), "x"
    )
    (own / "pt-br").mkdir()
    assert templates.language(["pt_BR", "de"], "en") == "pt-br"
    assert templates.language(["xx"], "de-CH") == "de"
    for wrong, said in (
        ("Subject: ${nmae}\n", "en/ended.txt uses ${nmae}; there are amount"),
        ("Subject: 5 $\n", "$$"),
    ):
        (own / "en/ended.txt").write_text(wrong)
        templates_module._file.cache_clear()
        with pytest.raises(TemplateError) as error:
            templates.text(NoticeKind.ENDED, "en", Facts(), "x")
        assert said in str(error.value)
    with pytest.raises(TemplateError, match=r"there is no template pt-br/ended.txt"):
        templates.text(NoticeKind.ENDED, "pt-br", Facts(), "x")


def test_the_page_names_every_place() -> None:
    """What a template may use, and what `words.txt` must have, is written down."""
    page = (ROOT / "docs/notices.md").read_text()
    assert [name for name in PLACES if f"`${{{name}}}`" not in page] == []
    assert [kind for kind in NoticeKind if f"| `{kind}` |" not in page] == []
    for language in OURS.iterdir():
        words = (language / "words.txt").read_text()
        assert [word for word in WORDS if f"\n{word}:" not in words] == []
    passwords = [path for path in OURS.rglob("*.txt") if "password" in path.read_text().lower()]
    assert passwords == []


# --- settings, doctor, script -----------------------------------------------------------------------------------------


def test_the_settings_are_read() -> None:
    """Percent-encoded user and password, a default port for each of the two ways, a name and an address."""
    found = SETTINGS.mail
    assert found is not None
    assert (found.host, found.port, found.implicit_tls) == ("mail.example.com", 587, False)
    assert (found.user, found.password) == ("billing@example.com", Secret("fake:password"))
    assert (found.name, found.address, found.domain) == ("Example Hosting", "billing@example.com", "example.com")
    assert "fake" not in repr(SETTINGS)
    for url, port in (("smtp://mail.example.com", 587), ("smtps://mail.example.com", 465)):
        plain = Settings.load({**GOOD, "MAIL_URL": url, "MAIL_FROM": "a@example.com"}).mail
        assert plain is not None
        assert (plain.port, plain.user, plain.name) == (port, None, "")
    assert Settings.load(GOOD).mail is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"MAIL_URL": "smtp://mail.example.com"}, "MAIL_FROM is missing"),
        ({"MAIL_FROM": "a@example.com"}, "MAIL_URL is missing"),
        ({"MAIL_URL": "https://mail.example.com", "MAIL_FROM": "a@b.example"}, "MAIL_URL must be smtp://"),
        ({"MAIL_URL": "smtp://user:fake_pw/x@mail.example.com", "MAIL_FROM": "a@b.example"}, "MAIL_URL"),
        ({"MAIL_URL": "smtp://user@mail.example.com", "MAIL_FROM": "a@b.example"}, "MAIL_URL must name both"),
        ({"MAIL_URL": "smtp://u:fake_pw%zz@mail.example.com", "MAIL_FROM": "a@b.example"}, "MAIL_URL must write"),
        ({"MAIL_URL": "smtp://mail.example.com", "MAIL_FROM": "Example"}, "MAIL_FROM must be an address"),
        ({"MAIL_URL": "smtp://mail.example.com", "MAIL_FROM": "a@x.example\nBcc: b@x.example"}, "MAIL_FROM must be"),
        ({"NOTICE_LANGUAGE": "../x"}, "NOTICE_LANGUAGE must be a language"),
        ({"NOTICE_DAYS": "61"}, "NOTICE_DAYS must be a whole number from 0 to 60"),
    ],
)
def test_wrong_settings_are_named(changed: dict[str, str], said: str) -> None:
    """With the remedy, and without any part of a password."""
    (problem,) = problems(**changed)
    assert problem.startswith(said)
    assert "fake_pw" not in problem


async def examined(url: str, **more: str) -> list[tuple[Verdict, str]]:
    """What the doctor says of a mail server."""
    settings = Settings.load({**GOOD, **mail(url, **more)})
    return [(finding.verdict, finding.said) async for finding in check_mail(settings)]


async def test_the_doctor_tries_the_server_and_the_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Login and certificate, without sending anything; and a template that can't be filled in."""
    pem = certificate(tmp_path)
    with open_office(office := PostOffice(), pem) as url:
        (server, words) = await examined(url)
        assert server[0] is Verdict.FAIL and "the certificate is refused" in server[1]
        assert words == (Verdict.OK, "mails in de, en; every template can be filled in")
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        assert {verdict for verdict, _ in await examined(url)} == {Verdict.OK}
        office.password = "another"
        assert "535 the user or password of MAIL_URL is refused" in (await examined(url))[0][1]
        (tmp_path / "en").mkdir()
        (tmp_path / "en/suspended.txt").write_text("Subject: ${x}\n")
        assert "en/suspended.txt uses ${x}" in (await examined(url, NOTICE_TEMPLATES=str(tmp_path)))[1][1]
    assert office.taken == []
    assert "ConnectionRefusedError" in (await examined(url))[0][1]


def script(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as a person does."""
    command = [sys.executable, "-c", "from scripts._notice import main; main()", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def test_a_preview_needs_no_settings() -> None:
    """All of them, or one; in a language; as HTML."""
    shown = script("preview")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [kind for kind in NoticeKind if f"=== {kind} (en)" not in shown.stdout] == []
    one = script("preview", "suspended", "--language", "de-CH", "--html")
    assert "=== suspended (de)" in one.stdout and '<html lang="de">' in one.stdout
    assert "=== ended (de)" in script("preview", "--language", "de", "ended").stdout
    assert script("preview", "nonsense").returncode == 2


def test_a_test_goes_to_the_address_that_was_named(tmp_path: Path) -> None:
    """And nowhere else; what the server says is shown."""
    pem = certificate(tmp_path)
    with open_office(office := PostOffice(), pem) as url:
        environ = {**GOOD, **mail(url), "SSL_CERT_FILE": str(pem)}
        done = script("test", "--to", "anna@example.com", **environ)
        assert (done.returncode, done.stderr) == (0, "")
        assert "250 2.0.0 taken as A1" in done.stdout
        office.recipient_says = lambda _: "550 no such mailbox"
        refused = script("test", "suspended", "--to", "bob@example.com", **environ)
    assert (refused.returncode, "550 no such mailbox" in refused.stderr) == (1, True)
    assert [one["To"] for one in office.taken] == ["anna@example.com"]
    assert "not set" in script("test", "--to", "anna@example.com", **GOOD).stderr
    assert script("test").returncode == 2
