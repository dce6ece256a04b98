"""Stripe: the truth, read through the official SDK and handed on as model objects."""

from lib.stripe_client.money import MoneyReads
from lib.stripe_client.shapes import Price
from lib.stripe_client.truth import TruthReads

__all__ = ["Price", "StripeClient"]


class StripeClient(TruthReads, MoneyReads):
    """All that is read from one Stripe account, for one event loop (see `transport` for what every read raises)."""
