"""What the panel holds: orgs, logins, members, plans, subscriptions and websites, and the rules between them."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from scripts.sim.enhance_sim.refusal import Refusal, not_found, taken

Role = Literal["mo", "reseller"]
HOSTNAME = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


@dataclass(slots=True)
class Org:
    """The master org, a reseller or a customer."""

    id: str
    name: str
    parent_id: str | None
    created_at: str
    deleted: bool = False
    suspended_by: str | None = None
    locale: str = "en"
    owner_id: str | None = None
    children: list[str] = field(default_factory=list)
    member_ids: list[str] = field(default_factory=list)
    subscription_ids: list[int] = field(default_factory=list)
    website_ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Login:
    """A person who can sign in; one per e-mail and realm."""

    id: str
    email: str
    name: str
    password: str
    realm_id: str
    home_org_id: str
    registered_at: str
    password_changed_at: str | None = None
    member_ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Member:
    """A login's place in an org."""

    id: str
    org_id: str
    login_id: str
    roles: list[str]
    joined_at: str


@dataclass(slots=True)
class Plan:
    """A package; a resource without total is unlimited."""

    id: int
    name: str
    org_id: str
    resources: dict[str, int | None]
    created_at: str
    subscriptions: int = 0

    @property
    def sells_customers(self) -> bool:
        """Whether this is a reseller plan."""
        return "customers" in self.resources and self.resources["customers"] != 0


@dataclass(slots=True)
class Subscription:
    """A customer's hold on a plan; `usage` is what the panel shows, `fresh` what is really used."""

    id: int
    plan_id: int
    org_id: str
    vendor_id: str
    friendly_name: str
    deleted: bool = False
    suspended_by: str | None = None
    website_ids: list[str] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)
    fresh: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Website:
    """A site; `status` is its own, what the panel shows also follows its subscription and org."""

    id: str
    domain: str
    domain_id: str
    org_id: str
    subscription_id: int | None
    created_at: str
    kind: str = "normal"
    status: str = "active"
    suspended_by: str | None = None
    php_version: str | None = None


