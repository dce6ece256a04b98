"""Who is to be linked to what: whole listings of both sides read once, then one customer after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lib.structs import replace

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.config import Policy
    from lib.enhance_client import Org
    from lib.model import Action, Catalogue, Memory, PanelSubscription, Payer, Problem
    from lib.policy.adoption import Holdings, Match, Refusal, Row, Site


@dataclass(frozen=True, slots=True)
class Case:
    """One customer, and what was found out."""

    who: str
    org: str
    memory: Memory
    """As it is to be remembered."""
    match: Match
    ahead: tuple[str, ...]
    """What the passes afterwards would do, or what would park them."""
    alone: bool = False
    """The organisation is theirs, and there is no hosting in it to be linked."""


class Survey:
    """Reads both sides: whole listings once, and then one customer after the other."""

    how: str
    """What it goes by, for the ledger."""

    def __init__(self, manager: Bridge, *, accept_plan_changes: bool) -> None:
        self._manager = manager
        self._accept = accept_plan_changes
        self._orgs: dict[str, Org] = {}
        self._sites: dict[str, list[Site]] = {}
        self.refused: list[tuple[str, Refusal]] = []
        """What got no further than its row."""

    async def read_panel(self) -> None:
        """Everything that the panel lists of its customers, page by page."""
        from lib.policy.adoption import Site

        offset: int | None = 0
        while offset is not None:
            orgs, offset = await self._manager.enhance.orgs_page(offset)
            self._orgs.update({org.id: org for org in orgs})
        offset = 0
        while offset is not None:
            websites, offset = await self._manager.enhance.websites_page(offset)
            for site in websites:
                if not site.deleted and site.subscription_id is not None and site.domain:
                    found = Site(site.id, site.domain, site.subscription_id)
                    self._sites.setdefault(site.org_id, []).append(found)

    def refuse(self, who: str, reason: str, detail: str) -> None:
        """Note why somebody or something is not linked."""
        from lib.policy.adoption import Refusal

        self.refused.append((who, Refusal(reason, detail)))

    async def payers(self) -> dict[str, set[str]]:
        """E-mail, in one spelling, -> the Stripe customers with a running subscription who have it."""
        from lib.policy.adoption import ADOPTABLE, spelt
        from lib.reading import Answer

        found: defaultdict[str, set[str]] = defaultdict(set)
        listing = self._manager.stripe.each("/v1/subscriptions", status="all", expand=["data.customer"])
        async for subscription in listing:
            said = Answer(subscription, f"Stripe's subscription {subscription['id']}")
            person = said.inner("customer")
            gone = person.plain("deleted") is True
            email = None if gone else person.text_or_none("email")
            if email and said.text("status") in ADOPTABLE:
                found[spelt(email)].add(person.text("id"))
        return found

    async def rows(self) -> list[Row]:
        """Who may be linked to which organisation; what is in doubt is refused already."""
        raise NotImplementedError

    async def cases(self, rows: Iterable[Row]) -> AsyncIterator[Case]:
        """Each customer of the rows, with what would be linked or why not."""
        from lib.database import adoption

        of_customer: defaultdict[str, list[Row]] = defaultdict(list)
        of_org: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            of_customer[row.customer_id].append(row)
            of_org[row.org_id].add(row.customer_id)
        owners = await adoption.owners(self._manager.db, [org_id for org_id in of_org if org_id in self._orgs])
        for customer_id, own in of_customer.items():
            claimed = of_org[own[0].org_id] - {customer_id}
            yield await self._case(customer_id, own, owners.get(own[0].org_id), claimed)

    async def _case(self, customer_id: str, rows: list[Row], owner: str | None, claimed: set[str]) -> Case:
        from lib.database import adoption, customer_memory
        from lib.errors import Incomplete, NotFound
        from lib.kinds import other_shard
        from lib.model import CustomerKey, Memory
        from lib.policy import adoption as matching

        manager = self._manager
        if not manager.settings.holds(customer_id):
            elsewhere = matching.Refusal("other_shard", other_shard(customer_id, manager.settings))
            return Case(customer_id, rows[0].org_id, Memory(customer_id), matching.Match(refusals=(elsewhere,)), ())
        memory, catalogue = await customer_memory.load(manager.db, CustomerKey.stripe(customer_id))
        memory = self.with_more(memory)
        org = self._orgs.get(rows[0].org_id)
        refusal = unfit(rows, org, memory, owner, claimed) or (org and self.unusable(org))
        if refusal is not None or org is None:
            refusals = (refusal,) if refusal else ()
            return Case(customer_id, rows[0].org_id, memory, matching.Match(refusals=refusals), ())
        try:
            payer = await manager.stripe.payer(customer_id, memory.heard_of)
        except (NotFound, Incomplete) as error:  # of this one; the others are looked at all the same
            unknown = matching.Refusal("customer_unknown", f"Stripe does not tell of them: {error}")
            return Case(customer_id, rows[0].org_id, memory, matching.Match(refusals=(unknown,)), ())
        subscriptions = await self.hosting(org.id)
        taken = await adoption.takers(manager.db, [s.id for s in subscriptions])
        holdings = matching.Holdings(subscriptions, tuple(self._sites.get(org.id, ())), taken)
        now = await manager.db.now()
        match = await self.fit(rows, payer, memory, catalogue, holdings, now)
        after = _after(memory, match, org, payer)
        ahead: tuple[str, ...] = ()
        if match.services:
            at = payer.as_of or now
            payer = await self.informed(payer, after, catalogue, at)
            ahead = _ahead(*matching.foresee(payer, after, catalogue, subscriptions, self.policy, at))
        return Case(
            f"{customer_id} {payer.email or ''}".rstrip(),
            f"{org.name} ({org.id})",
            after,
            match,
            ahead,
            alone=memory.org_id is None and not match.services and not match.refusals,
        )

    @property
    def policy(self) -> Policy:
        return self._manager.settings.policy

    async def informed(self, payer: Payer, memory: Memory, catalogue: Catalogue, at: datetime) -> Payer:
        """The payer with all that deciding asks for: money that went back, and the invoices that matter."""
        from lib.policy import desired, with_money_back
        from lib.subscription_manager.truth import StripeTruth, informed

        payer = with_money_back(payer, memory)
        truth = StripeTruth(self._manager.stripe)
        return await informed(truth, payer, lambda known: desired(known, memory, catalogue, self.policy, at))

    async def hosting(self, org_id: str) -> tuple[PanelSubscription, ...]:
        """What the panel has of one organisation."""
        return await self._manager.enhance.subscriptions(org_id)

    def with_more(self, memory: Memory) -> Memory:
        """What is remembered, with what else is known of the customer."""
        return memory

    def unusable(self, org: Org) -> Refusal | None:
        """Why this organisation can't be linked to anybody."""
        from lib.policy.adoption import Refusal

        if org.owner_login_id is None or org.owner_member_id is None:
            return Refusal("no_owner", f"organisation {org.id} has no owner; give it one in the panel")
        return None

    async def fit(
        self, rows: Sequence[Row], payer: Payer, memory: Memory, catalogue: Catalogue, holdings: Holdings, now: datetime
    ) -> Match:
        """Which hosting is which purchase."""
        from lib.model import Facts
        from lib.policy.adoption import match

        facts = Facts(payer, memory, catalogue)
        return match(rows, facts, holdings, self.policy, now, accept_plan_changes=self._accept)


