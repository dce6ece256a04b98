"""The panel's operations: what each allowed path does to the world and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from scripts.sim.enhance_sim import views
from scripts.sim.enhance_sim.refusal import Refusal, not_allowed, not_found
from scripts.sim.enhance_sim.world import Login, Member, Org, Plan, Subscription, Website, World

ONLY_SELLERS = "Only a reseller or the MO may perform this operation"
SHORTEST_PASSWORD = 12

Row = TypeVar("Row")


class RecoveryMail(NamedTuple):
    """A set-password mail that was asked for; without a login none was really sent."""

    email: str
    realm_id: str | None
    login_id: str | None


@dataclass(slots=True)
class Knobs:
    """What a test may turn on a panel."""

    version: str = "12.25.12"
    status: str = "ready"
    licence: str = "active"
    default_limit: int = 10
    max_limit: int = 500
    actor: str = ""


@dataclass(slots=True)
class Ask:
    """One request, its types already checked."""

    world: World
    knobs: Knobs
    recovery_mails: list[RecoveryMail]
    sso_links: list[str]
    at: dict[str, str]
    query: dict[str, str]
    body: Any

    def org(self, name: str = "org_id") -> Org:
        """The org of the path, which must be the token's own or below it."""
        found = self.world.org(self.at[name])
        if not self.world.inside(found, self.world.own_id):
            raise not_allowed()
        return found

    def seller(self) -> Org:
        """The org of the path, which must be allowed to sell."""
        found = self.org()
        if not self.world.is_reseller(found):
            raise not_allowed(ONLY_SELLERS)
        return found

    def subscription(self) -> tuple[Org, Subscription]:
        """The subscription of the path, seen from its own org only."""
        org = self.org()
        found = self.world.subscriptions.get(int(self.at["subscription_id"]))
        if found is None or found.org_id != org.id:
            raise not_found("subscription")
        return org, found

    def website(self) -> tuple[Org, Website]:
        """The website of the path; a deleted one is hidden from resellers."""
        org = self.org()
        found = self.world.websites.get(self.at["website_id"].lower())
        hidden = found is not None and self.world.role != "mo" and self.world.website_status(found) == "deleted"
        if found is None or found.org_id != org.id or hidden:
            raise not_found("website")
        return org, found

    def member(self, member_id: str) -> tuple[Org, Member]:
        """A member of the path's org."""
        org = self.org()
        found = self.world.members.get(member_id.lower())
        if found is None or found.org_id != org.id:
            raise not_found("member")
        return org, found

    def plan(self, seller: Org, plan_id: int) -> Plan:
        """A plan of a seller."""
        found = self.world.plans.get(plan_id)
        if found is None or found.org_id != seller.id:
            raise not_found("plan")
        return found

    def force(self) -> bool:
        """Whether a wipe is asked for, which is the master org's alone."""
        asked = self.query.get("force") == "true"
        if asked:
            self.only_master()
        return asked

    def only_master(self) -> None:
        """Refuse a reseller's token."""
        if self.world.role != "mo":
            raise Refusal(403, "only_mo_allowed")

    def page(self, rows: Sequence[Row], show: Callable[[World, Row], views.Json]) -> views.Json:
        """One page of rows that are in ascending order; only the page itself is copied."""
        offset = int(self.query.get("offset", 0))
        limit = min(int(self.query.get("limit", self.knobs.default_limit)), self.knobs.max_limit)
        total = len(rows)
        if self.query.get("sortOrder") == "desc":
            end = max(total - offset, 0)
            cut = rows[max(end - limit, 0) : end][::-1]
        else:
            cut = rows[offset : offset + limit]
        return {"items": [show(self.world, row) for row in cut], "total": total}


class Answer(NamedTuple):
    """A status and a JSON payload; nothing is an empty body."""

    status: int
    payload: Any = None


NO_CONTENT = Answer(204)
EMPTY = Answer(200)


# --- service ----------------------------------------------------------------------------------


def version(ask: Ask) -> Answer:
    """The panel's version, for anybody."""
    return Answer(200, ask.knobs.version)


def status(ask: Ask) -> Answer:
    """Whether the panel is ready, for anybody."""
    return Answer(200, ask.knobs.status)


def licence(ask: Ask) -> Answer:
    """The licence, for the master org."""
    ask.only_master()
    return Answer(200, {"key": None, "status": ask.knobs.licence})


