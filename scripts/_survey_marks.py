"""Who owned what before the database was lost, by the marks that we left in the panel."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from lib.structs import replace
from scripts._survey import Survey, listed

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.enhance_client import Org
    from lib.model import Catalogue, Dispute, Memory, PanelSubscription, Payer
    from lib.policy.adoption import Holdings, Match, Refusal, Row
    from lib.policy.rebuild import Unexplained

OVER = ("won", "prevented", "warning_closed")
"""Disputes that hold nothing any more, whatever ON_DISPUTE says."""


class ByMarks(Survey):
    """Every organisation whose hosting, or whose own name, carries a mark of ours."""

    how = "rebuilt_from_marks"

    def __init__(self, manager: Bridge, *, ours: frozenset[str]) -> None:
        super().__init__(manager, accept_plan_changes=True)
        self._ours = ours
        self._hosting: dict[str, tuple[PanelSubscription, ...]] = {}
        self._subscriptions: defaultdict[str, set[str]] = defaultdict(set)
        """Customer -> their subscriptions that a mark names."""
        self.disputes: list[Dispute] = []
        """Those that Stripe has and that may hold a service."""
        self.unexplained: list[Unexplained] = []
        """What is suspended without a cause that can be seen."""

    async def rows(self) -> list[Row]:
        """A row for each organisation of which all marks lead to one customer."""
        from lib.policy.adoption import Row

        owners, running = await self._owners()
        await self._read_disputes()
        rows = []
        for number, org in enumerate(o for o in self._orgs.values() if not o.deleted):
            if number and number % 500 == 0:
                print(f"{number} of {len(self._orgs)} organisations looked at", file=sys.stderr)
            customers = await self._whose(org, owners)
            if len(customers) > 1:
                self.refuse(org.id, "ambiguous", f"its marks lead to several customers: {listed(customers)}")
            elif customers:
                rows.append(Row(next(iter(customers)), org.id))
        await self._name_the_rest(running, {row.customer_id for row in rows})
        return rows

    async def _owners(self) -> tuple[dict[str, str], set[str]]:
        """Subscription -> customer, of all that Stripe ever had; and whose is running."""
        from lib.policy.adoption import ADOPTABLE
        from lib.reading import Answer

        owners: dict[str, str] = {}
        running: set[str] = set()
        async for subscription in self._manager.stripe.each("/v1/subscriptions", status="all"):
            said = Answer(subscription, f"Stripe's subscription {subscription['id']}")
            owners[said.text("id")] = customer = said.reference("customer")
            if said.text("status") in ADOPTABLE:
                running.add(customer)
        return owners, running

    async def _read_disputes(self) -> None:
        stripe = self._manager.stripe
        async for dispute in stripe.each("/v1/disputes"):
            if dispute.get("status") not in OVER:
                self.disputes.append(await stripe.dispute(str(dispute["id"])))

    async def _whose(self, org: Org, owners: dict[str, str]) -> set[str]:
        """The customers to whom the marks of an organisation lead."""
        from lib.policy import marks

        self._hosting[org.id] = found = await self._manager.enhance.subscriptions(org.id)
        named = {marked for hosting in found for marked, _ in marks(hosting.friendly_name)}
        customers = {marked for marked, _ in marks(org.name) if marked.startswith("cus_")}
        for subscription in named & owners.keys():
            self._subscriptions[owners[subscription]].add(subscription)
            customers.add(owners[subscription])
        if unknown := {marked for marked in named - owners.keys() if marked.startswith("sub_")}:
            detail = f"Stripe has no {listed(unknown)}, which marks in it name: another account or mode?"
            self.refuse(org.id, "unknown_subscription", detail)
            return set()
        return customers

    async def _name_the_rest(self, running: set[str], found: set[str]) -> None:
        """Who pays and was not found must not be provisioned a second time by oversight."""
        from lib.database.customers import knows
        from lib.model import CustomerKey

        for customer in sorted(running - found):
            if not await knows(self._manager.db, CustomerKey.stripe(customer)):
                detail = "no hosting carries a mark of theirs: adopted before (--by-email or a file), or not made yet"
                self.refuse(customer, "no_mark", detail)

    async def hosting(self, org_id: str) -> tuple[PanelSubscription, ...]:
        """What was read already."""
        return self._hosting[org_id]

    def with_more(self, memory: Memory) -> Memory:
        """With the subscriptions that marks name, and the disputes that Stripe has."""
        theirs = self._subscriptions[memory.customer_id]
        disputes = [(d.subscription_id, d.status) for d in self.disputes if d.customer_id == memory.customer_id]
        known = tuple((subscription, status) for subscription, status in disputes if subscription is not None)
        return replace(
            memory,
            named=memory.named | theirs,
            disputes=tuple(dict.fromkeys([*memory.disputes, *known])),
        )

    def unusable(self, org: Org) -> Refusal | None:  # noqa: ARG002 - of any
        """None is: one that was not finished yet, without an owner, is finished by the next pass."""
        return None

    async def fit(
        self, _: Sequence[Row], payer: Payer, memory: Memory, catalogue: Catalogue, holdings: Holdings, now: datetime
    ) -> Match:
        """By the marks alone."""
        from lib.policy.rebuild import lay_marks, rebuild

        laid = lay_marks(payer, memory, catalogue, holdings, now)
        payer = await self.informed(payer, laid.memory, catalogue, payer.as_of or now)
        rebuilt = rebuild(payer, laid, catalogue, self.policy, payer.as_of or now, ours=self._ours)
        self.unexplained += rebuilt.unexplained
        return rebuilt.match
