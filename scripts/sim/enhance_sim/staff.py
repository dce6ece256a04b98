"""What a test or demo looks at in a simulated panel, and does there as the panel's own staff."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from scripts.sim.enhance_sim import views
from scripts.sim.enhance_sim.ask import Knobs
from scripts.sim.enhance_sim.world import Login, Member, Org, Plan, Subscription, Website, World


class Staff:
    """People at the panel itself: no HTTP, no token, no counting of calls."""

    state: World
    knobs: Knobs
    staff_id: str

    # --- what a test looks at -----------------------------------------------------------------

    @property
    def org_id(self) -> str:
        """The org the token belongs to."""
        return self.state.own_id

    @property
    def status_value(self) -> str:
        """What GET /status says."""
        return self.knobs.status

    @status_value.setter
    def status_value(self, value: str) -> None:
        self.knobs.status = value

    @property
    def orgs(self) -> dict[str, Org]:
        """Customer orgs, deleted ones too."""
        with self.state.lock:
            return {k: v for k, v in self.state.orgs.items() if k not in (self.state.master_id, self.state.own_id)}

    @property
    def logins(self) -> dict[str, Login]:
        """Every login."""
        return self.state.logins

    @property
    def members(self) -> dict[str, Member]:
        """Every membership."""
        return self.state.members

    @property
    def plans(self) -> dict[int, Plan]:
        """Every plan."""
        return self.state.plans

    @property
    def subscriptions(self) -> dict[int, Subscription]:
        """Every subscription, deleted ones too."""
        return self.state.subscriptions

    @property
    def websites(self) -> dict[str, Website]:
        """Every website, deleted ones too."""
        return self.state.websites

    def world(self) -> dict[str, int]:
        """How much is alive."""
        with self.state.lock:
            world = self.state
            return {
                "orgs": sum(not world.gone(one) for one in self.orgs.values()),
                "logins": len(world.logins),
                "members": sum(not world.gone(world.orgs[one.org_id]) for one in world.members.values()),
                "subscriptions": sum(not world.subscription_gone(one) for one in world.subscriptions.values()),
                "websites": sum(world.website_status(one) != "deleted" for one in world.websites.values()),
            }

    def show(self, target: int | str) -> dict[str, Any]:
        """An org, subscription (by number) or website as the API would show it."""
        with self.state.lock:
            match self._thing(target):
                case Org() as org:
                    return views.org(self.state, org)
                case Subscription() as subscription:
                    return views.subscription(self.state, subscription)
                case Website() as site:
                    return views.website(self.state, site, full=True)

    # --- the panel's own staff ----------------------------------------------------------------

    def _thing(self, target: int | str) -> Org | Subscription | Website:
        if isinstance(target, int):
            found: Org | Subscription | Website | None = self.state.subscriptions.get(target)
        else:
            found = self.state.orgs.get(target) or self.state.websites.get(target)
        if found is None:
            raise KeyError(target)
        return found

    def add_plan(
        self,
        name: str,
        id: int | None = None,  # noqa: A002 - the panel's own word
        resources: dict[str, int | None] | None = None,
    ) -> int:
        """A new plan of the token's org; without resources ten websites and 10 GB."""
        with self.state.lock:
            given = {"websites": 10, "diskspace": 10_000_000_000} if resources is None else resources
            return self.state.add_plan(name, id, dict(given), self.org_id).id

    def add_customer(self, name: str, email: str | None = None) -> str:
        """A customer that somebody made by hand, with an owner if there is an e-mail; the org's id."""
        with self.state.lock:
            org = self.state.add_org(self.state.orgs[self.org_id], name)
            if email is not None:
                login = self.state.find_login(self.org_id, email)
                login = login or self.state.add_login(org, email, name, "set by staff")
                self.state.add_member(org, login, ["Owner"])
            return org.id

    def add_subscription(self, org_id: str, plan_id: int, friendly_name: str | None = None) -> int:
        """A subscription that somebody made by hand."""
        with self.state.lock:
            seller, customer = self.state.orgs[self.org_id], self.state.orgs[org_id]
            return self.state.add_subscription(seller, customer, self.state.plans[plan_id], friendly_name).id

    def add_website(self, sub_id: int, domain: str) -> str:
        """A website that somebody made by hand."""
        with self.state.lock:
            held = self.state.subscriptions[sub_id]
            return self.state.add_website(self.state.orgs[held.org_id], held, domain).id

    def suspend_by_hand(self, target: int | str, by: str | None = None) -> None:
        """Suspend a subscription (number), org or website as another person than the token."""
        with self.state.lock:
            self.state.suspend(self._thing(target), suspended=True, actor=by or self.staff_id)

    def resume_by_hand(self, target: int | str) -> None:
        """Lift a suspension, whoever set it."""
        with self.state.lock:
            self.state.suspend(self._thing(target), suspended=False, actor=self.staff_id)

    def delete_by_hand(self, target: int | str, *, force: bool = False) -> None:
        """Delete softly, or wipe."""
        with self.state.lock:
            self.state.delete(self._thing(target), force=force)

    def restore_by_hand(self, target: int | str) -> None:
        """Undo a soft delete."""
        with self.state.lock:
            self.state.restore(self._thing(target))

    def change_plan_by_hand(self, sub_id: int, plan_id: int) -> None:
        """Move a subscription to another plan."""
        with self.state.lock:
            self.state.change_plan(self.state.subscriptions[sub_id], self.state.plans[plan_id])

    def rename_by_hand(self, target: int | str, name: str) -> None:
        """Rename an org, or give a subscription another friendly name."""
        with self.state.lock:
            thing = self._thing(target)
            if isinstance(thing, Subscription):
                thing.friendly_name = name
            elif isinstance(thing, Org):
                thing.name = name
            else:
                raise KeyError(target)
            self.state.touch()

    def change_email_by_hand(self, login_id: str, email: str) -> None:
        """What the person can do in the panel, and the API can't."""
        with self.state.lock:
            self.state.change_email(self.state.logins[login_id], email)

    def set_usage(self, sub_id: int, *, stale: bool = False, **usage: int) -> None:
        """What a subscription uses; stale usage is shown only after it was calculated anew."""
        with self.state.lock:
            held = self.state.subscriptions[sub_id]
            held.fresh = held.fresh | usage
            if not stale:
                held.usage = dict(held.fresh)
            self.state.touch()

    def reserve_domain_elsewhere(self, domain: str) -> None:
        """Another tenant has this domain."""
        self.state.elsewhere.add(domain.lower())

    def prohibit(self, domain: str) -> None:
        """The operator forbids this domain."""
        self.state.prohibited.add(domain.lower())

    def set_clock(self, clock: Callable[[], datetime]) -> None:
        """Where `createdAt` comes from."""
        self.state.clock = clock

    def seed_many(self, count: int, plan_id: int | None = None) -> None:
        """Many customers, each with an owner, a subscription and a website: `customer7@example.com`."""
        with self.state.lock:
            world, seller = self.state, self.state.orgs[self.org_id]
            if plan_id is None:
                plan_id = self.add_plan(f"Seeded {len(world.plans)}")
            plan, made = world.plans[plan_id], len(seller.children)
            world.remembers = False
            for number in range(made, made + count):
                org = world.add_org(seller, f"Customer {number}")
                login = world.add_login(org, f"customer{number}@example.com", f"Customer {number}", "a seeded password")
                world.add_member(org, login, ["Owner"])
                held = world.add_subscription(seller, org, plan, None)
                world.add_website(org, held, f"customer{number}.example.com")
            world.remembers = True
