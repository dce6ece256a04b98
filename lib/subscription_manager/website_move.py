"""A website that goes from an ended service to the one that was bought again with its domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.errors import Refused
from lib.model import Actual, Memory, PanelPlan, Resource, Service
from lib.model.reason import Reason
from lib.policy import over_with

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient, Website


async def refuse_excess(
    enhance: EnhanceClient, actual: Actual, source: Service, target: Service, website: Website
) -> None:
    """Refuse a website that needs more than the plan of `target` leaves, as the panel shows it.

    The panel itself lets a token of the master organisation go beyond any plan.

    Raises:
        Refused: it does not fit; the numbers are in the message.
    """
    shown = {s.id: s for s in actual.subscriptions}
    old, new = shown.get(source.panel_subscription_id or 0), shown.get(target.panel_subscription_id or 0)
    if new is None:
        return
    plan = PanelPlan(new.plan_id, new.plan_name, new.resources)
    if not new.resources and target.plan is not None:  # only imagined so far
        plan = await enhance.plan(target.plan)
    excess = over_with(_used(old.resources if old else (), website), new.resources, plan.resources)
    if excess:
        said = f"{website.domain} does not fit into plan {plan.name} of {target.key}: {excess}"
        raise Refused(Reason.WEBSITE_TOO_BIG, said)


def _used(shown: tuple[Resource, ...], website: Website) -> tuple[Resource, ...]:
    """What a website uses: all that its subscription uses, when it is alone there; else its size."""
    count = next((r.usage for r in shown if r.name == "websites"), 1)
    alone = [r for r in shown if r.name != "websites"] if count <= 1 else []
    if not any(r.name == "diskspace" for r in alone):
        alone.append(Resource("diskspace", None, website.size))
    return (Resource("websites", None, 1), *alone)


async def switch_on(enhance: EnhanceClient, memory: Memory, source: Service | None, website: Website) -> Website:
    """Lift a suspension that came to the website with the one that we made of its old subscription.

    A panel that writes it into each website would leave it there; anybody else's stays.
    """
    assert memory.org_id is not None
    if source is None or not source.suspension_is_ours(website.suspended_by):
        return website
    await enhance.resume_website(memory.org_id, website.id)
    return await enhance.website(memory.org_id, website.id)
