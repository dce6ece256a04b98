"""The operations on plans, subscriptions, websites and domains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.sim.enhance_sim import views
from scripts.sim.enhance_sim.ask import NO_CONTENT, Answer, Ask, life
from scripts.sim.enhance_sim.refusal import Refusal, not_allowed, not_found
from scripts.sim.enhance_sim.world import Org, Subscription, Website, World

# --- plans and subscriptions ------------------------------------------------------------------


def list_plans(ask: Ask) -> Answer:
    """The plans of a seller."""
    seller = ask.seller()
    rows = [one for one in ask.world.plans.values() if one.org_id == seller.id]
    by_name = ask.query.get("sortBy") == "name"
    return Answer(200, ask.page(sorted(rows, key=lambda one: one.name) if by_name else rows, views.plan))


def get_plan(ask: Ask) -> Answer:
    """One plan."""
    return Answer(200, views.plan(ask.world, ask.plan(ask.org(), int(ask.at["plan_id"]))))


def create_subscription(ask: Ask) -> Answer:
    """Subscribe a customer to a plan; asking twice makes two."""
    seller, customer, body = ask.seller(), ask.org("customer_org_id"), ask.body
    if customer.parent_id != seller.id:
        raise not_allowed()
    plan = ask.plan(seller, body["planId"])
    if ask.world.gone(customer):
        raise ask.world.refused("deleted", "The customer is deleted")
    if body.get("dedicatedServers") is not None:
        ask.only_master()
    if ask.world.reseller_quota is not None:
        live = sum(not one.deleted and one.vendor_id == seller.id for one in ask.world.subscriptions.values())
        if live >= ask.world.reseller_quota:
            raise ask.world.refused("quota", "Not enough quota: customers")
    return Answer(201, {"id": ask.world.add_subscription(seller, customer, plan, body.get("friendlyName")).id})


def _subscription_page(ask: Ask, org: Org) -> Answer:
    keys: dict[str, Callable[[Subscription], Any]] = {
        "plan": lambda one: ask.world.plans[one.plan_id].name,
        "subscriberId": lambda one: one.org_id,
        "vendorId": lambda one: one.vendor_id,
    }
    rows = [ask.world.subscriptions[one] for one in org.subscription_ids]
    sort = ask.query.get("sortBy")
    return Answer(200, ask.page(sorted(rows, key=keys[sort]) if sort else rows, views.subscription))


def list_customer_subscriptions(ask: Ask) -> Answer:
    """A customer's subscriptions seen from the seller, deleted ones too."""
    seller, customer = ask.seller(), ask.org("customer_org_id")
    if customer.parent_id != seller.id:
        raise not_allowed()
    return _subscription_page(ask, customer)


def list_subscriptions(ask: Ask) -> Answer:
    """An org's own subscriptions to its parent, deleted ones too."""
    return _subscription_page(ask, ask.org())


def get_subscription(ask: Ask) -> Answer:
    """One subscription."""
    return Answer(200, views.subscription(ask.world, ask.subscription()[1]))


def patch_subscription(ask: Ask) -> Answer:
    """Suspend, resume, rename, move to another plan, delete or restore."""
    _, one = ask.subscription()
    body = ask.body
    if body.get("dedicatedServers") is not None:
        ask.only_master()
    plan = ask.plan(ask.world.org(one.vendor_id), body["planId"]) if body.get("planId") is not None else None
    gone = ask.world.subscription_gone(one)
    if plan is not None and not (gone and body.get("status") is None):
        # First, because it is what can be refused: a refused call must change nothing.
        ask.world.change_plan(one, plan)
    life(ask, one, gone=gone)
    if body.get("friendlyName") is not None:
        one.friendly_name = body["friendlyName"]
    ask.world.touch()
    return NO_CONTENT


def delete_subscription(ask: Ask) -> Answer:
    """Delete a subscription and its websites."""
    _, one = ask.subscription()
    ask.world.delete(one, force=ask.force())
    return NO_CONTENT


def recalculate(ask: Ask) -> Answer:
    """Measure usage anew, and show it from now on."""
    _, one = ask.subscription()
    one.usage = dict(one.fresh)
    return Answer(200, {"items": views.used_resources(ask.world, one)})


def bandwidth(ask: Ask) -> Answer:
    """The month's bytes, as a bare number."""
    return Answer(200, ask.world.used(ask.subscription()[1]).get("transfer", 0))


# --- websites and domains ---------------------------------------------------------------------


