"""Who may ask: each route names one guard, which is asked before anything of the request is read.

A key of `ADMIN_API_KEY` may have a scope, by its name (`KEY_SCOPES`): each verb says what of it such a key may ask for.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from lib.config import KeyScope, Secret, Settings
from lib.errors import Declined
from lib.web.request import Request
from lib.web.response import Response, see_other

Scheme = Literal["none", "admin", "optional_admin", "cron", "signature"]


def _everything(_: str, __: Callable[[], Settings]) -> KeyScope:
    return KeyScope.ALL


class Guard(Struct, frozen=True):
    """One way to be let in."""

    name: Scheme
    check: Callable[[Request, Callable[[], Settings]], str | Response | None]
    """Who asks: the name behind a bearer key, `None` for a stranger who may; or the answer to one who is sent away.

    Raises Declined (401) for one who may not.
    """
    scope: Callable[[str, Callable[[], Settings]], KeyScope] = _everything
    """How far the key of this name reaches."""


def bearer(request: Request) -> str | None:
    """The bearer token of a request, if it brought one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def actor(request: Request, keys: Sequence[tuple[str, Secret]]) -> str:
    """The name behind the request's bearer key. Compares with every key, in constant time.

    Raises:
        Declined: 401.
    """
    token = bearer(request)
    names = [name for name, key in keys if token is not None and same(token, key)]
    if not names:
        raise Declined("unauthorized", "send a valid key as Authorization: Bearer ...")
    return names[0]


_LOOKS = "only looks: it sends no POST, PUT or DELETE"
_COLLECTS = (
    'only lists open offline orders{} (openOffline=true or reference=...) and sends "collect" for them,'
    ' without "anyway"'
)

_BOUNCES = 'only tells which mails came back: POST /api/admin/events with "bounce"'


def beyond(name: str, scope: KeyScope) -> Declined:
    """What is said to a key that reaches less far than what was asked for."""
    of = scope.partition(":")[2]
    collects = _COLLECTS.format(f" of {of}" if of else "")
    may = _LOOKS if scope is KeyScope.READ else _BOUNCES if scope is KeyScope.BOUNCE else collects
    detail = f"the key {name} has the scope {scope.value} (KEY_SCOPES), which {may}: use an operator's key for this"
    return Declined("forbidden", detail)


def same(token: str, secret: Secret) -> bool:
    """Whether `token`, from a header (bytes read as Latin-1), is the secret.

    Digests are compared, in constant time: neither how much of a wrong key is right nor how long ours is shows in how
    long that takes.
    """
    return hmac.compare_digest(_digest(token.encode("latin-1", "replace")), _digest(secret.reveal().encode()))


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _cron(request: Request, settings: Callable[[], Settings]) -> str | None:
    secret, token = settings().cron_secret, bearer(request)  # what is not set up is told as that, and lets nobody in
    if token is None or not same(token, secret):
        raise Declined("unauthorized", "send CRON_SECRET as Authorization: Bearer ...")
    return None


def _optional_admin(request: Request, settings: Callable[[], Settings]) -> str | None:
    return None if bearer(request) is None else actor(request, settings().admin_keys)


def _page_or_admin(request: Request, settings: Callable[[], Settings]) -> str | Response:
    looks = request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")
    if looks and bearer(request) is None:
        return see_other("/")
    return actor(request, settings().admin_keys)


def _scope(name: str, settings: Callable[[], Settings]) -> KeyScope:
    return settings().scope_of(name)


def _everybody(_: Request, __: Callable[[], Settings]) -> None:
    return None


admin = Guard("admin", lambda request, settings: actor(request, settings().admin_keys), _scope)
"""A bearer key of `ADMIN_API_KEY`."""

page_or_admin = Guard("admin", _page_or_admin, _scope)
"""As `admin`; a browser that comes without a key is sent to the page, which asks for it."""

optional_admin = Guard("optional_admin", _optional_admin, _scope)
"""Everybody; who brings a key is told more, and a wrong one is refused like everywhere."""

cron = Guard("cron", _cron)
"""`CRON_SECRET` as the bearer."""

signature = Guard("signature", _everybody)
"""Whoever signed the body, which the handler verifies: it has to read it for that."""

public = Guard("none", _everybody)
"""Everybody."""
