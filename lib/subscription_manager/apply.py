"""One action in the panel: intent first, then the call, then what it told us, remembered before it is called applied.

A crash anywhere leaves either nothing, or an intent whose effect `interrupted` looks for before anything is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lib.database import Database, due, ledger
from lib.database import memory as memories
from lib.errors import Conflict, NotFound, Refused, Unavailable
from lib.model import Action, ActionKind, Actual, Intent, Memory, Resource, Service, ServiceKey, ServiceState
from lib.policy import SETTLE, clean_name, marked_name, on_plan, settles_at
from lib.subscription_manager.step import Pass, Step, Waiting, truth_behind

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient

WEBSITE_LEASE = timedelta(seconds=120)
"""Longer than the slowest website call, so that a living process never loses it half-way."""

TURN = timedelta(seconds=5)
"""When to come back for a turn at what is done one at a time."""

WEBSITE_PATIENCE = 15.0
"""Seconds that a pass waits for its turn to create a website, before it lets another customer have its place."""


class Panel:
    """Applies actions for one pass: knows the panel, the ledger and the memory, and nothing of policy."""

    def __init__(self, db: Database, enhance: EnhanceClient, current: Pass) -> None:
        self._db = db
        self._enhance = enhance
        self._pass = current

    # --- looking ---

    async def look(self, memory: Memory) -> Actual:
        """The panel's side of this customer, in one call; none before there is an organisation."""
        if memory.org_id is None:
            return Actual()
        try:
            return Actual(subscriptions=await self._enhance.subscriptions(memory.org_id))
        except NotFound:
            return Actual(org_gone=True)

    async def interrupted(self, memory: Memory, actual: Actual, now: datetime) -> tuple[Memory, Actual]:
        """Find out what became of actions that were begun and never finished, and remember it.

        Those that may still take effect stay in `memory.intents`; the others are closed in the ledger.
        """
        for intent in memory.intents:
            match intent.kind:
                case ActionKind.CREATE_ORG:
                    memory, done = await self._interrupted_org(memory, intent)
                    if done and not actual.subscriptions:
                        actual = await self.look(memory)
                case ActionKind.CREATE_SUBSCRIPTION:
                    # `recognise` looked for our mark already: an id is remembered if it is there.
                    service = _service(memory, intent.service)
                    done = service is not None and service.made
                case ActionKind.CREATE_WEBSITE:
                    memory, done = await self._interrupted_website(memory, intent)
                case ActionKind.SUSPEND:
                    memory, done = await self._interrupted_suspension(memory, actual, intent)
                case ActionKind.HARD_DELETE:
                    memory, done = await self._interrupted_wipe(memory, actual, intent)
                case ActionKind.RESUME | ActionKind.CHANGE_PLAN | ActionKind.TERMINATE:
                    memory, done = await self._interrupted_change(memory, actual, intent)
                case _:
                    done = False
            if not done and intent.kind not in SETTLE:
                # Safe to repeat; whether it is needed shows in what the panel has.
                await self._close(intent, done=False, error="interrupted; done again if it is still needed")
                memory = _without(memory, intent)
            elif done:
                await self._close(intent, done=True)
                memory = _without(memory, intent)
            elif now >= settles_at(intent):
                await self._close(intent, done=False, error="looked for and not found")
                memory = _without(memory, intent)
        return memory, actual

    # --- acting ---

    async def apply(self, action: Action, memory: Memory, actual: Actual) -> tuple[Memory, Actual]:
        """Make one change; memory and panel as they are afterwards.

        Raises:
            Refused: decided against; a person must act.
            Retryable: it failed, or nobody knows (the ledger says which).
        """
        service = _service(memory, action.service)
        match action.kind:
            case ActionKind.CREATE_ORG:
                return await self._create_org(action, memory), actual
            case ActionKind.CREATE_LOGIN:
                return await self._create_login(action, memory), actual
            case ActionKind.ADD_OWNER:
                return await self._add_owner(action, memory), actual
            case ActionKind.RENAME_ORG:
                return await self._rename_org(action, memory), actual
            case ActionKind.SEND_WELCOME:
                return await self._send_welcome(action, memory), actual
        assert service is not None
        match action.kind:
            case ActionKind.CREATE_SUBSCRIPTION:
                return await self._create_subscription(action, memory, service)
            case ActionKind.CREATE_WEBSITE:
                return await self._create_website(action, memory, service), actual
            case ActionKind.CHANGE_PLAN:
                return await self._change_plan(action, memory, actual, service)
            case ActionKind.MARK:
                return await self._mark(action, memory, service)
            case ActionKind.SUSPEND | ActionKind.RESUME | ActionKind.TERMINATE:
                return await self._switch(action, memory, service)
        raise AssertionError(action.kind)

    async def _create_org(self, action: Action, memory: Memory) -> Memory:
        name = str(action.details["name"])
        async with self._step(action) as step:
            org_id = await step.send(self._enhance.create_org(name))
            memory = replace(memory, org_id=org_id, org_name=name)
            await self._remember(memory)
            step.after = {"org_id": org_id}
        return memory

    async def _create_login(self, action: Action, memory: Memory) -> Memory:
        assert memory.org_id is not None and self._pass.payer.email is not None
        async with self._step(action) as step:
            email = self._pass.payer.email
            login_id = await step.send(self._enhance.create_login(memory.org_id, email, clean_name(self._pass.payer)))
            memory = replace(memory, login_id=login_id)
            await self._remember(memory)
            step.after = {"login_id": login_id}
        return memory

    async def _add_owner(self, action: Action, memory: Memory) -> Memory:
        assert memory.org_id is not None and memory.login_id is not None
        async with self._step(action) as step:
            member_id = await step.send(self._enhance.add_owner(memory.org_id, memory.login_id))
            memory = replace(memory, member_id=member_id)
            await self._remember(memory)
            step.after = {"member_id": member_id}
        return memory

    async def _rename_org(self, action: Action, memory: Memory) -> Memory:
        assert memory.org_id is not None
        async with self._step(action) as step:
            name = str(action.details["name"])
            await step.send(self._enhance.rename_org(memory.org_id, name))
            memory = replace(memory, org_name=name)
            await self._remember(memory)
        return memory

    async def _send_welcome(self, action: Action, memory: Memory) -> Memory:
        assert self._pass.payer.email is not None
        async with self._step(action) as step:
            await step.send(self._enhance.send_recovery(self._pass.payer.email))
            memory = replace(memory, welcomed=True)
            await self._remember(memory)
        return memory

    async def _create_subscription(self, action: Action, memory: Memory, service: Service) -> tuple[Memory, Actual]:
        assert memory.org_id is not None
        plan = await self._enhance.plan(str(action.details["plan"]))
        name = str(action.details["friendly_name"])
        async with self._step(action) as step:
            number = await step.send(self._enhance.create_subscription(memory.org_id, plan.id, name))
            made = replace(
                service,
                panel_subscription_id=number,
                panel_plan_id=plan.id,
                plan=str(action.details["plan"]),
                state=ServiceState.LIVE,
            )
            memory = await self._remember_service(memory, made)
            step.after = {"panel_subscription_id": number, "plan_id": plan.id}
        actual = await self.look(memory)
        found = next((s for s in actual.subscriptions if s.id == number and not s.deleted), None)
        await self._verify(step, found is not None and found.plan_id == plan.id, {"seen": found and found.plan_name})
        return memory, actual

    async def _change_plan(
        self, action: Action, memory: Memory, actual: Actual, service: Service
    ) -> tuple[Memory, Actual]:
        assert memory.org_id is not None and service.panel_subscription_id is not None
        wanted = str(action.details["plan"])
        plan = await self._enhance.plan(wanted)
        number = service.panel_subscription_id
        before = next(s for s in actual.subscriptions if s.id == number)
        if _over(before.resources, plan.resources) or _smaller(before.resources, plan.resources):
            # What the panel shows was counted some time ago: too low as well as too high.
            fresh = await self._enhance.usage(memory.org_id, number)
            if over := _over(fresh, plan.resources):
                raise Refused("downgrade_blocked", f"{service.key} does not fit into plan {plan.name}: {over}")
        async with self._step(action, before={"plan_id": before.plan_id, "plan": before.plan_name}) as step:
            await step.send(self._enhance.change_plan(memory.org_id, number, plan.id))
            memory = await self._remember_service(memory, replace(service, plan=wanted, panel_plan_id=plan.id))
            step.after = {"plan_id": plan.id, "plan": plan.name}
        actual = await self.look(memory)
        found = next((s for s in actual.subscriptions if s.id == number), None)
        await self._verify(step, found is not None and found.plan_id == plan.id, {"seen": found and found.plan_name})
        return memory, actual

    async def _mark(self, action: Action, memory: Memory, service: Service) -> tuple[Memory, Actual]:
        """Put our mark back into a name that somebody changed, and leave the rest of the name as it is."""
        assert memory.org_id is not None and service.panel_subscription_id is not None
        name = str(action.details["friendly_name"])
        async with self._step(action) as step:
            await step.send(self._enhance.name_subscription(memory.org_id, service.panel_subscription_id, name))
        actual = await self.look(memory)
        found = next((s for s in actual.subscriptions if s.id == service.panel_subscription_id), None)
        await self._verify(step, found is not None and found.friendly_name == name, {})
        return memory, actual

    async def _switch(self, action: Action, memory: Memory, service: Service) -> tuple[Memory, Actual]:
        """Suspend, resume or terminate, then look: who the panel says suspended it is how we know it as ours."""
        assert memory.org_id is not None and service.panel_subscription_id is not None
        number = service.panel_subscription_id
        async with self._step(action, before={"holds": sorted(service.holds), "state": service.state}) as step:
            # Looking and remembering belong to the step: while they fail its intent stays open, and a suspension
            # that is found later is known as ours.
            match action.kind:
                case ActionKind.SUSPEND:
                    await step.send(self._enhance.suspend(memory.org_id, number))
                case ActionKind.RESUME:
                    await step.send(self._enhance.resume(memory.org_id, number))
                case _:
                    await step.send(self._enhance.terminate(memory.org_id, number))
            actual = await self.look(memory)
            found = next((s for s in actual.subscriptions if s.id == number), None)
            match action.kind:
                case ActionKind.SUSPEND:
                    seen = found is not None and found.suspended_by is not None
                    by = found.suspended_by if found else None
                    changed = replace(service, suspended_by=by, state=ServiceState.SUSPENDED)
                case ActionKind.RESUME:
                    seen = found is not None and found.suspended_by is None
                    changed = replace(service, suspended_by=None, state=ServiceState.LIVE)
                case _:
                    seen = found is None or found.deleted
                    changed = replace(service, state=ServiceState.TERMINATED)
            if seen:
                memory = await self._remember_service(memory, changed)
        await self._verify(step, seen, {"suspended_by": found and found.suspended_by})
        return memory, actual

    async def _create_website(self, action: Action, memory: Memory, service: Service) -> Memory:
        """Create the website, one at a time over all processes; what exists already is taken over if it is ours."""
        assert memory.org_id is not None and service.panel_subscription_id is not None and service.domain is not None
        await self._turn()
        try:
            found = await self._free_domain(memory.org_id, service)
            if found is None:
                group = action.details.get("server_group")
                async with self._step(action) as step:
                    try:
                        found = await step.send(
                            self._enhance.create_website(
                                memory.org_id,
                                service.panel_subscription_id,
                                service.domain,
                                str(group) if group else None,
                            )
                        )
                    except Conflict:  # somebody was faster: they or we, an hour ago
                        found = await self._free_domain(memory.org_id, service)
                        if found is None:
                            raise
                    memory = await self._remember_service(memory, replace(service, website_id=found))
                    step.after = {"website_id": found, "domain": service.domain}
                return memory
            return await self._remember_service(memory, replace(service, website_id=found))
        finally:
            await due.give_back_lease(self._db, "website", self._pass.lease_id)

    async def _turn(self) -> None:
        end = asyncio.get_running_loop().time() + WEBSITE_PATIENCE
        while not await due.take_turn(self._db, "website", self._pass.lease_id, WEBSITE_LEASE):
            if asyncio.get_running_loop().time() > end:
                raise Waiting("another website is being created", why="website_turn", again=TURN)
            await asyncio.sleep(0.25)

    async def _free_domain(self, org_id: str, service: Service) -> str | None:
        """`None` when the domain is free; the id of our own website when it exists already.

        Raises:
            Refused: somebody else has it, a deleted site reserves it, or the panel prohibits it.
        """
        assert service.domain is not None
        status, website_id = await self._enhance.check_domain(org_id, service.domain)
        domain = service.domain
        match status:
            case "notInUse":
                return None
            case "inUseCurrentOrg" if website_id is not None:
                website = await self._enhance.website(org_id, website_id)
                if website.subscription_id == service.panel_subscription_id and not website.deleted:
                    return website.id
                raise Refused("domain_in_use", f"{domain} is a website of this customer under another subscription")
            case "inUseDeletedSite":
                raise Refused(
                    "domain_reserved", f"{domain} belongs to a deleted website; purge or restore it in the panel"
                )
            case "prohibited":
                raise Refused(
                    "domain_prohibited", f"the panel does not allow {domain}; change metadata.domain in Stripe"
                )
            case _:
                raise Refused("domain_in_use", f"{domain} is in use elsewhere in the panel; change metadata.domain")

    # --- what became of an interrupted action ---

    async def _interrupted_org(self, memory: Memory, intent: Intent) -> tuple[Memory, bool]:
        if memory.org_id is None:
            found = await self._enhance.find_org(f"[{memory.customer_id}]", intent.at)
            if found is None:
                return memory, False
            memory = replace(memory, org_id=found.id, org_name=marked_name(self._pass.payer))
            await self._remember(memory)
        return memory, True

    async def _interrupted_website(self, memory: Memory, intent: Intent) -> tuple[Memory, bool]:
        service = _service(memory, intent.service)
        if service is None or memory.org_id is None or service.domain is None:
            return memory, False
        if service.website_id is None:
            try:
                found = await self._free_domain(memory.org_id, service)
            except Refused:  # told again, and parked, when it is tried again
                return memory, False
            if found is None:
                return memory, False
            memory = await self._remember_service(memory, replace(service, website_id=found))
        return memory, True

    async def _interrupted_suspension(self, memory: Memory, actual: Actual, intent: Intent) -> tuple[Memory, bool]:
        service = _service(memory, intent.service)
        found = next((s for s in actual.subscriptions if service and s.id == service.panel_subscription_id), None)
        if service is None or found is None or found.suspended_by is None:
            return memory, False
        if service.suspended_by != found.suspended_by:
            changed = replace(
                service, suspended_by=found.suspended_by, state=ServiceState.SUSPENDED, panel_suspended=False
            )
            memory = await self._remember_service(memory, changed)
        return memory, True

    async def _interrupted_change(self, memory: Memory, actual: Actual, intent: Intent) -> tuple[Memory, bool]:
        """Resumed, moved or deleted, as the panel shows it: then that is remembered as if its answer had come."""
        service = _service(memory, intent.service)
        if service is None or not service.made:
            return memory, False
        found = next((s for s in actual.subscriptions if s.id == service.panel_subscription_id), None)
        changed = service
        match intent.kind:
            case ActionKind.RESUME:
                done = found is not None and found.suspended_by is None
            case ActionKind.CHANGE_PLAN:
                done = found is not None and intent.plan is not None and on_plan(found, intent.plan)
                changed = replace(service, plan=intent.plan)
            case _:
                done = found is None or found.deleted
                changed = replace(service, state=ServiceState.TERMINATED)
        if done and changed != service:
            memory = await self._remember_service(memory, changed)
        return memory, done

    async def _interrupted_wipe(self, memory: Memory, actual: Actual, intent: Intent) -> tuple[Memory, bool]:
        service = _service(memory, intent.service)
        if service is None or any(s.id == service.panel_subscription_id for s in actual.subscriptions):
            return memory, False
        return await self._remember_service(memory, replace(service, state=ServiceState.TERMINATED)), True

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
        await ledger.record(self._db, [fact, replace(fact, state="verified")] if done else [fact])

    # --- memory and ledger ---

    async def _remember(self, memory: Memory) -> None:
        lease = self._pass.lease_id
        await memories.remember_customer(self._db, memory, lease, livemode=self._pass.settings.livemode)

    async def _remember_service(self, memory: Memory, service: Service) -> Memory:
        await memories.remember_services(self._db, memory, [service], self._pass.lease_id)
        return replace(memory, services=tuple(service if s.key == service.key else s for s in memory.services))

    def _step(self, action: Action, before: Mapping[str, Any] | None = None) -> Step:
        fact = ledger.Fact(
            str(uuid4()),
            "intent",
            action.kind,
            self._pass.payer.id,
            action.service,
            rule=action.rule,
            before=before,
            facts=truth_behind(self._pass.payer, action.service)
            | {k: v for k, v in action.details.items() if k != "name"},
            pass_id=self._pass.id,
            actor=self._pass.actor,
        )
        return Step(self._db, fact, self._pass)

    async def _verify(self, step: Step, seen: bool, facts: Mapping[str, Any]) -> None:
        """Record that the change was read back.

        Raises:
            Unavailable: the panel said yes and does not show it; the next pass looks again.
        """
        if not seen:
            raise Unavailable(f"the panel accepted {step.fact.kind} and does not show it")
        await ledger.record(self._db, [replace(step.fact, state="verified", before=None, after=facts, facts=None)])


def _smaller(present: tuple[Resource, ...], plan: tuple[Resource, ...]) -> bool:
    """Whether a plan allows less of anything than what is there now."""
    limits = {r.name: r.total for r in plan if r.total is not None}
    return any(r.name in limits and (r.total is None or r.total > limits[r.name]) for r in present)


def _over(used: tuple[Resource, ...], plan: tuple[Resource, ...]) -> str:
    """Which resources are used beyond what a plan allows, with the numbers; empty when it fits."""
    limits = {r.name: r.total for r in plan if r.total is not None}
    over = [(r.name, r.usage, limits[r.name]) for r in used if r.name in limits and r.usage > limits[r.name]]
    return ", ".join(f"{name} {usage} of {limit}" for name, usage, limit in over)


def _service(memory: Memory, key: ServiceKey | None) -> Service | None:
    return next((s for s in memory.services if s.key == key), None)


def _without(memory: Memory, intent: Intent) -> Memory:
    return replace(memory, intents=tuple(i for i in memory.intents if i.action_id != intent.action_id))
