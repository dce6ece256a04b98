"""What every verb here needs: the settings, the two other sides, and who is asking."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from msgspec import Struct

from lib.config import Settings
from lib.database import Database
from lib.errors import Declined
from lib.policy.counted import digest
from lib.policy.session_request import Page

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.stripe_client import StripeClient


class Desk(Struct, frozen=True):
    """What it takes to make and end sessions at Stripe."""

    settings: Settings
    db: Database
    stripe: StripeClient


class Shop(Desk, frozen=True):
    """One deployment, as far as it sells."""

    enhance: EnhanceClient

    @property
    def page(self) -> Page:
        """What the operator chose about Stripe's page.

        Raises:
            Declined: public checkout is off.
        """
        chosen = self.settings
        if chosen.checkout_success_url is None or chosen.checkout_cancel_url is None:
            unset = [
                name
                for name, value in (
                    ("CHECKOUT_SUCCESS_URL", chosen.checkout_success_url),
                    ("CHECKOUT_CANCEL_URL", chosen.checkout_cancel_url),
                )
                if value is None
            ]
            raise Declined("checkout_off", f"public checkout is off: set {' and '.join(unset)} to switch it on")
        return Page(
            success_url=chosen.checkout_success_url,
            cancel_url=chosen.checkout_cancel_url,
            locale=chosen.checkout_locale,
            promotion_codes=chosen.checkout_promotion_codes == "on",
            automatic_tax=chosen.checkout_automatic_tax == "on",
            tax_ids=chosen.checkout_tax_ids == "on",
            terms=chosen.checkout_terms == "on",
        )

    @property
    def portal_return_url(self) -> str:
        """Where the portal leads back to.

        Raises:
            Declined: the portal is off.
        """
        if self.settings.portal_return_url is None:
            raise Declined("portal_off", "the billing portal is off: set PORTAL_RETURN_URL to switch it on")
        return self.settings.portal_return_url

    def digest(self, subject: str) -> str:
        """A word for an address or a mailbox from which nobody gets back to it."""
        return digest(self.settings.cron_secret, subject)

    def own_key(self, caller: Caller) -> str | None:
        """A caller's `Idempotency-Key` as it is kept: who is somebody else, or elsewhere, has another one.

        A stranger who guesses a key joins nothing by it, and who claims keys beforehand keeps nobody from using them.
        """
        if caller.key is None:
            return None
        whose = f"admin:{caller.actor}" if caller.actor else caller.network
        return f"checkout:{self.digest(f'key:{whose}:{caller.key}')}"


class Caller(Struct, frozen=True):
    """Who is asking."""

    address: str
    """The network address, as our own side has seen it (`web.origins.address_of`)."""
    actor: str = ""
    """The name behind a key of ADMIN_API_KEY; empty for a stranger."""
    key: str | None = None
    """Their `Idempotency-Key`."""

    @property
    def network(self) -> str:
        """The address as it is counted: of the sixth version the half that one customer of a provider has."""
        try:
            known = ipaddress.ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network(f"{known}/64", strict=False)) if known.version == 6 else str(known)