def branding(ask: Ask) -> Answer:
    """Names and name servers of an org, for anybody."""
    org = ask.world.org(ask.query.get("orgId", ask.world.master_id))
    return Answer(
        200,
        {
            "orgName": org.name,
            "parent": None,
            "controlPanelDomain": "panel.example.net",
            "nameServers": ["ns1.example.net", "ns2.example.net"],
            "stagingDomain": None,
            "settings": [],
            "locale": "en",
        },
    )


def server_groups(ask: Ask) -> Answer:
    """The server groups, for the master org."""
    ask.only_master()
    group = {
        "id": "5f1d7a90-0000-4000-8000-000000000001",
        "name": "Default",
        "serverCount": 1,
        "createdAt": "2024-01-01T00:00:00.000000Z",
    }
    return Answer(200, {"items": [group]})


def activities(ask: Ask) -> Answer:
    """What was added and removed; suspensions leave no trace here."""
    org = ask.org()
    rows = [one for one in ask.world.activities if one["orgId"] == org.id]
    return Answer(200, ask.page(rows, lambda _, row: row))


# --- orgs -------------------------------------------------------------------------------------


def get_org(ask: Ask) -> Answer:
    """An org."""
    return Answer(200, views.org(ask.world, ask.org()))


def _life(ask: Ask, thing: Org | Subscription | Website, *, gone: bool) -> None:
    """The status and suspension of a PATCH body; only a return to life is open to the deleted."""
    wanted = ask.body.get("status")
    if gone and wanted is None:
        raise ask.world.refused("deleted", "The object is deleted")
    if wanted == "deleted":
        ask.world.delete(thing, force=False)
    elif wanted is not None and gone:
        ask.world.restore(thing)
    if ask.body.get("isSuspended") is not None:
        ask.world.suspend(thing, ask.body["isSuspended"], ask.knobs.actor)


def patch_org(ask: Ask) -> Answer:
    """Rename, suspend, resume, delete or restore an org; never the token's own life."""
    org = ask.org()
    own = org.id == ask.world.own_id
    if own and (ask.body.get("status") is not None or ask.body.get("isSuspended") is not None):
        raise not_allowed()
    _life(ask, org, gone=ask.world.gone(org))
    org.name = ask.body.get("name") or org.name
    org.locale = ask.body.get("locale") or org.locale
    ask.world.touch()
    return NO_CONTENT


def delete_org(ask: Ask) -> Answer:
    """Delete an org and all in it."""
    org = ask.org()
    if org.id == ask.world.own_id:
        raise not_allowed()
    ask.world.delete(org, force=ask.force())
    return NO_CONTENT


def create_customer(ask: Ask) -> Answer:
    """A new customer org; names need not be unique."""
    seller = ask.seller()
    if not ask.body["name"].strip():
        raise Refusal(400, "invalid_argument", "name")
    return Answer(201, {"id": ask.world.add_org(seller, ask.body["name"]).id})


def list_customers(ask: Ask) -> Answer:
    """The customers of an org, deleted ones too; silently none when it sells nothing."""
    world, org, query = ask.world, ask.org(), ask.query
    depth = int(query.get("maxDepth", 99)) if query.get("recursive") == "true" else 1
    filters = {name: query[name] for name in ("status", "planId", "search") if name in query}
    sort = query.get("sortBy", "createdAt")

    def fits(one: Org) -> bool:
        gone = world.gone(one)
        state = {"active": not gone, "deleted": gone, "suspended": not gone and one.suspended_by is not None}
        if not state.get(filters.get("status", ""), True):
            return False
        if "planId" in filters and not any(
            world.subscriptions[s].plan_id == int(filters["planId"]) for s in one.subscription_ids
        ):
            return False
        return filters.get("search", "").lower() in one.name.lower()

    keys: dict[str, Callable[[Org], Any]] = {
        "id": lambda one: one.id,
        "name": lambda one: (one.name.lower(), one.created_at),
        "status": lambda one: (world.gone(one), one.created_at),
        "createdAt": lambda one: one.created_at,
        "subscriptionsCount": lambda one: (len(one.subscription_ids), one.created_at),
        "websitesCount": lambda one: (len(one.website_ids), one.created_at),
    }

    def build() -> list[str]:
        rows = [one for one in world.under(org, depth) if not filters or fits(one)]
        return [one.id for one in sorted(rows, key=keys[sort])]

    plain = depth == 1 and not filters and sort == "createdAt"
    ids = org.children if plain else world.kept(("customers", org.id, depth, sort, *filters.items()), build)
    return Answer(200, ask.page(ids, lambda w, one: views.org(w, w.orgs[one])))