def _after(memory: Memory, match: Match, org: Org, payer: Payer) -> Memory:
    """The customer as they are to be remembered."""
    from lib.policy import clean_name, marks

    known = {service.key: service for service in memory.services}
    known.update({service.key: service for service in match.services})
    name = org.name if marks(org.name) else clean_name(payer)
    return replace(
        memory,
        known=True,
        org_id=org.id,
        org_name=None if memory.erased else memory.org_name or name,
        login_id=memory.login_id or org.owner_login_id,
        member_id=memory.member_id or org.owner_member_id,
        email=None if memory.erased else payer.email,
        name=None if memory.erased else payer.name,
        welcomed=True,
        services=tuple(known.values()),
    )


def _ahead(actions: Sequence[Action], problems: Sequence[Problem]) -> tuple[str, ...]:
    """What passes would do and what would park them, each once."""
    would = [f"{a.kind.value} {a.service or ''}".rstrip() + f" ({a.rule})" for a in actions]
    return tuple(dict.fromkeys([*would, *(f"parked: {problem.reason}" for problem in problems)]))


def unfit(rows: Sequence[Row], org: Org | None, memory: Memory, owner: str | None, claimed: set[str]) -> Refusal | None:
    """Why this customer and this organisation can't belong together, whatever they have."""
    from lib.policy.adoption import Refusal

    named = {row.org_id for row in rows}
    if len(named) > 1:
        return Refusal("ambiguous", f"organisations {listed(named)} are named for one customer")
    if org is None:
        return Refusal("org_unknown", f"the panel lists no customer organisation {rows[0].org_id}")
    if org.deleted:
        return Refusal("org_deleted", f"organisation {org.id} is deleted")
    if owner is not None and owner != memory.customer_id:
        return Refusal("org_linked", f"organisation {org.id} is linked to {owner}")
    if claimed:
        return Refusal("ambiguous", f"organisation {org.id} is named for {listed(claimed)} as well")
    if memory.org_id is not None and memory.org_id != org.id:
        return Refusal("customer_linked", f"the customer has organisation {memory.org_id}")
    return None


def listed(names: Iterable[str]) -> str:
    """Names in one line."""
    return ", ".join(sorted(names))


class ByEmail(Survey):
    """Exact e-mails that are unique on both sides."""

    how = "adopted_by_email"

    async def rows(self) -> list[Row]:
        """A row for each e-mail that one customer and one living organisation have; the other ones are refused."""
        from lib.policy.adoption import Row, spelt

        owned: defaultdict[str, list[str]] = defaultdict(list)
        for org in self._orgs.values():
            if org.owner_email and not org.deleted:
                owned[spelt(org.owner_email)].append(org.id)
        rows = []
        for email, customers in sorted((await self.payers()).items()):
            orgs = owned.get(email, [])
            if len(customers) > 1:
                self.refuse(email, "ambiguous_email", f"customers {listed(customers)} have this e-mail; use a file")
            elif len(orgs) > 1:
                self.refuse(email, "ambiguous_email", f"organisations {listed(orgs)} have this e-mail; use a file")
            elif not orgs:
                self.refuse(email, "no_organisation", f"no organisation is owned by the e-mail of {listed(customers)}")
            else:
                rows.append(Row(next(iter(customers)), orgs[0]))
        return rows
