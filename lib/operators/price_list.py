"""What prices cost, read from Stripe and kept for a while: a page that is looked at again asks nothing again."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from msgspec import Struct, field

from lib.errors import Refused, Retryable
from lib.log import get_logger

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.stripe_client import Price

log = get_logger()

KEPT_FOR = 600.0
"""Seconds. A price's amount never changes; whether Stripe knows it at all may."""

AGAIN = 60.0
"""Seconds after which Stripe is asked again when it did not answer."""


class _Kept(Struct):
    prices: dict[str, Price | None] = field(default_factory=dict)
    """`None`: Stripe does not know it."""
    until: float = 0.0
    away_until: float = 0.0


_kept: WeakKeyDictionary[Bridge, _Kept] = WeakKeyDictionary()


async def prices(bridge: Bridge, wanted: Collection[str]) -> Mapping[str, Price]:
    """Those of these prices that are known; without the others while Stripe is away."""
    now = time.monotonic()
    kept = _kept.setdefault(bridge, _Kept())
    if now > kept.until:
        kept.prices, kept.until = {}, now + KEPT_FOR
    missing = set(wanted) - kept.prices.keys()
    if missing and now > kept.away_until:
        try:
            found = await bridge.stripe.prices(missing)
            kept.prices |= {price: found.get(price) for price in missing}
        except (Refused, Retryable) as error:
            kept.away_until = now + AGAIN
            log.warning("prices_unread", error=str(error))
    return {price: one for price in wanted if (one := kept.prices.get(price)) is not None}