# --- logins -----------------------------------------------------------------------------------


def create_login(ask: Ask) -> Answer:
    """A new login in the realm of the org in the query."""
    if "orgId" not in ask.query:
        raise Refusal(400, text="Query deserialize error: missing field `orgId`")
    ask.at["org_id"] = ask.query["orgId"]
    org, body = ask.org(), ask.body
    if "@" not in body["email"].strip()[1:-1]:
        raise Refusal(400, "invalid_argument", "email")
    if len(body["password"]) < SHORTEST_PASSWORD:
        raise Refusal(400, "invalid_argument", "password", f"Password is shorter than {SHORTEST_PASSWORD}")
    return Answer(201, {"id": ask.world.add_login(org, body["email"].strip(), body["name"], body["password"]).id})


def _login_page(ask: Ask, key: tuple[object, ...], fits: Callable[[Login], bool]) -> Answer:
    keys: dict[str, Callable[[Login], Any]] = {
        "email": lambda one: one.email.lower(),
        "name": lambda one: (one.name.lower(), one.registered_at),
        "registrationDate": lambda one: one.registered_at,
    }
    sort = ask.query.get("sortBy", "registrationDate")

    def build() -> list[Login]:
        return sorted(filter(fits, ask.world.logins.values()), key=keys[sort])

    return Answer(200, ask.page(ask.world.kept((*key, sort), build), views.login))


def list_logins(ask: Ask) -> Answer:
    """Every login of the platform, also where its org is gone; for the master org."""
    ask.only_master()
    realm = ask.query.get("realmId")
    return _login_page(ask, ("logins", realm), lambda one: realm in (None, one.realm_id))


def _org_ids(world: World, login: Login) -> list[str]:
    """The orgs that a login was made for or is a member of, as far as they live."""
    ids = [login.home_org_id, *(world.members[one].org_id for one in login.member_ids)]
    return [one for one in ids if one in world.orgs and not world.gone(world.orgs[one])]


def list_org_logins(ask: Ask) -> Answer:
    """The logins of one org."""
    org, world = ask.org(), ask.world
    return _login_page(ask, ("org", org.id), lambda one: org.id in _org_ids(world, one))


def list_customer_logins(ask: Ask) -> Answer:
    """The logins of an org's customers; one whose orgs are all gone is not among them."""
    org, world = ask.org(), ask.world
    return _login_page(
        ask,
        ("customers", org.id),
        lambda one: one.realm_id == org.id and any(world.orgs[i].parent_id == org.id for i in _org_ids(world, one)),
    )


def recover_password(ask: Ask) -> Answer:
    """Ask for a set-password mail: 200 whether or not there is such a login."""
    realm = ask.query.get("realmId")
    login = ask.world.find_login(realm or ask.world.master_id, ask.body["email"])
    ask.recovery_mails.append(RecoveryMail(ask.body["email"], realm, login.id if login else None))
    return EMPTY


def set_password(ask: Ask) -> Answer:
    """Set somebody's password, as their panel's admin."""
    login = ask.world.logins.get(ask.at["login_id"].lower())
    if login is None:
        raise not_found("login")
    if not ask.world.inside(ask.world.org(login.realm_id), ask.world.own_id):
        raise not_allowed()
    if len(ask.body["newPassword"]) < SHORTEST_PASSWORD:
        raise Refusal(400, "invalid_argument", "password")
    login.password, login.password_changed_at = ask.body["newPassword"], ask.world.now()
    return EMPTY


# --- members ----------------------------------------------------------------------------------


def create_member(ask: Ask) -> Answer:
    """Give a login a place in an org."""
    org = ask.org()
    login = ask.world.logins.get(ask.body["loginId"].lower())
    if login is None:
        raise not_found("login")
    return Answer(201, {"id": ask.world.add_member(org, login, ask.body["roles"]).id})


def list_members(ask: Ask) -> Answer:
    """The members of an org, by role if asked."""
    org, role = ask.org(), ask.query.get("role")
    rows = [ask.world.members[one] for one in org.member_ids]
    return Answer(200, ask.page([one for one in rows if role is None or role in one.roles], views.member))


