"""The panel as one pass looks at it: what acting, foreseeing and finding out what was interrupted share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lib.database import Database, adoption
from lib.errors import Denied, NotFound, Refused, Retryable
from lib.model import Actual, Memory, PanelPlan, Resource, Service
from lib.model.reason import Reason, SettingsFault
from lib.policy import has_ended, held_website, kept_back, over, same_domain
from lib.structs import replace

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient, Website


class Panel:
    """Looks at the panel for one customer."""

    def __init__(self, db: Database, enhance: EnhanceClient) -> None:
        self.db = db
        self.enhance = enhance
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
            return Actual(org_gone=await self._gone(memory.org_id))
        except Denied:
            # One answer for a bad token and for an organisation that is not the token's: ask about our own.
            await self.enhance.check()
            return Actual(org_gone=await self._gone(memory.org_id))
        return Actual(subscriptions=found, plans=self._plans)

    async def with_plans(self, actual: Actual) -> Actual:
        """The same with the panel's list of plans, and so is everything that is seen after it in this pass."""
        self._plans = await self.enhance.plans()
        return replace(actual, plans=self._plans)

    async def _gone(self, org_id: str) -> bool:
        """Whether an organisation of which our own may tell nothing is really gone.

        Raises:
            Denied: it lives, so it is our own organisation that is another one now, or was theirs.
            Refused: `panel_org_closed`, the token may not look at this one.
        """
        try:
            gone = (await self.enhance.org(org_id)).deleted
        except NotFound:
            return True
        except Denied as error:
            said = f"the token may not look at organisation {org_id}: was it moved or wiped there? {error}"
            raise Refused(Reason.PANEL_ORG_CLOSED, said) from error
        if not gone:
            said = f"organisation {org_id} lives, and not below ENHANCE_ORG_ID: is the setting right, or was it moved?"
            raise Denied(SettingsFault.PANEL_ORG, said)
        return True

    async def find_website(self, memory: Memory, service: Service) -> Website | None:
        """The website of this service's domain when this customer has it already; `None` when the domain is free.

        It is this service's own, or that of one of their ended services, which gives it up.

        Raises:
            Refused: somebody else has it, a deleted site reserves it, or the panel prohibits it.
        """
        assert service.domain is not None and memory.org_id is not None
        status, website_id = await self.enhance.check_domain(memory.org_id, service.domain)
        match status:
            case "notInUse":
                return None
            case "inUseCurrentOrg" if website_id is not None:
                website = await self.enhance.website(memory.org_id, website_id)
                refuse_keeping(memory, service, website)
                return website
            case "inUseDeletedSite":
                raise _reserved(service.domain)
            case "prohibited":
                said = f"the panel does not allow {service.domain}; change {_named_in(memory)}"
                raise Refused(Reason.DOMAIN_PROHIBITED, said)
            case _:
                raise _taken(memory, service.domain, await self._whose(service.domain))

    async def foresee_website(self, memory: Memory, service: Service) -> None:
        """Look through the lists for what `find_website` would refuse; what only the check knows does not show.

        Raises:
            Refused: somebody else has the domain, or a deleted site reserves it.
        """
        assert service.domain is not None
        try:
            website = await self.enhance.website_of(service.domain)
        except (Refused, Retryable):  # a call that a live pass does not make must not stop a dry one
            return
        if website is None:
            return
        if website.deleted:
            raise _reserved(service.domain)
        if website.org_id != memory.org_id:
            raise _taken(memory, service.domain, await self._owner(website.org_id))
        refuse_keeping(memory, service, website)

    async def _whose(self, domain: str) -> str:
        """Whose a domain in another organisation is, if the panel shows it and they are ours."""
        try:
            website = await self.enhance.website_of(domain)
        except (Refused, Retryable):  # it is in use, whoever has it
            return ""
        return await self._owner(website.org_id) if website is not None and not website.deleted else ""

    async def _owner(self, org_id: str) -> str:
        return (await adoption.owners(self.db, [org_id])).get(org_id, "") if org_id else ""


def _named_in(memory: Memory) -> str:
    """Where the domain of what this customer bought is written, and can be corrected."""
    return "the order's domain (its action change)" if memory.provider.offline else "metadata.domain in Stripe"


def _taken(memory: Memory, domain: str, customer_id: str) -> Refused:
    whose = f"is a website of customer {customer_id}" if customer_id else "is in use elsewhere in the panel"
    return Refused(Reason.DOMAIN_IN_USE, f"{domain} {whose}; change {_named_in(memory)}")


def refuse_keeping(memory: Memory, service: Service, website: Website) -> None:
    """Refuse the website of another subscription of this customer, unless that is one of ours that gives it up."""
    assert service.domain is not None
    if website.deleted:
        raise _reserved(service.domain)
    if website.subscription_id == service.panel_subscription_id:
        return
    has_it = holder_of(memory, website)
    if has_it is None:
        said = f"{service.domain} is under hosting subscription {website.subscription_id} of this customer"
        raise Refused(
            Reason.DOMAIN_IN_USE, f"{said}, which is none of ours: move it in the panel, or change {_named_in(memory)}"
        )
    if not has_ended(has_it):
        problem = same_domain(service.key, has_it.key, service.domain)
    elif why := kept_back(has_it):
        problem = held_website(service.key, service.domain, why)
    else:
        return
    raise Refused(problem.reason, problem.detail)


async def awaited_in(
    enhance: EnhanceClient, org_id: str, panel_subscription_id: int, awaited: Iterable[str]
) -> str | None:
    """Which of these domains is one of a website in a hosting subscription."""
    for domain in awaited:
        status, website_id = await enhance.check_domain(org_id, domain)
        if status == "inUseCurrentOrg" and website_id is not None:
            if (await enhance.website(org_id, website_id)).subscription_id == panel_subscription_id:
                return domain
    return None


def holder_of(memory: Memory, website: Website) -> Service | None:
    """The service in whose hosting a website of this customer is."""
    number = website.subscription_id
    return next((s for s in memory.services if number is not None and s.panel_subscription_id == number), None)


def _reserved(domain: str) -> Refused:
    return Refused(Reason.DOMAIN_RESERVED, f"{domain} belongs to a deleted website; purge or restore it in the panel")


def refuse_excess(service: Service, used: tuple[Resource, ...], plan: PanelPlan) -> None:
    """Refuse a plan that what a service uses does not fit into."""
    if excess := over(used, plan.resources):
        raise Refused(Reason.DOWNGRADE_BLOCKED, f"{service.key} does not fit into plan {plan.name}: {excess}")
