"""What became of actions that were begun and never finished: looked for in the panel before anything is repeated."""

from __future__ import annotations

from datetime import datetime

from lib.database import ledger
from lib.database.journal import Journal
from lib.errors import NotFound, Refused
from lib.model import (
    Actual,
    AddOwner,
    ChangePlan,
    CreateLogin,
    CreateOrg,
    CreateSubscription,
    CreateWebsite,
    Given,
    HardDelete,
    Intent,
    Mandate,
    Mark,
    Memory,
    MoveWebsite,
    PanelSubscription,
    RenameOrg,
    Resume,
    SendWelcome,
    Service,
    Suspend,
)
from lib.model.reason import Rule
from lib.policy import MAY_STILL_APPEAR, on_plan, outcome_known_at
from lib.structs import replace
from lib.subscription_manager import website_move
from lib.subscription_manager.memory_writer import MemoryWriter
from lib.subscription_manager.panel import Panel


class Interrupted:
    """Resolves the open intents of one pass' customer."""

    def __init__(self, panel: Panel, journal: Journal, writer: MemoryWriter, mandate: Mandate) -> None:
        self._panel = panel
        self._journal = journal
        self._writer = writer
        self._mandate = mandate

    async def resolve(self, memory: Memory, actual: Actual, now: datetime) -> tuple[Memory, Actual]:
        """Find out what became of actions that were begun and never finished, and remember it.

        Those that may still take effect stay in `memory.intents`; the others are closed in the ledger.
        """
        for intent in memory.intents:
            memory, actual, done = await self._look_for(intent, memory, actual)
            if done:
                self._close(memory, intent, done=True)
            elif intent.action.kind not in MAY_STILL_APPEAR:
                # Safe to repeat; whether it is needed shows in what the panel has.
                again = "interrupted, and nobody knows whether it happened; done again if it is still needed"
                self._close(memory, intent, done=False, error=again)
            elif now >= outcome_known_at(intent):
                self._close(memory, intent, done=False, error="looked for and not found")
            else:
                continue
            memory = replace(memory, intents=tuple(i for i in memory.intents if i.action_id != intent.action_id))
        return memory, actual

    async def _look_for(self, intent: Intent, memory: Memory, actual: Actual) -> tuple[Memory, Actual, bool]:
        """Whether it happened; if so, it is remembered as if its answer had come."""
        action = intent.action
        match action:
            case CreateOrg():
                memory, done = await self._org(memory, action, intent)
                return memory, await self._panel.look(memory) if done and not actual.subscriptions else actual, done
            case CreateLogin() | AddOwner() | RenameOrg() | SendWelcome() | Mark():
                return memory, actual, False
        service = memory.find(action.service)
        if service is None:
            return memory, actual, False
        given: Given | None
        match action:
            case CreateSubscription():
                # `recognise` looked for our mark already: an id is remembered if it is there.
                return memory, actual, service.made
            case CreateWebsite():
                given = await self._website(memory, service)
            case MoveWebsite():
                given = await self._move(memory, actual, action, service)
            case _:
                found = next((s for s in actual.subscriptions if s.id == service.panel_subscription_id), None)
                given = await self._change(intent, service, found, actual)
        if given is None:
            return memory, actual, False
        return self._writer.remember(memory, action, given), actual, True

    async def _org(self, memory: Memory, action: CreateOrg, intent: Intent) -> tuple[Memory, bool]:
        if memory.org_id is None:
            found = await self._panel.enhance.find_org(f"[{memory.key}]", intent.at)
            if found is None:
                return memory, False
            memory = self._writer.remember(memory, replace(action, name=found.name), Given(id=found.id))
        return memory, True

    async def _website(self, memory: Memory, service: Service) -> Given | None:
        if memory.org_id is None or service.domain is None:
            return None
        if service.website_id is None:
            try:
                found = await self._panel.find_website(memory, service)
            except Refused:  # told again, and parked, when it is tried again
                return None
            if found is None or found.subscription_id != service.panel_subscription_id:
                return None
            return Given(id=found.id)
        return Given(id=service.website_id)

    async def _move(self, memory: Memory, actual: Actual, action: MoveWebsite, service: Service) -> Given | None:
        """Where the website is says whether it was moved; it is looked at, not moved again."""
        if action.website is None or memory.org_id is None:
            return None
        try:
            website = await self._panel.enhance.website(memory.org_id, action.website)
        except NotFound:
            return None
        if website.deleted or website.subscription_id != service.panel_subscription_id:
            return None
        if service.website_id != website.id:
            found = next((s for s in actual.subscriptions if s.id == service.panel_subscription_id), None)
            if found is not None and found.suspended_by is None:
                source = next((s for s in memory.services if s.website_id == website.id), None)
                await website_move.switch_on(self._panel.enhance, memory, source, website)
        return Given(id=website.id)

    async def _change(
        self, intent: Intent, service: Service, found: PanelSubscription | None, actual: Actual
    ) -> Given | None:
        """Suspended, resumed, moved or deleted, as the panel shows it."""
        match intent.action:
            case Suspend():
                if found is None or found.suspended_by is None:
                    return None
                ours = await ledger.suspenders(self._panel.db, intent.token) if intent.token else frozenset()
                # Somebody else did while we were looking, and theirs is never lifted.
                theirs = bool(ours) and found.suspended_by not in ours
                return None if theirs else Given(suspended_by=found.suspended_by)
            case Resume():
                return Given() if service.made and found is not None and found.suspended_by is None else None
            case ChangePlan(plan=plan):
                if found is None or not plan or not on_plan(found, plan, actual.plans or ()):
                    return None
                return Given(plan_id=found.plan_id, at=intent.at)
            case HardDelete():
                return Given() if found is None else None
            case _:
                return Given() if service.made and (found is None or found.deleted) else None

    def _close(self, memory: Memory, intent: Intent, *, done: bool, error: str | None = None) -> None:
        entry = ledger.Entry(
            intent.action_id,
            "applied" if done else "failed",
            intent.action.kind,
            str(memory.key),
            intent.action.service,
            rule=Rule.FOUND_AFTER_INTERRUPTION if done else None,
            error=error,
            pass_id=self._mandate.pass_id,
            actor=self._mandate.actor,
        )
        entries = [entry, replace(entry, state="verified")] if done else [entry]
        self._journal.keep(ledger.recording(entries, self._journal.lease_id))
