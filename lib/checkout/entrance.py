"""What the public functions share: who is asking, and how an answer looks to a browser and to other sites' scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from lib import environment
from lib.checkout import pages
from lib.checkout.shop import Caller, Shop
from lib.config import Settings
from lib.database import Database
from lib.errors import Fault, SettingsError
from lib.web import Ask, is_form, problem
from lib.web.guard import bearer
from lib.web.origins import address_of, shared_with
from lib.web.request import Request
from lib.web.response import Response
from lib.web.typed import declined

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.stripe_client import StripeClient

LONGEST_BODY = 16 * 1024
"""Bytes: a purchase has a handful of fields."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_OURS = ("not_configured", "schema_outdated")
"""Codes of what is nobody's secret, and to be mended by whoever reads it."""


class Bridge(Protocol):
    """Settings, database and the two other sides."""

    @property
    def settings(self) -> Settings: ...
    @property
    def db(self) -> Database: ...
    @property
    def stripe(self) -> StripeClient: ...
    @property
    def enhance(self) -> EnhanceClient: ...


def shop(bridge: Bridge) -> Shop:
    """The deployment, as far as it sells."""
    return Shop(bridge.settings, bridge.db, bridge.stripe, bridge.enhance)


def caller(ask: Ask[Any]) -> Caller:
    """Who is asking.

    Raises:
        Declined: 422 for an `Idempotency-Key` that is none.
    """
    key = ask.request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        detail = "Idempotency-Key must be 1 to 255 visible characters of ASCII"
        raise declined([Fault("Idempotency-Key", "invalid", detail)])
    return Caller(address_of(ask.request, environment.current().trusted_proxies), ask.actor, key)


def dress(*methods: str) -> Callable[[Request, Response], Response]:
    """How the answers of a public function look in the end."""

    def dressed(request: Request, response: Response) -> Response:
        settings = _settings()
        response = _discreet(request, response)
        if is_problem(response) and (is_form(request) or request.method == "GET") and pages.wants_page(request):
            response = pages.problem_page(response, settings.checkout_cancel_url if settings else None)
        return shared_with(request, response, (settings.allowed_origins if settings else None) or (), methods)

    return dressed


def is_problem(response: Response) -> bool:
    """Whether it is a problem document."""
    return response.media_type == "application/problem+json"


def _discreet(request: Request, response: Response) -> Response:
    """What another side said of our own account is a matter of the log, and of who has a key."""
    if not is_problem(response) or bearer(request) is not None:
        return response
    said = json.loads(bytes(response.body))
    if said["code"] == "checkout_refused" and "field" not in said:  # nothing that the buyer could mend
        detail = "this can't be sold as things stand: ask for help (the log says why)"
        return problem(response.status_code, "checkout_refused", detail)
    if response.status_code not in (502, 503) or said["code"] in _OURS:
        return response
    detail = "this can't be done just now: try again in a moment (the log says why)"
    return problem(503, "unavailable", detail, headers={"Retry-After": "10"})


def _settings() -> Settings | None:
    try:
        return environment.current()
    except SettingsError:
        return None
