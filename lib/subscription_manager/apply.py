"""One action in the panel: intent first, then the call, then what it told us, remembered before it is called applied.

A crash anywhere leaves either nothing, or an intent whose effect `Interrupted` looks for before anything is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from lib.database import due, ledger
from lib.errors import Conflict, Refused, Unavailable
from lib.model import Action, ActionKind, Actual, Memory, PanelPlan, Resource, Service, ServiceState
from lib.policy import clean_name, may_be_over, over
from lib.subscription_manager.panel import Panel, service_of
from lib.subscription_manager.step import Step, Waiting, truth_behind

WEBSITE_LEASE = timedelta(seconds=120)
"""Longer than the slowest website call, so that a living process never loses it half-way."""

TURN = timedelta(seconds=5)
"""When to come back for a turn at what is done one at a time."""

WEBSITE_PATIENCE = 15.0
"""Seconds that a pass waits for its turn to create a website, before it lets another customer have its place."""


class Applier:
    """Applies actions for one pass; refuses what can't be: a plan that is missing or too small, a domain in use."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._enhance = panel.enhance
        self._db = panel.db
        self._pass = panel.current

    async def apply(self, action: Action, memory: Memory, actual: Actual) -> tuple[Memory, Actual]:
        """Make one change; memory and panel as they are afterwards.

        Raises:
            Refused: decided against; a person must act.
            Retryable: it failed, or nobody knows (the ledger says which).
        """
        service = service_of(memory, action.service)
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

    async def foresee(self, action: Action, memory: Memory, actual: Actual) -> None:
        """Be refused as `apply` would be, as far as that shows without asking the panel to count or check anything.

        Usage is what the panel shows, which may be old; two websites of one domain that are both still to be made are
        not compared.

        Raises:
            Refused: `apply` would be, with the same reason. Retryable: it can't be seen just now.
        """
        service = service_of(memory, action.service)
        match action.kind:
            case ActionKind.CREATE_SUBSCRIPTION:
                await self._enhance.plan(str(action.details["plan"]))
            case ActionKind.CHANGE_PLAN:
                assert service is not None
                plan = await self._enhance.plan(str(action.details["plan"]))
                shown = next(s for s in actual.subscriptions if s.id == service.panel_subscription_id)
                _refuse_excess(service, shown.resources, plan)
            case ActionKind.CREATE_WEBSITE:
                assert service is not None
                await self._panel.foresee_website(service)

    async def _create_org(self, action: Action, memory: Memory) -> Memory:
        name = str(action.details["name"])
        async with self._step(action) as step:
            org_id = await step.send(self._enhance.create_org(name))
            memory = replace(memory, org_id=org_id, org_name=name)
            await self._panel.remember(memory)
            step.after = {"org_id": org_id}
        return memory

    async def _create_login(self, action: Action, memory: Memory) -> Memory:
        assert memory.org_id is not None and self._pass.payer.email is not None
        async with self._step(action) as step:
            email = self._pass.payer.email
            login_id = await step.send(self._enhance.create_login(memory.org_id, email, clean_name(self._pass.payer)))
            memory = replace(memory, login_id=login_id)
            await self._panel.remember(memory)
            step.after = {"login_id": login_id}
        return memory

    async def _add_owner(self, action: Action, memory: Memory) -> Memory:
        assert memory.org_id is not None and memory.login_id is not None
        async with self._step(action) as step:
            member_id = await step.send(self._enhance.add_owner(memory.org_id, memory.login_id))
            memory = replace(memory, member_id=member_id)
            await self._panel.remember(memory)
            step.after = {"member_id": member_id}
        return memory

    async def _rename_org(self, action: Action, memory: Memory) -> Memory:
        assert memory.org_id is not None
        async with self._step(action) as step:
            name = str(action.details["name"])
            await step.send(self._enhance.rename_org(memory.org_id, name))
            memory = replace(memory, org_name=name)
            await self._panel.remember(memory, named=True)
        return memory

    async def _send_welcome(self, action: Action, memory: Memory) -> Memory:
        assert self._pass.payer.email is not None
        async with self._step(action) as step:
            await step.send(self._enhance.send_recovery(self._pass.payer.email))
            memory = replace(memory, welcomed=True)
            await self._panel.remember(memory)
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
            memory = await self._panel.remember_service(memory, made)
            step.after = {"panel_subscription_id": number, "plan_id": plan.id}
        actual = await self._panel.look(memory)
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
        if may_be_over(before.resources, plan.resources):
            _refuse_excess(service, await self._enhance.usage(memory.org_id, number), plan)
        async with self._step(action, before={"plan_id": before.plan_id, "plan": before.plan_name}) as step:
            await step.send(self._enhance.change_plan(memory.org_id, number, plan.id))
            memory = await self._panel.remember_service(memory, replace(service, plan=wanted, panel_plan_id=plan.id))
            step.after = {"plan_id": plan.id, "plan": plan.name}
        actual = await self._panel.look(memory)
        found = next((s for s in actual.subscriptions if s.id == number), None)
        await self._verify(step, found is not None and found.plan_id == plan.id, {"seen": found and found.plan_name})
        return memory, actual

    async def _mark(self, action: Action, memory: Memory, service: Service) -> tuple[Memory, Actual]:
        """Put our mark back into a name that somebody changed, and leave the rest of the name as it is."""
        assert memory.org_id is not None and service.panel_subscription_id is not None
        name = str(action.details["friendly_name"])
        async with self._step(action) as step:
            await step.send(self._enhance.name_subscription(memory.org_id, service.panel_subscription_id, name))
        actual = await self._panel.look(memory)
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
            actual = await self._panel.look(memory)
            found = next((s for s in actual.subscriptions if s.id == number), None)
            by = found.suspended_by if found else None
            match action.kind:
                case ActionKind.SUSPEND:
                    if by is None:
                        raise _not_shown(step)  # inside the step: the intent stays open, and it is ours when it shows
                    # Whatever name that is. The panel may come to call us otherwise, and somebody who was quicker by
                    # less than a second can't be told from that; who has paid must not stay off over it.
                    seen, changed = True, replace(service, suspended_by=by, state=ServiceState.SUSPENDED)
                case ActionKind.RESUME:
                    seen = found is not None and found.suspended_by is None
                    changed = replace(service, suspended_by=None, state=ServiceState.LIVE)
                case _:
                    seen = found is None or found.deleted
                    changed = replace(service, state=ServiceState.TERMINATED)
            if seen:
                memory = await self._panel.remember_service(memory, changed)
        token = {"token": self._pass.token_id} if by is not None else {}
        await self._verify(step, seen, {"suspended_by": by, **token})
        return memory, actual

    async def _create_website(self, action: Action, memory: Memory, service: Service) -> Memory:
        """Create the website, one at a time over all processes; what exists already is taken over if it is ours."""
        assert memory.org_id is not None and service.panel_subscription_id is not None and service.domain is not None
        await self._turn()
        try:
            found = await self._panel.find_website(memory.org_id, service)
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
                        found = await self._panel.find_website(memory.org_id, service)
                        if found is None:
                            raise
                    memory = await self._panel.remember_service(memory, replace(service, website_id=found))
                    step.after = {"website_id": found, "domain": service.domain}
                return memory
            return await self._panel.remember_service(memory, replace(service, website_id=found))
        finally:
            await due.give_back_lease(self._db, "website", self._pass.lease_id)

    async def _turn(self) -> None:
        end = asyncio.get_running_loop().time() + WEBSITE_PATIENCE
        while not await due.take_turn(self._db, "website", self._pass.lease_id, WEBSITE_LEASE):
            if asyncio.get_running_loop().time() > end:
                raise Waiting("another website is being created", why="website_turn", again=TURN)
            await asyncio.sleep(0.25)

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
            | {k: v for k, v in action.details.items() if k != "name"}
            | ({"token": self._pass.token_id} if action.kind is ActionKind.SUSPEND else {}),
            pass_id=self._pass.id,
            actor=self._pass.actor,
        )
        return Step(self._db, fact, self._pass.lease_id, self._pass.settings)

    async def _verify(self, step: Step, seen: bool, facts: Mapping[str, Any]) -> None:
        """Record that the change was read back.

        Raises:
            Unavailable: the panel said yes and does not show it; the next pass looks again.
        """
        if not seen:
            raise _not_shown(step)
        await ledger.record(self._db, [replace(step.fact, state="verified", before=None, after=facts, facts=None)])


def _not_shown(step: Step) -> Unavailable:
    return Unavailable(f"the panel accepted {step.fact.kind} and does not show it")


def _refuse_excess(service: Service, used: tuple[Resource, ...], plan: PanelPlan) -> None:
    if excess := over(used, plan.resources):
        raise Refused("downgrade_blocked", f"{service.key} does not fit into plan {plan.name}: {excess}")
