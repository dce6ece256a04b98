"""Stripe: the truth, read through the official SDK and handed on as model objects; and the few things we ask for."""

from lib.stripe_client.checkout import CheckoutWrites
from lib.stripe_client.mailing import MailingReads
from lib.stripe_client.money import MoneyReads
from lib.stripe_client.purchases import PurchaseReads
from lib.stripe_client.refunds import RefundWrites
from lib.stripe_client.shapes import Price
from lib.stripe_client.truth import TruthReads

__all__ = ["Price", "StripeClient"]


class StripeClient(TruthReads, MoneyReads, PurchaseReads, MailingReads, CheckoutWrites, RefundWrites):
    """One Stripe account, for one event loop (see `transport` for what every read raises, `writes` for the others)."""
