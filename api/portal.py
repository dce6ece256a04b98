"""`POST /api/portal`: a link to Stripe's billing portal."""

from __future__ import annotations

from lib.bridge import current
from lib.checkout import bodies, entrance, portal
from lib.checkout.views import PortalLink
from lib.web import Ask, Verb, endpoint, is_form, optional_admin
from lib.web.response import Response, see_other


async def link(ask: Ask[bodies.Portal]) -> PortalLink | Response:
    """A link to the billing portal, good for a few minutes; a posted HTML form is answered by 303 to it."""
    found = await portal.link(entrance.shop(current()), ask.given, entrance.caller(ask))
    return see_other(found.url) if is_form(ask.request) else found


app = endpoint(
    guard=optional_admin,
    dress=entrance.dress("POST"),
    POST=Verb(link, body=bodies.Portal, answers={200: PortalLink}, form=True, limit=entrance.LONGEST_BODY),
)
