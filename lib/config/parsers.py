"""Settings as they are typed, read forgivingly where nothing can be misunderstood. ValueError says what is wrong."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from lib.config.values import KeyScope, Secret

if TYPE_CHECKING:
    from lib.config.values import Window
    from lib.model.outgoing import OutgoingType
    from lib.model.shard import Shard

# What few set is loaded by who sets it.


def secret(value: str) -> Secret:
    """A secret of any form."""
    return Secret(value)


def secrets(value: str) -> tuple[Secret, ...]:
    """Signing secrets of webhooks, by commas: several while one is replaced."""
    found = tuple(Secret(part.strip()) for part in value.split(",") if part.strip())
    if not found:
        raise ValueError("is empty")
    for one in found:
        if not re.match("whsec_.", one.reveal()):
            raise ValueError("must start with whsec_ (several are separated by commas)")
    return found


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - is only checked when it is read
    except ValueError:
        raise ValueError("is not a valid address") from None  # the original message repeats user and password
    return parts


def read_database_url(value: str) -> Secret:
    """The address of a Postgres database. ValueError says what is wrong with it, and never repeats it."""
    scheme, colon, rest = value.partition(":")
    if _split(value).scheme not in ("postgres", "postgresql"):
        raise ValueError("must start with postgresql://")
    if re.search("%(?![0-9A-Fa-f]{2})", value):
        raise ValueError("holds a % that encodes nothing; in a password, write % as %25")
    if re.search(r"\s", value):
        raise ValueError("holds a blank; in a password, write it as %20")
    return Secret(scheme.lower() + colon + rest)  # the driver knows it in small letters only


def stripe_key(value: str) -> Secret:
    """A secret or restricted key of Stripe's API."""
    if not re.match(r"(sk|rk)_(test|live)_.", value):
        raise ValueError("must start with sk_test_, sk_live_, rk_test_ or rk_live_ (not the publishable pk_ key)")
    return Secret(value)


