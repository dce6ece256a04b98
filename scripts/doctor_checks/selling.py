"""What selling needs besides: settings that belong together, and what the Stripe key must be allowed to write."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from uuid import uuid4

from scripts.doctor_checks.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.stripe_client import StripeClient

KEY = "Stripe: Developers > API keys > edit the restricted key: {name}: Write."


async def check_selling(settings: Settings, stripe: StripeClient) -> AsyncIterator[Finding]:
    """Nothing where neither checkout nor portal is switched on: then the key needs no more than to read."""
    from lib.stripe_client.purchases import SESSIONS
    from lib.stripe_client.writes import PORTAL

    pages = {
        "CHECKOUT_SUCCESS_URL": settings.checkout_success_url,
        "CHECKOUT_CANCEL_URL": settings.checkout_cancel_url,
    }
    unset = [name for name, value in pages.items() if value is None]
    if len(unset) == 1:
        yield warn(f"public checkout is off: {unset[0]} is not set", "Set both, or neither (docs/checkout.md).")
    if not unset:
        yield await _may_write(stripe, "public checkout", "Checkout Sessions", SESSIONS)
    if settings.portal_return_url is not None:
        yield await _may_write(stripe, "the billing portal", "Customer portal", PORTAL)


async def _may_write(stripe: StripeClient, feature: str, name: str, path: str) -> Finding:
    """Ask for something without saying for what: whoever may is told what is missing, and nothing is made."""
    from lib.errors import BridgeError, Denied, Refused

    try:
        await stripe.post(path, f"doctor:{uuid4()}", {})
    except Refused:
        return ok(f"{feature} is on, and the key may do what it needs ({name}: Write)")
    except Denied as error:
        permission = re.search(r"rak_\w+", str(error))
        named = f" ({permission[0]})" if permission else ""
        return fail(f"{feature} is on, and the key may not write {name}{named}", KEY.format(name=name))
    except BridgeError as error:
        return warn(f"whether the key may write {name} could not be seen: {error}", "Try again.")
    return warn(f"Stripe took an empty request for {name}", "Look at what it made.")