def get_member(ask: Ask) -> Answer:
    """One member."""
    return Answer(200, views.member(ask.world, ask.member(ask.at["member_id"])[1]))


def delete_member(ask: Ask) -> Answer:
    """End a membership."""
    ask.world.remove_member(ask.member(ask.at["member_id"])[1])
    return NO_CONTENT


def put_owner(ask: Ask) -> Answer:
    """Make a member the owner."""
    ask.world.set_owner(*ask.member(ask.body["memberId"]))
    return EMPTY


def sign_on(ask: Ask) -> Answer:
    """A one-time link into the panel: a GET with an effect, answered 201."""
    ask.member(ask.at["member_id"])
    link = f"https://panel.example.net/login/sessions/sso?otp={ask.world.uuid()}"
    ask.sso_links.append(link)
    return Answer(201, link)


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
    _life(ask, one, gone=gone)
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
    _life(ask, one, gone=ask.world.website_status(one) == "deleted")
    if body.get("status") in ("active", "disabled"):
        one.status = body["status"]
    one.php_version = body.get("phpVersion") or one.php_version
    target = body.get("subscriptionId")
    if target is not None:
        ask.world.move_website(one, _held(ask, org, target) if isinstance(target, int) else None)
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


Handler = Callable[[Ask], Answer]

PUBLIC = {"/version", "/status", "/branding", "/login/password-recovery"}

ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/version"): version,
    ("GET", "/status"): status,
    ("GET", "/licence"): licence,
    ("GET", "/branding"): branding,
    ("GET", "/servers/groups"): server_groups,
    ("GET", "/v2/orgs/{org_id}/activities"): activities,
    ("GET", "/orgs/{org_id}"): get_org,
    ("PATCH", "/orgs/{org_id}"): patch_org,
    ("DELETE", "/orgs/{org_id}"): delete_org,
    ("POST", "/orgs/{org_id}/customers"): create_customer,
    ("GET", "/orgs/{org_id}/customers"): list_customers,
    ("POST", "/logins"): create_login,
    ("GET", "/logins"): list_logins,
    ("GET", "/orgs/{org_id}/logins"): list_org_logins,
    ("GET", "/v2/orgs/{org_id}/customers/logins"): list_customer_logins,
    ("PUT", "/login/password-recovery"): recover_password,
    ("PUT", "/v2/logins/{login_id}/password"): set_password,
    ("POST", "/orgs/{org_id}/members"): create_member,
    ("GET", "/orgs/{org_id}/members"): list_members,
    ("GET", "/orgs/{org_id}/members/{member_id}"): get_member,
    ("DELETE", "/orgs/{org_id}/members/{member_id}"): delete_member,
    ("GET", "/orgs/{org_id}/members/{member_id}/sso"): sign_on,
    ("PUT", "/orgs/{org_id}/owner"): put_owner,
    ("GET", "/orgs/{org_id}/plans"): list_plans,
    ("GET", "/orgs/{org_id}/plans/{plan_id}"): get_plan,
    ("POST", "/orgs/{org_id}/customers/{customer_org_id}/subscriptions"): create_subscription,
    ("GET", "/orgs/{org_id}/customers/{customer_org_id}/subscriptions"): list_customer_subscriptions,
    ("GET", "/orgs/{org_id}/subscriptions"): list_subscriptions,
    ("GET", "/orgs/{org_id}/subscriptions/{subscription_id}"): get_subscription,
    ("PATCH", "/orgs/{org_id}/subscriptions/{subscription_id}"): patch_subscription,
    ("DELETE", "/orgs/{org_id}/subscriptions/{subscription_id}"): delete_subscription,
    ("PUT", "/orgs/{org_id}/subscriptions/{subscription_id}/calculate-resource-usage"): recalculate,
    ("GET", "/orgs/{org_id}/subscriptions/{subscription_id}/bandwidth"): bandwidth,
    ("POST", "/orgs/{org_id}/websites"): create_website,
    ("GET", "/orgs/{org_id}/websites"): list_websites,
    ("GET", "/orgs/{org_id}/websites/{website_id}"): get_website,
    ("PATCH", "/orgs/{org_id}/websites/{website_id}"): patch_website,
    ("DELETE", "/orgs/{org_id}/websites/{website_id}"): delete_website,
    ("POST", "/orgs/{org_id}/domains/check"): check_domain,
}
