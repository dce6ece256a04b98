"""The operations on orgs, their logins and their members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.sim.enhance_sim import views
from scripts.sim.enhance_sim.ask import EMPTY, NO_CONTENT, Answer, Ask, RecoveryMail, life
from scripts.sim.enhance_sim.refusal import Refusal, not_allowed, not_found
from scripts.sim.enhance_sim.world import Login, Org, World

SHORTEST_PASSWORD = 12

# --- orgs -------------------------------------------------------------------------------------


def get_org(ask: Ask) -> Answer:
    """An org."""
    return Answer(200, views.org(ask.world, ask.org()))


def patch_org(ask: Ask) -> Answer:
    """Rename, suspend, resume, delete or restore an org; never the token's own life."""
    org = ask.org()
    own = org.id == ask.world.own_id
    if own and (ask.body.get("status") is not None or ask.body.get("isSuspended") is not None):
        raise not_allowed()
    life(ask, org, gone=ask.world.gone(org))
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
