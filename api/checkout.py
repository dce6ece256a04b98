"""`/api/checkout`: a wish to buy becomes a page at Stripe, and the page that comes afterwards learns how it stands."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from lib.bridge import current
from lib.checkout import bodies, entrance, pages, session, status
from lib.checkout.views import Begun, Status
from lib.web import Ask, Verb, endpoint, is_form, optional_admin


async def begin(ask: Ask[bodies.Buy]) -> Begun | Response:
    """Begins a purchase: send the buyer to `url`. The same wish of the same buyer gives the same open session.

    A posted HTML form with the same fields is answered by 303 to Stripe's page.
    """
    begun = await session.begin(entrance.shop(current()), ask.given, entrance.caller(ask))
    return RedirectResponse(begun.url, status_code=303) if is_form(ask.request) else begun


async def show(ask: Ask[bodies.Look]) -> Status | Response:
    """How a purchase stands; a browser is shown a page that renews itself."""
    given = ask.given
    found = await status.show(entrance.shop(current()), given.session_id, entrance.caller(ask))
    return pages.status_page(found, given.session_id, given.round) if pages.wants_page(ask.request) else found


app = endpoint(
    guard=optional_admin,
    dress=entrance.dress("GET", "POST"),
    GET=Verb(show, query=bodies.Look, answers={200: Status}),
    POST=Verb(begin, body=bodies.Buy, answers={200: Begun}, form=True, limit=entrance.LONGEST_BODY),
)
