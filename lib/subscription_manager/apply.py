"""One action in the panel: intent first, then the call, then what it told us, remembered before it is called applied.

A crash anywhere leaves either nothing, or an intent whose effect `Interrupted` looks for before anything is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lib.database import leases, ledger
from lib.errors import Conflict, Incomplete, NotFound, Refused, Unavailable
from lib.model import (
    Action,
    ActionKind,
    Actual,
    AddOwner,
    ChangePlan,
    CreateLogin,
    CreateOrg,
    CreateSubscription,
    CreateWebsite,
    CustomerAction,
    Given,
    Mark,
    Memory,
    MoveWebsite,
    PanelPlan,
    RenameOrg,
    Resource,
    Resume,
    SendWelcome,
    Service,
    Suspend,
    Terminate,
)
from lib.policy import WAITED_FOR, clean_name, may_be_over, over, uncounted, with_service
from lib.subscription_manager import moving
from lib.subscription_manager.panel import Panel, awaited_in, holder_of, refuse_keeping
from lib.subscription_manager.step import Step, Waiting, truth_behind

if TYPE_CHECKING:
    from lib.enhance_client import Website

WEBSITE_LEASE = timedelta(seconds=120)
"""Longer than the slowest website call, so that a living process never loses it half-way."""

TURN = timedelta(seconds=5)
"""When to come back for a turn at what is done one at a time."""

DELETION_WAITS = timedelta(days=1)
"""When to look again whether hosting may be deleted; what frees it makes the customer due besides."""

WEBSITE_PATIENCE = 15.0
"""Seconds that a pass waits for its turn to create a website, before it lets another customer have its place."""

_IDS = {ActionKind.CREATE_ORG: "org_id", ActionKind.CREATE_LOGIN: "login_id", ActionKind.ADD_OWNER: "member_id"}


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
        match action:
            case CreateOrg() | CreateLogin() | AddOwner() | RenameOrg() | SendWelcome():
                return await self._change_customer(action, memory), actual
        service = memory.service(action.service)
        match action:
            case CreateSubscription():
                return await self._create_subscription(action, memory)
            case CreateWebsite():
                return await self._create_website(action, memory, actual, service), actual
            case MoveWebsite():
                return await self._move_website(action, memory, actual, service), actual
            case ChangePlan():
                return await self._change_plan(action, memory, actual, service)
            case Mark():
                return await self._mark(action, memory, service)
            case Suspend() | Resume() | Terminate():
                return await self._switch(action, memory, service)
        raise AssertionError(action.kind)

    async def foresee(self, action: Action, memory: Memory, actual: Actual) -> None:
        """Be refused as `apply` would be, as far as that shows without asking the panel to count or check anything.

        Usage is what the panel shows, which may be old; two websites of one domain that are both still to be made are
        not compared.

        Raises:
            Refused: `apply` would be, with the same reason. Retryable: it can't be seen just now.
        """
        match action:
            case CreateSubscription(plan=wanted):
                await self._enhance.plan(wanted)
            case ChangePlan(service=key, plan=wanted):
                plan, service = await self._enhance.plan(wanted), memory.service(key)
                shown = next(s for s in actual.subscriptions if s.id == service.panel_subscription_id)
                _refuse_excess(service, shown.resources, plan)
            case CreateWebsite(service=key):
                await self._panel.foresee_website(memory, memory.service(key))
            case MoveWebsite():
                await self._foresee_move(action, memory, actual)

    async def _change_customer(self, action: CustomerAction, memory: Memory) -> Memory:
        async with self._step(action) as step:
            given = await step.send(self._call(action, memory))
            memory = await self._panel.take_in(memory, action, given)
            step.after = {_IDS[action.kind]: given.id} if given.id is not None else None
        return memory

    async def _call(self, action: CustomerAction, memory: Memory) -> Given:
        payer, enhance = self._pass.payer, self._enhance
        if isinstance(action, CreateOrg):
            return Given(id=await enhance.create_org(action.name))
        assert memory.org_id is not None
        match action:
            case CreateLogin():
                assert payer.email is not None
                return Given(id=await enhance.create_login(memory.org_id, payer.email, clean_name(payer, memory)))
            case AddOwner():
                assert memory.login_id is not None
                return Given(id=await enhance.add_owner(memory.org_id, memory.login_id))
            case RenameOrg(name=name):
                await enhance.rename_org(memory.org_id, name)
            case SendWelcome():
                assert payer.email is not None
                await enhance.send_recovery(payer.email)
        return Given()

    async def _create_subscription(self, action: CreateSubscription, memory: Memory) -> tuple[Memory, Actual]:
        assert memory.org_id is not None
        plan = await self._enhance.plan(action.plan)
        async with self._step(action) as step:
            number = await step.send(self._enhance.create_subscription(memory.org_id, plan.id, action.friendly_name))
            given = Given(number=number, plan_id=plan.id, at=self._pass.payer.as_of)
            memory = await self._panel.take_in(memory, action, given)
            step.after = {"panel_subscription_id": number, "plan_id": plan.id}
        actual = await self._panel.look(memory)
        found = next((s for s in actual.subscriptions if s.id == number and not s.deleted), None)
        await self._verify(step, found is not None and found.plan_id == plan.id, {"seen": found and found.plan_name})
        return memory, actual

    async def _change_plan(
        self, action: ChangePlan, memory: Memory, actual: Actual, service: Service
    ) -> tuple[Memory, Actual]:
        assert memory.org_id is not None and service.panel_subscription_id is not None
        plan = await self._enhance.plan(action.plan)
        number = service.panel_subscription_id
        before = next(s for s in actual.subscriptions if s.id == number)
        if may_be_over(before.resources, plan.resources):
            used = await self._enhance.usage(memory.org_id, number)
            if missing := uncounted(used, before.resources, plan.resources):
                raise Incomplete(f"the panel counted the use of {service.key} without {missing}")
            _refuse_excess(service, used, plan)
        async with self._step(action, before={"plan_id": before.plan_id, "plan": before.plan_name}) as step:
            await step.send(self._enhance.change_plan(memory.org_id, number, plan.id))
            given = Given(plan_id=plan.id, at=self._pass.payer.as_of)
            memory = await self._panel.take_in(memory, action, given)
            step.after = {"plan_id": plan.id, "plan": plan.name}
        actual = await self._panel.look(memory)
        found = next((s for s in actual.subscriptions if s.id == number), None)
        await self._verify(step, found is not None and found.plan_id == plan.id, {"seen": found and found.plan_name})
        return memory, actual

    async def _mark(self, action: Mark, memory: Memory, service: Service) -> tuple[Memory, Actual]:
        assert memory.org_id is not None and service.panel_subscription_id is not None
        name = action.friendly_name
        async with self._step(action) as step:
            await step.send(self._enhance.name_subscription(memory.org_id, service.panel_subscription_id, name))
        actual = await self._panel.look(memory)
        found = next((s for s in actual.subscriptions if s.id == service.panel_subscription_id), None)
        await self._verify(step, found is not None and found.friendly_name == name, {})
        return memory, actual

    async def _switch(
        self, action: Suspend | Resume | Terminate, memory: Memory, service: Service
    ) -> tuple[Memory, Actual]:
        """Suspend, resume or terminate, then look: who the panel says suspended it is how we know it as ours."""
        assert memory.org_id is not None and service.panel_subscription_id is not None
        number = service.panel_subscription_id
        if isinstance(action, Terminate) and action.awaited:
            found_there = await awaited_in(self._enhance, memory.org_id, number, action.awaited)
            if found_there:
                said = f"{service.key} is not deleted while another purchase waits for {found_there}, which is in it"
                raise Waiting(said, why=WAITED_FOR, again=DELETION_WAITS)
        async with self._step(action, before={"holds": sorted(service.holds), "state": service.state}) as step:
            # Looking and remembering belong to the step: while they fail its intent stays open, and a suspension
            # that is found later is known as ours.
            match action:
                case Suspend():
                    await step.send(self._enhance.suspend(memory.org_id, number))
                case Resume():
                    await step.send(self._enhance.resume(memory.org_id, number))
                case Terminate():
                    await step.send(self._enhance.terminate(memory.org_id, number))
            actual = await self._panel.look(memory)
            found = next((s for s in actual.subscriptions if s.id == number), None)
            by = found.suspended_by if found else None
            match action:
                case Suspend():
                    if by is None:
                        raise _not_shown(step)  # inside the step: the intent stays open, and it is ours when it shows
                    # Whatever name that is. The panel may come to call us otherwise, and somebody who was quicker by
                    # less than a second can't be told from that; who has paid must not stay off over it.
                    seen = True
                case Resume():
                    seen = found is not None and found.suspended_by is None
                case Terminate():
                    seen = found is None or found.deleted
            if seen:
                memory = await self._panel.take_in(memory, action, Given(suspended_by=by))
        token = {"token": self._pass.token_id} if by is not None else {}
        await self._verify(step, seen, {"suspended_by": by, **token})
        return memory, actual

    async def _create_website(self, action: CreateWebsite, memory: Memory, actual: Actual, service: Service) -> Memory:
        """Create the website, one at a time over all processes; what exists already is taken over if it is theirs."""
        assert memory.org_id is not None and service.panel_subscription_id is not None
        await self._turn()
        try:
            found = await self._panel.find_website(memory, service)
            if found is not None:
                return await self._take_over(action, memory, actual, found)
            where = memory.org_id, service.panel_subscription_id
            async with self._step(action) as step:
                try:
                    website_id = await step.send(
                        self._enhance.create_website(*where, action.domain, action.server_group)
                    )
                except Conflict:  # somebody was faster: they or we, an hour ago
                    found = await self._panel.find_website(memory, service)
                    if found is None or found.subscription_id != service.panel_subscription_id:
                        raise
                    website_id = found.id
                memory = await self._panel.take_in(memory, action, Given(id=website_id))
                step.after = {"website_id": website_id, "domain": action.domain}
            return memory
        finally:
            await leases.give_back(self._db, "website", self._pass.lease_id)

    async def _move_website(self, action: MoveWebsite, memory: Memory, actual: Actual, service: Service) -> Memory:
        """Fetch the website of an ended service, wherever it is by now; what is not to be had is not sought again."""
        source = memory.service(action.source)
        assert memory.org_id is not None and source.website_id is not None
        try:
            website = await self._enhance.website(memory.org_id, source.website_id)
        except NotFound:
            return await self._correct(memory, replace(source, website_id=None))
        if website.domain != service.domain and not website.deleted:
            found = await self._panel.find_website(memory, service)
            if found is None or found.id != website.id:  # its owner gave it another domain
                return await self._correct(memory, replace(source, domain=website.domain))
        refuse_keeping(memory, service, website)
        return await self._take_over(action, memory, actual, website)

    async def _correct(self, memory: Memory, service: Service) -> Memory:
        """Remember of a service what turned out to be otherwise."""
        await self._panel.remember_services(memory, [service])
        return with_service(memory, service)

    async def _take_over(
        self, action: CreateWebsite | MoveWebsite, memory: Memory, actual: Actual, website: Website
    ) -> Memory:
        """Make a website of this customer the one of a service: moved out of an ended one, if it is not there yet."""
        service = memory.service(action.service)
        assert memory.org_id is not None and service.panel_subscription_id is not None
        number = service.panel_subscription_id
        source = holder_of(memory, website)
        if website.subscription_id == number or source is None:
            return await self._panel.take_in(memory, action, Given(id=website.id))
        old = source.panel_subscription_id
        assert service.domain is not None
        move = MoveWebsite("win_back", service.key, service.domain, website.id, source.key, old, number)
        await moving.refuse_excess(self._panel, await self._counted(memory, actual, source), source, service, website)
        async with self._step(move, before={"panel_subscription_id": old}) as step:
            await step.send(self._enhance.move_website(memory.org_id, website.id, number))
            website = await self._enhance.website(memory.org_id, website.id)
            if website.subscription_id != number:
                raise _not_shown(step)  # inside the step: the intent stays open, and the next pass looks for it
            website = await moving.switch_on(self._panel, memory, source, website)
            memory = await self._panel.take_in(memory, move, Given(id=website.id))
            step.after = {**move.details, "panel_subscription_id": number}
        await self._verify(step, True, {"panel_subscription_id": number, "off": website.off})
        return memory

    async def _foresee_move(self, action: MoveWebsite, memory: Memory, actual: Actual) -> None:
        source, service = memory.service(action.source), memory.service(action.service)
        assert memory.org_id is not None and source.website_id is not None
        website = await self._enhance.website(memory.org_id, source.website_id)
        refuse_keeping(memory, service, website)
        await moving.refuse_excess(self._panel, actual, source, service, website)

    async def _counted(self, memory: Memory, actual: Actual, source: Service) -> Actual:
        """The panel's side with the usage of `source` counted afresh, if the panel counts what is suspended."""
        assert memory.org_id is not None and source.panel_subscription_id is not None
        try:
            used = await self._enhance.usage(memory.org_id, source.panel_subscription_id)
        except Refused:
            return actual
        subscriptions = [
            replace(s, resources=used) if s.id == source.panel_subscription_id else s for s in actual.subscriptions
        ]
        return replace(actual, subscriptions=tuple(subscriptions))

    async def _turn(self) -> None:
        end = asyncio.get_running_loop().time() + WEBSITE_PATIENCE
        while not await leases.take_turn(self._db, "website", self._pass.lease_id, WEBSITE_LEASE):
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
            | ({"token": self._pass.token_id} if isinstance(action, Suspend) else {}),
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