def _held(ask: Ask, org: Org, subscription_id: int) -> Subscription:
    found = ask.world.subscriptions.get(subscription_id)
    if found is None or found.org_id != org.id:
        raise not_found("subscription")
    return found


def create_website(ask: Ask) -> Answer:
    """A new website; only the master org's admins may leave its subscription out."""
    org, wanted = ask.org(), ask.body.get("subscriptionId")
    if wanted is None and ask.world.role != "mo":
        raise Refusal(400, "invalid_argument", "subscription", "Subscription id is required")
    if ask.world.gone(org):
        raise ask.world.refused("deleted", "The org is deleted")
    held = None if wanted is None else _held(ask, org, wanted)
    site = ask.world.add_website(
        org, held, ask.body["domain"], ask.query.get("kind", "normal"), ask.body.get("phpVersion")
    )
    return Answer(201, {"id": site.id})


def list_websites(ask: Ask) -> Answer:
    """The websites of an org, or of its customers; the master org sees deleted ones too."""
    world, org, query = ask.world, ask.org(), ask.query
    if "showDeleted" in query and world.role != "mo":
        raise not_allowed()
    recursion = query.get("recursion")
    names = ("planId", "subscriptionId", "isSuspended", "kind", "search", "showDeleted")
    filters = {name: query[name] for name in (*names, *(["status"] if recursion else [])) if name in query}
    if world.role != "mo":
        filters["showDeleted"] = "false"
    keys: dict[str, Callable[[Website], Any]] = {
        "domain": lambda one: one.domain,
        "subscription": lambda one: (one.subscription_id or 0, one.created_at),
        "org": lambda one: (world.orgs[one.org_id].name.lower(), one.created_at),
        "size": lambda one: one.created_at,
        "createdAt": lambda one: one.created_at,
    }
    sort = query.get("sortBy", "createdAt")

    def build() -> list[str]:
        depth = {"directCustomers": 1, "infinite": 99}.get(recursion or "", 0)
        orgs = [org, *(world.under(org, depth) if depth else ())]
        sites = (world.websites[one] for each in orgs for one in each.website_ids)
        rows = [one for one in sites if not filters or _site_fits(world, one, filters)]
        return [one.id for one in sorted(rows, key=keys[sort])]

    ids = world.kept(("websites", org.id, recursion, sort, *filters.items()), build)
    return Answer(200, ask.page(ids, lambda w, one: views.website(w, w.websites[one])))


def _site_fits(world: World, one: Website, filters: dict[str, str]) -> bool:
    held = world.subscriptions[one.subscription_id] if one.subscription_id is not None else None
    shown = world.website_status(one)
    found = {
        "planId": str(held.plan_id) if held else "",
        "subscriptionId": str(one.subscription_id),
        "isSuspended": str(world.website_suspender(one) is not None).lower(),
        "kind": one.kind,
        "status": shown,
    }
    if filters.get("showDeleted") == "false" and shown == "deleted":
        return False
    wanted = filters.get("search", "").lower()
    if wanted not in one.domain and wanted != one.id:
        return False
    return all(found[name] == value for name, value in filters.items() if name in found)


def get_website(ask: Ask) -> Answer:
    """One website, with all that is known of it."""
    return Answer(200, views.website(ask.world, ask.website()[1], full=True))


def patch_website(ask: Ask) -> Answer:
    """Suspend, resume, disable, move, delete or restore a website."""
    org, one = ask.website()
    body = ask.body
    if body.get("orgId") is not None:
        raise Refusal(400, "invalid_argument", "org", "Moving between orgs is not simulated")
    gone = ask.world.website_status(one) == "deleted"
    target = body.get("subscriptionId")
    if target is not None and not (gone and body.get("status") is None):
        # First, because it is what can be refused: a refused call must change nothing.
        ask.world.move_website(one, _held(ask, org, target) if isinstance(target, int) else None)
    life(ask, one, gone=gone)
    if body.get("status") in ("active", "disabled"):
        one.status = body["status"]
    one.php_version = body.get("phpVersion") or one.php_version
    ask.world.touch()
    return NO_CONTENT


def delete_website(ask: Ask) -> Answer:
    """Delete a website; without force its domain stays blocked."""
    _, one = ask.website()
    ask.world.delete(one, force=ask.force())
    return NO_CONTENT


def check_domain(ask: Ask) -> Answer:
    """Whether a domain could be used; a domain below somebody else's looks free here and is refused later."""
    state, website_id = ask.world.domain_state(ask.org(), ask.body["domain"])
    return Answer(200, {"status": state, "websiteId": website_id})
