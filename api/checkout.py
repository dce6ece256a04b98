"""`/api/checkout`: a wish to buy becomes a page at Stripe, and the page that comes afterwards learns how it stands."""

from __future__ import annotations

from functools import partial

from lib.bridge import current
from lib.checkout import bodies, entrance, pages, session, status
from lib.checkout.views import Begun, Status
from lib.web import Answer, Ask, Verb, endpoint, is_form, optional_admin, work_deadline
from lib.web.response import Response, see_other


async def begin(ask: Ask[bodies.Buy]) -> Answer | Response:
    """Begins a purchase: send the buyer to `url`. The same wish of the same buyer gives the same open session.

    A posted HTML form with the same fields is answered by 303 to Stripe's page.
    """
    bridge = current()
    await bridge.stir()
    begun = await session.begin(entrance.shop(bridge), ask.given, entrance.caller(ask))
    stir = bridge.stir
    if is_form(ask.request):
        return see_other(begun.url, background=stir)
    return Answer(begun, background=stir)


async def show(ask: Ask[bodies.Look]) -> Answer | Response:
    """How a purchase stands; a browser is shown a page that renews itself."""
    bridge, given = current(), ask.given
    found = await status.show(entrance.shop(bridge), given.session_id, entrance.caller(ask))
    work = None
    if found.nudges:  # who waits for it need not wait for an event that may be lost
        work = partial(bridge.drain_quietly, deadline=work_deadline(), first=found.nudges)
    if not pages.wants_page(ask.request):
        return Answer(found.status, background=work)
    page = pages.status_page(found.status, given.session_id, given.round)
    page.background = work
    return page


app = endpoint(
    guard=optional_admin,
    dress=entrance.dress("GET", "POST"),
    GET=Verb(show, query=bodies.Look, answers={200: Status}),
    POST=Verb(begin, body=bodies.Buy, answers={200: Begun}, form=True, limit=entrance.LONGEST_BODY),
)