class World:
    """The panel's memory. Every mutation holds `lock`, so that a test's thread may take part."""

    def __init__(self, org_id: str | None, role: Role) -> None:
        self.lock = threading.RLock()
        self.role = role
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.random = random.Random()  # noqa: S311 - ids of a simulator
        self.orgs: dict[str, Org] = {}
        self.logins: dict[str, Login] = {}
        self.members: dict[str, Member] = {}
        self.plans: dict[int, Plan] = {}
        self.subscriptions: dict[int, Subscription] = {}
        self.websites: dict[str, Website] = {}
        self.domains: dict[str, str] = {}
        self.elsewhere: set[str] = set()
        self.prohibited: set[str] = set()
        self.activities: list[dict[str, Any]] = []
        self.remembers = True
        # Answers that no source has recorded: a test may set what it wants to be robust against.
        self.refusals: dict[str, tuple[int, str, str | None]] = {
            "quota": (400, "invalid_argument", "websites"),
            "subscription": (400, "invalid_argument", "subscription"),
            "downgrade": (400, "invalid_argument", "subscription"),
            "deleted": (400, "invalid_argument", None),
            "prohibited": (400, "invalid_argument", "domain"),
        }
        self.reseller_quota: int | None = None
        self.resuspend_overwrites = False
        # Whether suspending a subscription is written into each of its websites, where it stays when they are moved.
        self.suspends_each_website = False
        self._emails: dict[tuple[str, str], str] = {}
        self._last = datetime.min.replace(tzinfo=UTC)
        self._next_plan = 1
        self._next_subscription = 661
        self._lists: dict[tuple[object, ...], list[Any]] = {}
        self.master_id = (org_id or self.uuid()) if role == "mo" else self.uuid()
        self.orgs[self.master_id] = Org(self.master_id, "Master", None, self.now())
        self.own_id = self.master_id
        if role == "reseller":
            self.own_id = org_id or self.uuid()
            self.orgs[self.own_id] = Org(self.own_id, "Reseller", self.master_id, self.now())
            self.orgs[self.master_id].children.append(self.own_id)

    # --- small things -------------------------------------------------------------------------

    def uuid(self) -> str:
        """A new version 4 UUID; the standard library's is three times slower, which a seeded panel feels."""
        h = f"{self.random.getrandbits(128):032x}"
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-8{h[17:20]}-{h[20:]}"

    def now(self) -> str:
        """The time as the panel writes it; never twice the same, so that sorting by it is total."""
        self._last = max(self.clock(), self._last + timedelta(microseconds=1))
        return self._last.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def refused(self, why: str, message: str) -> Refusal:
        """One of the refusals whose exact shape is not known."""
        status, code, detail = self.refusals[why]
        return Refusal(status, code, detail, message)

    def touch(self) -> None:
        """Something changed: kept list orders are void."""
        self._lists.clear()

    def kept(self, key: tuple[object, ...], build: Callable[[], list[Any]]) -> list[Any]:
        """A list order, built once between two changes: paging through 100,000 rows stays cheap."""
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = build()
        return found

    # --- reading ------------------------------------------------------------------------------

    def org(self, org_id: str) -> Org:
        """An org, or 404."""
        found = self.orgs.get(org_id.lower())
        if found is None:
            raise not_found("org")
        return found

    def gone(self, org: Org) -> bool:
        """Whether an org or one above it is soft-deleted."""
        while not org.deleted:
            if org.parent_id is None:
                return False
            org = self.orgs[org.parent_id]
        return True

    def org_suspender(self, org: Org) -> str | None:
        """Who suspended an org or one above it."""
        while org.suspended_by is None:
            if org.parent_id is None:
                return None
            org = self.orgs[org.parent_id]
        return org.suspended_by

    def subscription_gone(self, subscription: Subscription) -> bool:
        """Whether a subscription counts as deleted."""
        return subscription.deleted or self.gone(self.orgs[subscription.org_id])

    def website_status(self, site: Website) -> str:
        """What the panel shows for a site: deletion and suspension come down from above."""
        held = self.subscriptions[site.subscription_id] if site.subscription_id is not None else None
        gone = self.subscription_gone(held) if held else self.gone(self.orgs[site.org_id])
        if gone or site.status == "deleted":
            return "deleted"
        return "disabled" if self.website_suspender(site) else site.status

    def website_suspender(self, site: Website) -> str | None:
        """Who suspended a site: by itself, through its subscription, or through its org."""
        held = self.subscriptions[site.subscription_id] if site.subscription_id is not None else None
        return site.suspended_by or (held.suspended_by if held else None) or self.org_suspender(self.orgs[site.org_id])

    def used(self, subscription: Subscription, *, fresh: bool = False) -> dict[str, int]:
        """Usage by resource; websites are counted unless a usage was set for them."""
        live = sum(self.website_status(self.websites[one]) != "deleted" for one in subscription.website_ids)
        return {"websites": live} | (subscription.fresh if fresh else subscription.usage)

    def is_reseller(self, org: Org) -> bool:
        """Whether an org may have customers of its own."""
        held = (self.subscriptions[one] for one in org.subscription_ids)
        return org.id in (self.master_id, self.own_id) or any(
            self.plans[one.plan_id].sells_customers and not one.deleted for one in held
        )

    def under(self, org: Org, depth: int) -> Iterator[Org]:
        """The customers of an org, and theirs, `depth` levels down."""
        for child_id in org.children:
            child = self.orgs[child_id]
            yield child
            if depth > 1:
                yield from self.under(child, depth - 1)

    def inside(self, org: Org, outer_id: str) -> bool:
        """Whether an org is another or lies below it."""
        while org.id != outer_id:
            if org.parent_id is None:
                return False
            org = self.orgs[org.parent_id]
        return True

    def find_login(self, realm_id: str, email: str) -> Login | None:
        """The login of an e-mail address in a realm, whatever its capitals."""
        found = self._emails.get((realm_id, email.strip().lower()))
        return self.logins[found] if found else None

    def domain_state(self, org: Org, domain: str) -> tuple[str, str | None]:
        """What a domain check answers: the state, and the website when it is this org's own."""
        domain = domain.lower()
        site = self.websites.get(self.domains.get(domain, ""))
        if domain in self.prohibited:
            return "prohibited", None
        if site is not None and self.website_status(site) == "deleted":
            return "inUseDeletedSite", None
        if site is not None and site.org_id == org.id:
            return "inUseCurrentOrg", site.id
        return ("inUseAnotherOrg" if site is not None or domain in self.elsewhere else "notInUse"), None

    def under_foreign_domain(self, org: Org, domain: str) -> bool:
        """Whether a domain lies below one that belongs to somebody else."""
        labels = domain.lower().split(".")
        for start in range(1, len(labels) - 1):
            above = ".".join(labels[start:])
            site = self.websites.get(self.domains.get(above, ""))
            if above in self.elsewhere or (site is not None and site.org_id != org.id):
                return True
        return False

    # --- changing -----------------------------------------------------------------------------

    def next_subscription(self) -> int:
        """The number of the next subscription, which is used up by asking."""
        self._next_subscription += 1
        return self._next_subscription - 1

    def take(self, thing: Org | Login | Member | Subscription | Website) -> None:
        """Something as it is, with its ids and whatever it names: nothing is checked."""
        match thing:
            case Org():
                self.orgs[thing.id] = thing
                if thing.parent_id is not None:
                    self.orgs[thing.parent_id].children.append(thing.id)
            case Login():
                self.logins[thing.id] = thing
                self._emails[thing.realm_id, thing.email.strip().lower()] = thing.id
            case Member():
                self.members[thing.id] = thing
            case Subscription():
                self.subscriptions[thing.id] = thing
                self.plans[thing.plan_id].subscriptions += 1
            case Website():
                self.websites[thing.id] = thing
                self.domains[thing.domain] = thing.id
        self.touch()

    def _happened(self, kind: str, org_id: str, entity: str, entity_id: str, detail: dict[str, Any]) -> None:
        if not self.remembers:
            return
        self.activities.append(
            {
                "id": self.uuid(),
                "orgId": org_id,
                "kind": kind,
                "createdAt": self.now(),
                "message": None,
                "context": {"actor": {"type": "accessToken"}},
                "activityObject": {"type": entity, "content": {"id": entity_id, "detail": {"ok": detail}}},
            }
        )

    def add_org(self, parent: Org, name: str) -> Org:
        """A new customer."""
        org = Org(self.uuid(), name, parent.id, self.now())
        self.orgs[org.id] = org
        parent.children.append(org.id)
        self._happened("added", parent.id, "org", org.id, {"name": name})
        self.touch()
        return org

    def add_login(self, org: Org, email: str, name: str, password: str) -> Login:
        """A new login in the realm of an org."""
        realm_id = org.parent_id or org.id
        if self.find_login(realm_id, email):
            raise taken("login")
        login = Login(self.uuid(), email, name, password, realm_id, org.id, self.now())
        self.logins[login.id] = login
        self._emails[realm_id, email.strip().lower()] = login.id
        self._happened("added", org.id, "login", login.id, {"name": name, "email": email, "realmId": realm_id})
        self.touch()
        return login

    def change_email(self, login: Login, email: str) -> None:
        """What a person may do for themselves; the API has no call for it."""
        del self._emails[login.realm_id, login.email.strip().lower()]
        login.email = email
        self._emails[login.realm_id, email.strip().lower()] = login.id
        self.touch()

    def add_member(self, org: Org, login: Login, roles: list[str]) -> Member:
        """A login's place in an org; an org has one owner."""
        if login.realm_id != (org.parent_id or org.id):
            raise not_found("login")
        if any(self.members[one].org_id == org.id for one in login.member_ids):
            raise taken("member")
        if "Owner" in roles and org.owner_id:
            raise taken("owner")
        member = Member(self.uuid(), org.id, login.id, list(roles), self.now())
        self.members[member.id] = member
        org.member_ids.append(member.id)
        login.member_ids.append(member.id)
        if "Owner" in roles:
            org.owner_id = member.id
        self.touch()
        return member

    def set_owner(self, org: Org, member: Member) -> None:
        """Hand an org over; the previous owner becomes a SuperAdmin."""
        if org.owner_id and org.owner_id != member.id:
            self.members[org.owner_id].roles = ["SuperAdmin"]
        org.owner_id = member.id
        member.roles = ["Owner"]
        self.touch()

    def remove_member(self, member: Member) -> None:
        """End a login's place in an org; the login stays."""
        org = self.orgs[member.org_id]
        org.member_ids.remove(member.id)
        self.logins[member.login_id].member_ids.remove(member.id)
        if org.owner_id == member.id:
            org.owner_id = None
        del self.members[member.id]
        self.touch()

    def add_plan(self, name: str, plan_id: int | None, resources: dict[str, int | None], org_id: str) -> Plan:
        """A new package."""
        if plan_id is None:
            plan_id = self._next_plan
        if plan_id in self.plans:
            raise taken("plan")
        self._next_plan = max(self._next_plan, plan_id + 1)
        plan = self.plans[plan_id] = Plan(plan_id, name, org_id, dict(resources), self.now())
        self.touch()
        return plan

    def add_subscription(self, vendor: Org, customer: Org, plan: Plan, friendly_name: str | None) -> Subscription:
        """A new hold of a customer on a plan; a second one to the same plan is allowed."""
        held = [self.subscriptions[one] for one in customer.subscription_ids]
        if plan.sells_customers and any(not s.deleted and self.plans[s.plan_id].sells_customers for s in held):
            raise taken("subscription", "This customer already has a reseller subscription")
        subscription = Subscription(
            self.next_subscription(),
            plan.id,
            customer.id,
            vendor.id,
            plan.name if friendly_name is None else friendly_name,
        )
        self.subscriptions[subscription.id] = subscription
        customer.subscription_ids.append(subscription.id)
        plan.subscriptions += 1
        self.touch()
        return subscription

    def change_plan(self, subscription: Subscription, plan: Plan) -> None:
        """Move a subscription to another plan, if what it uses fits there."""
        used = self.used(subscription, fresh=True)
        for name, total in plan.resources.items():
            if total is not None and used.get(name, 0) > total:
                raise self.refused("downgrade", f"Usage of {name} ({used[name]}) exceeds {total}")
        self.plans[subscription.plan_id].subscriptions -= 1
        plan.subscriptions += 1
        subscription.plan_id = plan.id
        self.touch()

    def add_website(
        self, org: Org, subscription: Subscription | None, domain: str, kind: str = "normal", php: str | None = None
    ) -> Website:
        """A new site on a domain that nobody has, within the subscription's quota."""
        domain = domain.lower()
        if not HOSTNAME.fullmatch(domain):
            raise Refusal(400, "invalid_argument", "domain", "Invalid domain")
        state, _ = self.domain_state(org, domain)
        if state == "prohibited":
            raise self.refused("prohibited", "Domain is prohibited")
        if state != "notInUse":
            raise taken("domain")
        if self.under_foreign_domain(org, domain):
            raise Refusal(403, "unauthorized", "domain", "Unable to create website outside of the org")
        if subscription is not None:
            if self.subscription_gone(subscription) or subscription.suspended_by or self.org_suspender(org):
                raise self.refused("subscription", "Subscription is not active")
            self._within_quota(subscription)
        site = Website(
            self.uuid(), domain, self.uuid(), org.id, subscription.id if subscription else None, self.now(), kind
        )
        site.php_version = php
        self.websites[site.id] = site
        self.domains[domain] = site.id
        org.website_ids.append(site.id)
        if subscription:
            subscription.website_ids.append(site.id)
        self._happened("added", org.id, "website", site.id, {"domain": domain, "orgId": org.id})
        self.touch()
        return site

    def _within_quota(self, subscription: Subscription) -> None:
        total = self.plans[subscription.plan_id].resources.get("websites")
        if total is not None and self.used(subscription, fresh=True)["websites"] >= total:
            raise self.refused("quota", "Not enough quota: websites")

    def move_website(self, site: Website, target: Subscription | None) -> None:
        """Put a site under another subscription of its org; only the master org may overdraw its quota."""
        if target is not None and target.id == site.subscription_id:
            return
        if target is not None:
            if self.subscription_gone(target) or target.suspended_by:
                raise self.refused("subscription", "Subscription is not active")
            if self.role != "mo":
                self._within_quota(target)
        if site.subscription_id is not None:
            self.subscriptions[site.subscription_id].website_ids.remove(site.id)
        site.subscription_id = target.id if target else None
        if target:
            target.website_ids.append(site.id)
        self.touch()

    def suspend(self, thing: Org | Subscription | Website, suspended: bool, actor: str) -> None:
        """Suspend or resume; who suspended first stays in the record unless told otherwise."""
        if isinstance(thing, Subscription) and self.suspends_each_website:
            for site in (self.websites[one] for one in thing.website_ids):
                if suspended or site.suspended_by == thing.suspended_by:
                    self.suspend(site, suspended, actor)
        if not suspended:
            thing.suspended_by = None
        elif thing.suspended_by is None or self.resuspend_overwrites:
            thing.suspended_by = actor
        self.touch()

    def delete(self, thing: Org | Subscription | Website, *, force: bool) -> None:
        """Soft-delete (the data stays, the domain stays blocked), or wipe."""
        match thing:
            case Org():
                self._wipe_org(thing) if force else self._mark(thing, deleted=True)
            case Subscription():
                if self.plans[thing.plan_id].sells_customers:
                    for child_id in list(self.orgs[thing.org_id].children):
                        self.delete(self.orgs[child_id], force=force)
                self._wipe_subscription(thing) if force else self._mark(thing, deleted=True)
            case Website():
                if force:
                    self._wipe_website(thing)
                else:
                    thing.status = "deleted"
                self._happened(
                    "removed", thing.org_id, "website", thing.id, {"domain": thing.domain, "orgId": thing.org_id}
                )
        self.touch()

    def restore(self, thing: Org | Subscription | Website) -> None:
        """Undo a soft delete."""
        if isinstance(thing, Website):
            thing.status = "active"
        else:
            self._mark(thing, deleted=False)
        self.touch()

    def _mark(self, thing: Org | Subscription, *, deleted: bool) -> None:
        thing.deleted = deleted

    def _wipe_org(self, org: Org) -> None:
        for child_id in list(org.children):
            self._wipe_org(self.orgs[child_id])
        for subscription_id in list(org.subscription_ids):
            self._wipe_subscription(self.subscriptions[subscription_id])
        for website_id in list(org.website_ids):
            self._wipe_website(self.websites[website_id])
        for member_id in list(org.member_ids):
            self.remove_member(self.members[member_id])
        if org.parent_id:
            self.orgs[org.parent_id].children.remove(org.id)
        del self.orgs[org.id]

    def _wipe_subscription(self, subscription: Subscription) -> None:
        for website_id in list(subscription.website_ids):
            self._wipe_website(self.websites[website_id])
        self.orgs[subscription.org_id].subscription_ids.remove(subscription.id)
        self.plans[subscription.plan_id].subscriptions -= 1
        del self.subscriptions[subscription.id]

    def _wipe_website(self, site: Website) -> None:
        if site.subscription_id is not None:
            self.subscriptions[site.subscription_id].website_ids.remove(site.id)
        self.orgs[site.org_id].website_ids.remove(site.id)
        del self.domains[site.domain]
        del self.websites[site.id]
