"""One request to an operation of the panel, with what every operation needs, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from scripts.sim.enhance_sim import views
from scripts.sim.enhance_sim.refusal import Refusal, not_allowed, not_found
from scripts.sim.enhance_sim.world import Member, Org, Plan, Subscription, Website, World

ONLY_SELLERS = "Only a reseller or the MO may perform this operation"

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
    token: str = ""
    token_expires: str | None = None
    """When the token ends, as the panel writes it."""


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


def life(ask: Ask, thing: Org | Subscription | Website, *, gone: bool) -> None:
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
