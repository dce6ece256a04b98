"""A mail server over real SMTP with a certificate of its own making, as an operator would have one."""

import subprocess
from asyncio import Transport
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from scripts._postgres import free_port
from tests.tools import require_tool

USER, PASSWORD = "billing@example.com", "fake:password"


@dataclass
class PostOffice:
    """Takes every mail, or answers as it is told; remembers what it took."""

    recipient_says: Callable[[str], str] | None = None
    """The answer to RCPT."""
    text_says: Callable[[], str] | None = None
    """The answer to the text itself."""
    loses_answers: int = 0
    """So many mails are taken, and the connection breaks before the answer."""
    breaks: int = 0
    """So many connections break at RCPT."""
    password: str = PASSWORD
    taken: list[EmailMessage] = field(default_factory=list)
    connections: int = 0

    # --- the handlers of aiosmtpd ---

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += session.ssl is None
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.breaks:
            self.breaks -= 1
            return _break(server)
        answer = self.recipient_says(address) if self.recipient_says else "250 ok"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.text_says() if self.text_says else "250 2.0.0 taken as A1"
        if answer.startswith("2"):
            found: Any = message_from_bytes(envelope.content or b"", policy=default)  # type: ignore[arg-type]
            self.taken.append(found)
        if self.loses_answers:
            self.loses_answers -= 1
            return _break(server)
        return answer

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        known = isinstance(data, LoginPassword) and data.login.decode() == USER
        return AuthResult(success=known and data.password.decode() == self.password, handled=False)

    # --- looking ---

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.taken]

    def plain(self, at: int = -1) -> str:
        """The plain text of a mail."""
        body = self.taken[at].get_body(("plain",))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")

    def html(self, at: int = -1) -> str:
        """The HTML of a mail."""
        body = self.taken[at].get_body(("html",))
        assert body is not None
        return str(body.get_content())


def _break(server: SMTP) -> str:
    assert isinstance(server.transport, Transport)
    server.transport.abort()
    return "421 gone"


def certificate(folder: Path, name: str = "127.0.0.1") -> Path:
    """A certificate of this test's own for `name`, with its key in the same file."""
    openssl = require_tool("openssl", "openssl")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / f"{name}.pem"
    subject = f"subjectAltName=IP:{name}" if name[0].isdigit() else f"subjectAltName=DNS:{name}"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=mail.example.com", "-addext", subject, "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text(key.read_text() + cert.read_text())
    return both


@contextmanager
def open_office(office: PostOffice, pem: Path, *, starttls: bool = True, encrypts: bool = True) -> Iterator[str]:
    """The `MAIL_URL` of a mail server that runs; by STARTTLS, or with TLS from the start."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    options: dict[str, Any] = {"authenticator": office.authenticate, "auth_require_tls": encrypts and starttls}
    if encrypts and starttls:
        options |= {"tls_context": context, "require_starttls": True}
    at_once = context if encrypts and not starttls else None
    controller = Controller(office, hostname="127.0.0.1", port=free_port(), ssl_context=at_once, **options)
    controller.start()
    try:
        scheme = "smtp" if starttls else "smtps"
        yield f"{scheme}://billing%40example.com:fake%3Apassword@127.0.0.1:{controller.port}"
    finally:
        controller.stop()


def mail(url: str, **more: str) -> dict[str, str]:
    """The settings for this mail server."""
    return {"MAIL_URL": url, "MAIL_FROM": "Example Hosting <billing@example.com>", **more}
