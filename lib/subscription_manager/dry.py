"""A pass that only looks: what would be refused shows, everything else is imagined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from lib.config import Settings
from lib.database import customer_memory, ledger
from lib.database import shadow as shadows
from lib.database.journal import Journal
from lib.model import (
    Action,
    Catalogue,
    ChangePlan,
    CreateSubscription,
    CreateWebsite,
    CustomerKey,
    Facts,
    Mandate,
    Memory,
    MoveWebsite,
    Outcome,
)
from lib.model.report import action_json
from lib.policy import imagine
from lib.structs import replace
from lib.subscription_manager import website_move
from lib.subscription_manager.conclusion import Conclusion
from lib.subscription_manager.panel import Panel, refuse_excess, refuse_keeping


class Dry:
    """Changes nothing and writes nothing."""

    live = False

    def __init__(
        self,
        panel: Panel,
        edit: Callable[[Catalogue], Catalogue] | None = None,
        claimed: Mapping[str, Any] | None = None,
    ) -> None:
        self._panel = panel
        self._enhance = panel.enhance
        self._db = panel.db
        self._edit = edit
        self._recollection = customer_memory.Recollection(panel.db, claimed)

    async def load(self, customer_id: str) -> tuple[Memory, Catalogue]:
        """The customer as the database has them, and what is sold, or would be."""
        memory, catalogue = await self._recollection.load(CustomerKey.read(customer_id))
        return memory, catalogue if self._edit is None else self._edit(catalogue)

    async def save(self, memory: Memory) -> None:
        """Nothing is remembered."""

    async def resolve_interrupted(self, facts: Facts, _now: datetime, /) -> Facts:
        """What was interrupted stays so."""
        return facts

    async def conclude(self, _facts: Facts, _outcome: Outcome, /) -> None:
        """Nothing is written down."""

    async def apply(self, action: Action, facts: Facts) -> Facts:
        """Be refused as a live pass would be, as far as that shows without asking the panel to count or check anything.

        Usage is what the panel shows, which may be old; two websites of one domain that are both still to be made are
        not compared.

        Raises:
            Refused: a live pass would be, with the same reason. Retryable: it can't be seen just now.
        """
        memory, actual = facts.memory, facts.actual
        match action:
            case CreateSubscription(plan=wanted):
                await self._enhance.plan(wanted)
            case ChangePlan(service=key, plan=wanted):
                plan, service = await self._enhance.plan(wanted), memory.service(key)
                shown = next(s for s in actual.subscriptions if s.id == service.panel_subscription_id)
                refuse_excess(service, shown.resources, plan)
            case CreateWebsite(service=key):
                await self._panel.foresee_website(memory, memory.service(key))
            case MoveWebsite():
                await self._foresee_move(action, facts)
        memory, actual = imagine(action, memory, actual)
        return replace(facts, memory=memory, actual=actual)

    async def _foresee_move(self, action: MoveWebsite, facts: Facts) -> None:
        memory = facts.memory
        source, service = memory.service(action.source), memory.service(action.service)
        assert memory.org_id is not None and source.website_id is not None
        website = await self._enhance.website(memory.org_id, source.website_id)
        refuse_keeping(memory, service, website)
        await website_move.refuse_excess(self._enhance, facts.actual, source, service, website)


class Shadow(Dry):
    """Changes nothing in the panel, and writes down what it would change."""

    def __init__(
        self,
        panel: Panel,
        journal: Journal,
        mandate: Mandate,
        settings: Settings,
        claimed: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(panel, claimed=claimed)
        self._journal = journal
        self._mandate = mandate
        self._policy = settings.policy
        self._planned: list[Action] = []

    async def apply(self, action: Action, facts: Facts) -> Facts:
        """As in any dry run; what is not refused is part of the plan."""
        facts = await super().apply(action, facts)
        self._planned.append(action)
        return facts

    async def conclude(self, facts: Facts, outcome: Outcome, /) -> None:
        """Keep the plan until it is done or no longer wanted, and remember what Stripe said."""
        planned = [_shown(action, erased=facts.memory.erased) for action in self._planned]
        if await shadows.remember(self._db, facts.memory.key, planned):
            await ledger.record(self._db, [self._entry(action, facts.payer.id) for action in self._planned])
        await Conclusion(self._db, self._journal, self._mandate, self._policy).note(facts, outcome)

    def _entry(self, action: Action, customer_id: str) -> ledger.Entry:
        return ledger.Entry(
            str(uuid4()),
            "planned",
            action.kind,
            customer_id,
            action.service,
            action.rule,
            pass_id=self._mandate.pass_id,
            actor=self._mandate.actor,
        )


def _shown(action: Action, *, erased: bool) -> dict[str, Any]:
    """An action as it is written down: without the name of who was erased."""
    shown = action_json(action)
    return {**shown, "details": {key: value for key, value in shown["details"].items() if key != "name" or not erased}}
