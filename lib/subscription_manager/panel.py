"""The panel as one pass knows it, and what it remembers of it: what acting and resuming share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lib.database import Database
from lib.database import memory as memories
from lib.errors import Denied, NotFound, Refused, Retryable
from lib.model import Actual, Memory, PanelPlan, Service, ServiceKey
from lib.subscription_manager.step import Pass

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient


class Panel:
    """Looks at the panel for one customer, and writes down what was seen under the lease of the pass."""

    def __init__(self, db: Database, enhance: EnhanceClient, current: Pass) -> None:
        self.db = db
        self.enhance = enhance
        self.current = current
        self._plans: tuple[PanelPlan, ...] | None = None

    async def look(self, memory: Memory, *, doubt: bool = False) -> Actual:
        """The panel's side of this customer, in one call; none before there is an organisation.

        Args:
            doubt: ask besides whether the organisation still lives, where nothing that is seen of it does: the panel
                goes on listing what was in a deleted one, and might even take more into it.
        """
        if memory.org_id is None:
            return Actual()
        try:
            found = await self.enhance.subscriptions(memory.org_id)
            if doubt and all(subscription.deleted for subscription in found):
                gone = (await self.enhance.org(memory.org_id)).deleted
                return Actual(subscriptions=found, org_gone=gone, plans=self._plans)
        except NotFound:
            return Actual(org_gone=True)
        except Denied as error:
            # One answer for a bad token and for an organisation that is not the token's: ask about our own.
            await self.enhance.check()
            said = f"the token may not look at organisation {memory.org_id}: was it moved or wiped there? {error}"
            raise Refused("panel_org_closed", said) from error
        return Actual(subscriptions=found, plans=self._plans)

    async def with_plans(self, actual: Actual) -> Actual:
        """The same with the panel's list of plans, and so is everything that is seen after it in this pass."""
        self._plans = await self.enhance.plans()
        return replace(actual, plans=self._plans)

    async def find_website(self, org_id: str, service: Service) -> str | None:
        """The id of this service's own website when it exists already; `None` when its domain is free.

        Raises:
            Refused: somebody else has it, a deleted site reserves it, or the panel prohibits it.
        """
        assert service.domain is not None
        status, website_id = await self.enhance.check_domain(org_id, service.domain)
        match status:
            case "notInUse":
                return None
            case "inUseCurrentOrg" if website_id is not None:
                website = await self.enhance.website(org_id, website_id)
                if website.subscription_id == service.panel_subscription_id and not website.deleted:
                    return website.id
                raise _taken(service.domain, "is a website of this customer under another subscription")
            case "inUseDeletedSite":
                raise _reserved(service.domain)
            case "prohibited":
                raise Refused(
                    "domain_prohibited", f"the panel does not allow {service.domain}; change metadata.domain in Stripe"
                )
            case _:
                raise _taken(service.domain, "is in use elsewhere in the panel")

    async def foresee_website(self, service: Service) -> None:
        """Look through the lists for what `find_website` would refuse; what only the check knows does not show.

        Raises:
            Refused: somebody else has the domain, or a deleted site reserves it.
        """
        assert service.domain is not None
        try:
            website = await self.enhance.website_of(service.domain)
        except (Refused, Retryable):  # a call that a live pass does not make must not stop a dry one
            return
        if website is None or (website.subscription_id == service.panel_subscription_id and not website.deleted):
            return
        if website.deleted:
            raise _reserved(service.domain)
        raise _taken(service.domain, "is in use in the panel")

    async def remember(self, memory: Memory, *, named: bool = False) -> None:
        """Write down the customer; `named`: the organisation's new name, too. LeaseLost when the lease is."""
        lease, livemode = self.current.lease_id, self.current.settings.livemode
        await memories.remember_customer(self.db, memory, lease, livemode=livemode, named=named)

    async def remember_service(self, memory: Memory, service: Service) -> Memory:
        """Write down one service; the memory with it."""
        await memories.remember_services(self.db, memory, [service], self.current.lease_id)
        return replace(memory, services=tuple(service if s.key == service.key else s for s in memory.services))


def _taken(domain: str, where: str) -> Refused:
    return Refused("domain_in_use", f"{domain} {where}; change metadata.domain in Stripe")


def _reserved(domain: str) -> Refused:
    return Refused("domain_reserved", f"{domain} belongs to a deleted website; purge or restore it in the panel")


def service_of(memory: Memory, key: ServiceKey | None) -> Service | None:
    """The service of this key as it is remembered."""
    return next((s for s in memory.services if s.key == key), None)
