"""What became of actions that were begun and never finished: looked for in the panel before anything is repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lib.database import ledger
from lib.errors import NotFound, Refused
from lib.model import ActionKind, Actual, Intent, Memory, ServiceState
from lib.policy import SETTLE, on_plan, settles_at
from lib.subscription_manager import moving
from lib.subscription_manager.panel import Panel, service_of


class Interrupted:
    """Settles the open intents of one pass' customer."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._pass = panel.current

    async def settle(self, memory: Memory, actual: Actual, now: datetime) -> tuple[Memory, Actual]:
        """Find out what became of actions that were begun and never finished, and remember it.

        Those that may still take effect stay in `memory.intents`; the others are closed in the ledger.
        """
        for intent in memory.intents:
            match intent.kind:
                case ActionKind.CREATE_ORG:
                    memory, done = await self._org(memory, intent)
                    if done and not actual.subscriptions:
                        actual = await self._panel.look(memory)
                case ActionKind.CREATE_SUBSCRIPTION:
                    # `recognise` looked for our mark already: an id is remembered if it is there.
                    service = service_of(memory, intent.service)
                    done = service is not None and service.made
                case ActionKind.CREATE_WEBSITE:
                    memory, done = await self._website(memory, intent)
                case ActionKind.MOVE_WEBSITE:
                    memory, done = await self._move(memory, actual, intent)
                case ActionKind.SUSPEND:
                    memory, done = await self._suspension(memory, actual, intent)
                case ActionKind.HARD_DELETE:
                    memory, done = await self._wipe(memory, actual, intent)
                case ActionKind.RESUME | ActionKind.CHANGE_PLAN | ActionKind.TERMINATE:
                    memory, done = await self._change(memory, actual, intent)
                case _:
                    done = False
            if not done and intent.kind not in SETTLE:
                # Safe to repeat; whether it is needed shows in what the panel has.
                await self._close(
                    intent,
                    done=False,
                    error="interrupted, and nobody knows whether it happened; done again if it is still needed",
                )
                memory = _without(memory, intent)
            elif done:
                await self._close(intent, done=True)
                memory = _without(memory, intent)
            elif now >= settles_at(intent):
                await self._close(intent, done=False, error="looked for and not found")
                memory = _without(memory, intent)
        return memory, actual

    async def _org(self, memory: Memory, intent: Intent) -> tuple[Memory, bool]:
        if memory.org_id is None:
            found = await self._panel.enhance.find_org(f"[{memory.customer_id}]", intent.at)
            if found is None:
                return memory, False
            memory = replace(memory, org_id=found.id, org_name=found.name)
            await self._panel.remember(memory)
        return memory, True

    async def _website(self, memory: Memory, intent: Intent) -> tuple[Memory, bool]:
        service = service_of(memory, intent.service)
        if service is None or memory.org_id is None or service.domain is None:
            return memory, False
        if service.website_id is None:
            try:
                found = await self._panel.find_website(memory, service)
            except Refused:  # told again, and parked, when it is tried again
                return memory, False
            if found is None or found.subscription_id != service.panel_subscription_id:
                return memory, False
            memory = await moving.remember(self._panel, memory, service, found.id)
        return memory, True

    async def _move(self, memory: Memory, actual: Actual, intent: Intent) -> tuple[Memory, bool]:
        """Where the website is says whether it was moved; it is looked at, not moved again."""
        service = service_of(memory, intent.service)
        if service is None or intent.website is None or memory.org_id is None:
            return memory, False
        try:
            website = await self._panel.enhance.website(memory.org_id, intent.website)
        except NotFound:
            return memory, False
        if website.deleted or website.subscription_id != service.panel_subscription_id:
            return memory, False
        if service.website_id != website.id:
            found = next((s for s in actual.subscriptions if s.id == service.panel_subscription_id), None)
            if found is not None and found.suspended_by is None:
                source = next((s for s in memory.services if s.website_id == website.id), None)
                await moving.switch_on(self._panel, memory, source, website)
            memory = await moving.remember(self._panel, memory, service, website.id)
        return memory, True

    async def _suspension(self, memory: Memory, actual: Actual, intent: Intent) -> tuple[Memory, bool]:
        service = service_of(memory, intent.service)
        found = next((s for s in actual.subscriptions if service and s.id == service.panel_subscription_id), None)
        if service is None or found is None or found.suspended_by is None:
            return memory, False
        ours = await ledger.suspenders(self._panel.db, intent.token) if intent.token else frozenset()
        if ours and found.suspended_by not in ours:
            return memory, False  # somebody else did while we were looking, and theirs is never lifted
        if service.suspended_by != found.suspended_by:
            changed = replace(
                service, suspended_by=found.suspended_by, state=ServiceState.SUSPENDED, panel_suspended=False
            )
            memory = await self._panel.remember_service(memory, changed)
        return memory, True

    async def _change(self, memory: Memory, actual: Actual, intent: Intent) -> tuple[Memory, bool]:
        """Resumed, moved or deleted, as the panel shows it: then that is remembered as if its answer had come."""
        service = service_of(memory, intent.service)
        if service is None or not service.made:
            return memory, False
        found = next((s for s in actual.subscriptions if s.id == service.panel_subscription_id), None)
        changed = service
        match intent.kind:
            case ActionKind.RESUME:
                done = found is not None and found.suspended_by is None
            case ActionKind.CHANGE_PLAN:
                done = found is not None and intent.plan is not None and on_plan(found, intent.plan, actual.plans or ())
                changed = replace(service, plan=intent.plan, plan_since=intent.at)
            case _:
                done = found is None or found.deleted
                changed = replace(service, state=ServiceState.TERMINATED)
        if done and changed != service:
            memory = await self._panel.remember_service(memory, changed)
        return memory, done

    async def _wipe(self, memory: Memory, actual: Actual, intent: Intent) -> tuple[Memory, bool]:
        service = service_of(memory, intent.service)
        if service is None or any(s.id == service.panel_subscription_id for s in actual.subscriptions):
            return memory, False
        return await self._panel.remember_service(memory, replace(service, state=ServiceState.TERMINATED)), True

    async def _close(self, intent: Intent, *, done: bool, error: str | None = None) -> None:
        fact = ledger.Fact(
            intent.action_id,
            "applied" if done else "failed",
            intent.kind,
            self._pass.payer.id,
            intent.service,
            rule="found_after_interruption" if done else None,
            error=error,
            pass_id=self._pass.id,
            actor=self._pass.actor,
        )
        await ledger.record(self._panel.db, [fact, replace(fact, state="verified")] if done else [fact])


def _without(memory: Memory, intent: Intent) -> Memory:
    return replace(memory, intents=tuple(i for i in memory.intents if i.action_id != intent.action_id))