def http_url(value: str) -> str:
    """An address without a slash at its end."""
    parts = _split(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be a URL such as https://panel.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be a plain address: no user, password, query or fragment")
    return value.rstrip("/")


def page_url(value: str) -> str:
    """The address of a page of the operator's own, to which a buyer is sent back."""
    parts = _split(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
        raise ValueError("must be a page such as https://www.example.com/thanks")
    if re.search(r"\s", value):
        raise ValueError("holds a blank")
    return value


def origins(value: str) -> tuple[str, ...]:
    """Origins of web pages, by commas."""
    found = []
    for part in (p.strip().rstrip("/") for p in value.split(",") if p.strip()):
        parts = _split(part)
        if parts.scheme not in ("https", "http") or not parts.hostname or part != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("must be origins such as https://www.example.com, separated by commas: no path, no *")
        found.append(part.lower())
    return tuple(dict.fromkeys(found))


def locale(value: str) -> str:
    """A language of Stripe's pages."""
    if not re.fullmatch(r"auto|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,4})?", value):
        raise ValueError("must be auto, or a language such as de or pt-BR")
    return value


def panel_url(value: str) -> str:
    """The panel's address, with or without its /api."""
    url = http_url(value)
    return url if url.endswith("/api") else url + "/api"


def panel_id(value: str) -> str:
    """An id as the panel writes them."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError("must be the organisation's id, a UUID (panel: Settings > Access tokens shows it)") from None


def admin_keys(value: str) -> tuple[tuple[str, Secret], ...]:
    """Keys of people, by commas, each with a name or alone: then the actor is `admin`."""
    keys: list[tuple[str, Secret]] = []
    for part in (p.strip() for p in value.split(",")):
        name, colon, key = part.partition(":")
        name, key = (name.strip(), key.strip()) if colon else ("admin", name.strip())
        if not key or not name:
            raise ValueError("must be a key, or name:key pairs separated by commas")
        keys.append((name, Secret(key)))
    if len({key for _, key in keys}) < len(keys):
        raise ValueError("gives one key to two names")
    return tuple(keys)


def key_scopes(value: str) -> tuple[tuple[str, KeyScope], ...]:
    """How far named keys reach, by commas; each name once."""
    found: list[tuple[str, KeyScope]] = []
    for part in value.split(","):
        name, equals, scope = (text.strip() for text in part.partition("="))
        if not name or not equals or scope.lower() not in set(KeyScope) - {KeyScope.ALL}:
            raise ValueError(
                "must be name=read, name=bounce or name=collect (or name=collect:cash_on_delivery,"
                " name=collect:bank_transfer), separated by commas; a key without one may do all"
            )
        found.append((name, KeyScope(scope.lower())))
    if len({name for name, _ in found}) < len(found):
        raise ValueError("names one key twice")
    return tuple(found)


def outbox_urls(value: str) -> tuple[str, ...]:
    """Endpoints of the operator, by commas."""
    urls = tuple(part.strip() for part in value.split(",") if part.strip())
    for url in urls:
        parts = _split(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("must be addresses such as https://app.example.com/events, separated by commas")
        if parts.username or parts.password or parts.fragment or re.search(r"\s", url):
            raise ValueError("must be plain addresses: no user, password, fragment or blank")
    if len(set(urls)) < len(urls):
        raise ValueError("names one address twice")
    return urls


def alert_url(value: str) -> Secret:
    """Where alerts are posted to. ValueError says what is wrong with it, and never repeats it."""
    parts = _split(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be an address such as https://hooks.slack.com/services/...")
    if parts.username or parts.password or parts.fragment or re.search(r"\s", value):
        raise ValueError("must be a plain address: no user, password, fragment or blank")
    return Secret(value)


def dsn(value: str) -> Secret:
    """The address of a project at Sentry, which holds its public key."""
    parts = _split(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or not parts.username:
        raise ValueError("must be the project's DSN, such as https://key@o1.ingest.sentry.io/2")
    if not re.fullmatch(r"(/[^/\s]+)*/\d+", parts.path):
        raise ValueError("must end with the project's number (Sentry: Settings > Client Keys)")
    return Secret(value)


def outbox_secrets(value: str) -> tuple[tuple[Secret, ...], ...]:
    """The secrets of each endpoint, by position; several of one by |."""
    return tuple(tuple(_outbox_secret(one.strip()) for one in part.split("|")) for part in value.split(","))


def _outbox_secret(value: str) -> Secret:
    try:
        key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not value.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "must be whsec_ and then 24 to 64 bytes in base64, one for each address, old|new while you change it (make"
            " one: echo whsec_$(openssl rand -base64 32))"
        )
    return Secret(value)


def outbox_types(value: str) -> tuple[frozenset[OutgoingType], ...]:
    """The types that each endpoint wants, by position."""
    return tuple(_types(part, number) for number, part in enumerate(value.split(","), 1))


def _types(value: str, number: int) -> frozenset[OutgoingType]:
    """Types separated by |, each exact or with a * at its end; nothing is all of them."""
    from lib.model.outgoing import OutgoingType

    found: set[OutgoingType] = set()
    for place, name in enumerate((part.strip().lower() for part in value.split("|")), 1):
        stem = name.removesuffix("*")
        known = {one for one in OutgoingType if one == name or (name.endswith("*") and one.startswith(stem))}
        if name and not known:
            raise ValueError(
                "must be types such as order.paid|service.*, one list for each address separated by commas;"
                f" word {place} of list {number} is no type"
            )
        found |= known
    return frozenset(found or OutgoingType)


def mail_url(value: str) -> Secret:
    """Where mails are handed over. ValueError says what is wrong with it, and never repeats it."""
    parts = _split(value)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be smtp://user:password@host:port (STARTTLS) or smtps:// (TLS from the start)")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must end with the port; in a user or password write / as %2F, ? as %3F, # as %23")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("must name both user and password, or neither; in them write @ as %40, : as %3A")
    if not value.isascii() or re.search(r"\s", value) or re.search("%(?![0-9A-Fa-f]{2})", value):
        raise ValueError("must write blanks, % and letters beyond ASCII encoded, such as %20")
    return Secret(value)


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"


def mail_from(value: str) -> tuple[str, str]:
    """The sender: name, which may be empty, and address."""
    found = re.fullmatch(rf'(?:"?([^"<>]*?)"?\s*<({_ADDRESS})>|({_ADDRESS}))', value)
    if found is None or not value.isprintable():
        raise ValueError("must be an address such as billing@example.com, or Example Hosting <billing@example.com>")
    return (found[1] or "").strip(), found[2] or found[3]


def mailbox(value: str) -> str:
    """One e-mail address."""
    if not re.fullmatch(_ADDRESS, value):
        raise ValueError("must be one address such as oncall@example.com")
    return value


def language(value: str) -> str:
    """A language such as `en` or `pt-BR`."""
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise ValueError("must be a language such as en, de or pt-BR")
    return value.lower()


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within these bounds."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return parse


def shard(value: str) -> Shard:
    """`0/2`: which of how many deployments this is. Twice as many are a split of each, so they are powers of two."""
    found = re.fullmatch(r"(\d{1,2})\s*/\s*(\d{1,2})", value)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if count not in (2, 4, 8, 16, 32, 64) or number >= count:
        raise ValueError("must be a number from 0, a slash, and how many there are (2, 4, 8 ... 64): 0/2")
    from lib.model.shard import Shard

    return Shard(number, count)


def suspend_window(value: str) -> Window:
    """Hours within which suspensions may happen, and days on which they may not."""
    from lib.config.window import suspend_window

    return suspend_window(value)


def one_of(*choices: str) -> Callable[[str], str]:
    """Reads one of these words, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse
