"""A subscription's digest stays what it was: another one would make every customer due at the next sweep."""

import hashlib
from datetime import UTC, datetime

from msgspec.structs import astuple

from lib.config import Policy
from lib.model import Item, Subscription
from lib.policy import fingerprint
from lib.structs import replace

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BOUGHT = Subscription("sub_1", "active", (Item("si_2", "price_2", 1), Item("si_1", "price_1", 3)), NOW)


def test_a_digest_is_of_the_operators_choices_and_of_what_stripe_lists() -> None:
    """Two policies in turns, each with their own digest, by the same text as ever."""
    other = replace(Policy(), grace_days=3)
    for policy in (Policy(), other, Policy()):
        items = (("si_1", "price_1", 3), ("si_2", "price_2", 1))
        said = repr((astuple(policy), "active", items, None, None, None, None, False, None))
        assert fingerprint(BOUGHT, policy) == hashlib.blake2b(said.encode(), digest_size=12).hexdigest()
