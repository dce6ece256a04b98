"""Handing one mail over to the operator's mail server, over a connection that is encrypted and verified or not at all.

Two steps, because what is not known is bounded by the second: `open` says who writes to whom, and whatever fails there
was not sent; `hand_over` sends the text, and when its answer is lost nobody knows. Both block, with a timeout for each
word of the server, and are run in a thread.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import certifi
from msgspec import Struct

from lib.config import Mail
from lib.errors import foreign
from lib.messages.templates import Text

PATIENCE = 10.0
"""Seconds for each word of the server."""

AFTER_DATA = 40.0
"""Seconds for its answer to the text itself; a lost one is worse than a late one."""

LONGEST_LINE = 998
"""Characters of a line that every server takes (RFC 5322)."""

_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_DOMAIN = re.compile(r"(?=.{1,255}$(?!\n))[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_SEVEN_BITS = SMTP.clone(cte_type="7bit")
"""A server is not asked whether it takes more, and one that may not hand more on would change the text."""


class ServerFails(Exception):
    """The mail server can't be used just now, whoever the mail is for; nothing was sent."""


class NotNow(Exception):
    """The server does not take this mail for now (4xx); nothing was sent."""


class NotTaken(Exception):
    """The server refused this mail or its recipient for good (5xx), or there can be no such mail; nothing was sent."""


class AnswerLost(Exception):
    """The text was on its way when the connection broke: it may have been taken."""


class Answer(Struct, frozen=True):
    """What the server said."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def address_of(typed: str) -> str:
    """An address as SMTP takes it: its domain as ASCII, and a mailbox with dots where none should be in quotes.

    Raises:
        NotTaken: it is none.
    """
    local, at, domain = typed.strip().rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode().lower() if at else ""
    except UnicodeError:
        ascii_domain = ""
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(ascii_domain):
        raise NotTaken("this is no e-mail address that mail servers take")
    mailbox = local if all(local.split(".")) else f'"{local}"'
    return f"{mailbox}@{ascii_domain}"


def letter(mail: Mail, recipient: str, text: Text, notice_id: str, at: datetime, language: str) -> EmailMessage:
    """The mail: plain text and HTML. It has the same id however often it is sent, so that a second copy is known."""
    message = blank()
    message["From"] = Address(mail.name, addr_spec=mail.address)
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = text.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<notice-{notice_id}@{mail.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = language
    message.set_content(text.plain)
    message.add_alternative(text.html, subtype="html")
    return message


def blank() -> EmailMessage:
    """A mail in which nothing stands yet."""
    return EmailMessage(policy=_SEVEN_BITS)


def as_sent(message: EmailMessage) -> bytes:
    """The mail's bytes. A plain subject is not folded: Python would leave its first line empty."""
    plain = str(message["Subject"]).isascii()
    return message.as_bytes(policy=SMTP.clone(max_line_length=LONGEST_LINE) if plain else SMTP)


class Server:
    """One connection to the mail server."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._smtp: smtplib.SMTP | None = None

    def open(self, recipient: str) -> None:
        """Connect, encrypted and verified, log in, and name sender and recipient.

        Raises:
            ServerFails, NotNow, NotTaken: nothing was sent.
        """
        try:
            smtp = self._connect()
            self._ask(smtp.mail(self._mail.address), whose=False)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise ServerFails(told(error)) from error
        try:
            self._ask(smtp.rcpt(recipient), whose=True)
        except (OSError, smtplib.SMTPException) as error:  # who hangs up on one recipient may take all the others
            raise NotNow(told(error)) from error

    def check(self) -> None:
        """Connect and log in, no more.

        Raises:
            ServerFails: it does not work.
        """
        try:
            self._connect().noop()
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise ServerFails(told(error)) from error

    def hand_over(self, message: EmailMessage) -> Answer:
        """Send the text; what the server answered when it took it.

        Raises:
            NotNow, NotTaken: it did not. AnswerLost: nobody knows.
        """
        smtp = self._smtp
        assert smtp is not None
        try:
            if smtp.sock is not None:
                smtp.sock.settimeout(AFTER_DATA)
            code, said = smtp.data(as_sent(message))
        except smtplib.SMTPDataError as error:  # it did not want to see the text at all
            code, said = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
        except (OSError, smtplib.SMTPException) as error:
            raise AnswerLost(told(error)) from error
        return self._ask((code, said), whose=True)

    def close(self) -> None:
        """Say goodbye, as far as that is possible."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if smtp.sock is not None:
                smtp.sock.settimeout(1.0)
            smtp.quit()
        with contextlib.suppress(OSError):
            smtp.close()

    def _connect(self) -> smtplib.SMTP:
        mail, context = self._mail, trusting()
        if mail.implicit_tls:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                mail.host, mail.port, local_hostname=mail.domain, timeout=PATIENCE, context=context
            )
            self._smtp = smtp
        else:
            smtp = self._smtp = smtplib.SMTP(mail.host, mail.port, local_hostname=mail.domain, timeout=PATIENCE)
            smtp.starttls(context=context)  # raises where the server has none: never without
        smtp.ehlo_or_helo_if_needed()
        if mail.user is not None and mail.password is not None:
            smtp.login(mail.user, mail.password.reveal())
        return smtp

    def _ask(self, said: tuple[int, bytes], *, whose: bool) -> Answer:
        """The server's answer.

        Args:
            whose: a refusal for good is about this mail, and not about whoever sends.
        """
        answer = Answer(said[0], foreign(said[1].decode("utf-8", "replace")))
        if 200 <= answer.code < 300:
            return answer
        if not whose:
            raise ServerFails(str(answer))
        raise (NotTaken if answer.code >= 500 else NotNow)(str(answer))


def trusting() -> ssl.SSLContext:
    """Certificates are verified, with their names, against the usual authorities and those of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(certifi.where())
    context.load_default_certs()
    return context


def told(error: Exception) -> str:
    """What went wrong, for people; never with a password in it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{error.smtp_code} the user or password of MAIL_URL is refused"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return foreign(f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return foreign(f"the certificate is refused: {error.verify_message or error}")
    return foreign(f"{type(error).__name__}: {error}")


def without(answer: str, recipient: str) -> str:
    """An answer without the address that servers like to repeat in it."""
    forms = "|".join(re.escape(form) for form in (recipient, recipient.replace('"', "")))
    return re.sub(forms, "the address", answer, flags=re.IGNORECASE)
