"""One action in the panel: intent first, then the call, then what it told us, remembered before it is called applied.

A crash anywhere leaves either nothing, or an intent whose effect `Interrupted` looks for before anything is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lib.config import Settings
from lib.database import leases, ledger
from lib.database.journal import Journal
from lib.errors import Conflict, Incomplete, NotFound, Refused, Unavailable
from lib.model import (
    Action,
    ActionKind,
    Actual,
    AddOwner,
    Catalogue,
    ChangePlan,
    CreateLogin,
    CreateOrg,
    CreateSubscription,
    CreateWebsite,
    CustomerAction,
    Facts,
    Given,
    Mandate,
    Mark,
    Memory,
    MoveWebsite,
    Outcome,
    PanelSubscription,
    RenameOrg,
    Resume,
    SendWelcome,
    Service,
    Suspend,
    Terminate,
)
from lib.model.reason import Rule, WaitReason
from lib.policy import clean_name, may_be_over, uncounted, with_service
from lib.structs import replace
from lib.subscription_manager import website_move
from lib.subscription_manager.conclusion import Conclusion
from lib.subscription_manager.interrupted import Interrupted
from lib.subscription_manager.memory_writer import MemoryWriter
from lib.subscription_manager.panel import Panel, awaited_in, holder_of, refuse_excess, refuse_keeping
from lib.subscription_manager.write_ahead import Step, Waiting, token_id, truth_behind

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

WEBSITE_TRIES = 0.1
"""Seconds between tries at it: while nobody has it, nothing is created anywhere."""

WEBSITE_FRESH = 2.0
"""Seconds for which it is taken as known that a domain is free; whoever gets it meanwhile, the panel refuses it."""

_IDS = {ActionKind.CREATE_ORG: "org_id", ActionKind.CREATE_LOGIN: "login_id", ActionKind.ADD_OWNER: "member_id"}


class Live:
    """Applies the actions of one pass; refuses what can't be: a plan that is missing or too small, a domain in use."""

    live = True

    def __init__(
        self,
        panel: Panel,
        journal: Journal,
        mandate: Mandate,
        settings: Settings,
        claimed: Mapping[str, Any] | None = None,
    ) -> None:
        self._panel = panel
        self._journal = journal
        self._enhance = panel.enhance
        self._db = panel.db
        self._mandate = mandate
        self._settings = settings
        self._writer = MemoryWriter(panel.db, journal, mandate, settings, claimed)

    async def load(self, customer_id: str) -> tuple[Memory, Catalogue]:
        """The customer as the database has them, and what is sold."""
        return await self._writer.read(customer_id)

    async def save(self, memory: Memory) -> None:
        """Have written down what is to be remembered."""
        self._writer.write(memory)

    async def resolve_interrupted(self, facts: Facts, now: datetime) -> Facts:
        """Find out what became of actions that were begun and never finished."""
        interrupted = Interrupted(self._panel, self._journal, self._writer, self._mandate)
        memory, actual = await interrupted.resolve(facts.memory, facts.actual, now)
        return replace(facts, memory=memory, actual=actual)

    async def conclude(self, facts: Facts, outcome: Outcome) -> None:
        """Remember what Stripe said, for the sweep to compare with."""
        await Conclusion(self._db, self._journal, self._mandate, self._settings.policy).note(facts, outcome)

    async def apply(self, action: Action, facts: Facts) -> Facts:
        """Make one change; memory and panel as they are afterwards.

        Raises:
            Refused: decided against; a person must act.
            Retryable: it failed, or nobody knows (the ledger says which).
        """
        match action:
            case CreateOrg() | CreateLogin() | AddOwner() | RenameOrg() | SendWelcome():
                return await self._change_customer(action, facts)
            case CreateSubscription():
                return await self._create_subscription(action, facts)
            case CreateWebsite():
                return replace(facts, memory=await self._create_website(action, facts))
            case MoveWebsite():
                return replace(facts, memory=await self._move_website(action, facts))
            case ChangePlan():
                return await self._change_plan(action, facts)
            case Mark():
                return await self._mark(action, facts)
            case Suspend() | Resume() | Terminate():
                return await self._switch(action, facts)
        raise AssertionError(action.kind)

    # --- the customer ---

    async def _change_customer(self, action: CustomerAction, facts: Facts) -> Facts:
        async with self._step(action, facts) as step:
            given = await step.send(self._call(action, facts))
            memory = self._writer.remember(facts.memory, action, given)
            step.after = {_IDS[action.kind]: given.id} if given.id is not None else None
        return replace(facts, memory=memory)

    async def _call(self, action: CustomerAction, facts: Facts) -> Given:
        payer, memory, enhance = facts.payer, facts.memory, self._enhance
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

    # --- hosting ---

    async def _create_subscription(self, action: CreateSubscription, facts: Facts) -> Facts:
        org_id = facts.memory.org_id
        assert org_id is not None
        plan = await self._enhance.plan(action.plan)
        async with self._step(action, facts) as step:
            number = await step.send(self._enhance.create_subscription(org_id, plan.id, action.friendly_name))
            given = Given(number=number, plan_id=plan.id, at=facts.payer.as_of)
            memory = self._writer.remember(facts.memory, action, given)
            step.after = {"panel_subscription_id": number, "plan_id": plan.id}
        actual, found = await self._see(memory, number)
        on_plan = found is not None and not found.deleted and found.plan_id == plan.id
        self._verify(step, on_plan, {"seen": found and found.plan_name})
        return replace(facts, memory=memory, actual=actual)

    async def _change_plan(self, action: ChangePlan, facts: Facts) -> Facts:
        org_id, number = _place(facts, action)
        service, plan = facts.memory.service(action.service), await self._enhance.plan(action.plan)
        before = next(s for s in facts.actual.subscriptions if s.id == number)
        if may_be_over(before.resources, plan.resources):
            used = await self._enhance.usage(org_id, number)
            if missing := uncounted(used, before.resources, plan.resources):
                raise Incomplete(f"the panel counted the use of {service.key} without {missing}")
            refuse_excess(service, used, plan)
        async with self._step(action, facts, {"plan_id": before.plan_id, "plan": before.plan_name}) as step:
            await step.send(self._enhance.change_plan(org_id, number, plan.id))
            given = Given(plan_id=plan.id, at=facts.payer.as_of)
            memory = self._writer.remember(facts.memory, action, given)
            step.after = {"plan_id": plan.id, "plan": plan.name}
        actual, found = await self._see(memory, number)
        self._verify(step, found is not None and found.plan_id == plan.id, {"seen": found and found.plan_name})
        return replace(facts, memory=memory, actual=actual)

    async def _mark(self, action: Mark, facts: Facts) -> Facts:
        org_id, number = _place(facts, action)
        async with self._step(action, facts) as step:
            await step.send(self._enhance.name_subscription(org_id, number, action.friendly_name))
        actual, found = await self._see(facts.memory, number)
        self._verify(step, found is not None and found.friendly_name == action.friendly_name, {})
        return replace(facts, actual=actual)

    async def _switch(self, action: Suspend | Resume | Terminate, facts: Facts) -> Facts:
        """Suspend, resume or terminate, then look: who the panel says suspended it is how we know it as ours."""
        org_id, number = _place(facts, action)
        service = facts.memory.service(action.service)
        if isinstance(action, Terminate) and action.awaited:
            await self._refuse_awaited(org_id, service, number, action.awaited)
        calls = {Suspend: self._enhance.suspend, Resume: self._enhance.resume, Terminate: self._enhance.terminate}
        async with self._step(action, facts, {"holds": sorted(service.holds), "state": service.state}) as step:
            # Looking and remembering belong to the step: while they fail its intent stays open, and a suspension
            # that is found later is known as ours.
            await step.send(calls[type(action)](org_id, number))
            memory = facts.memory
            actual, found = await self._see(memory, number)
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
                memory = self._writer.remember(memory, action, Given(suspended_by=by))
        token = {"token": token_id(self._settings)} if by is not None else {}
        self._verify(step, seen, {"suspended_by": by, **token})
        return replace(facts, memory=memory, actual=actual)

    async def _refuse_awaited(self, org_id: str, service: Service, number: int, awaited: tuple[str, ...]) -> None:
        found_there = await awaited_in(self._enhance, org_id, number, awaited)
        if found_there:
            said = f"{service.key} is not deleted while another purchase waits for {found_there}, which is in it"
            raise Waiting(said, why=WaitReason.WEBSITE_WAITED_FOR, delay=DELETION_WAITS)

    # --- websites ---

    async def _create_website(self, action: CreateWebsite, facts: Facts) -> Memory:
        """Create the website, one at a time over all processes; what exists already is taken over if it is theirs."""
        memory, (org_id, number) = facts.memory, _place(facts, action)
        service = memory.service(action.service)
        found = await self._panel.find_website(memory, service)
        if found is not None:
            return await self._take_over(action, facts, found)
        waited = await self._turn()
        try:
            if waited > WEBSITE_FRESH and (found := await self._panel.find_website(memory, service)) is not None:
                return await self._take_over(action, facts, found)
            async with self._step(action, facts) as step:
                try:
                    making = self._enhance.create_website(org_id, number, action.domain, action.server_group)
                    website_id = await step.send(making)
                except Conflict:  # somebody was faster: they or we, an hour ago
                    found = await self._panel.find_website(memory, service)
                    if found is None or found.subscription_id != number:
                        raise
                    website_id = found.id
                memory = self._writer.remember(memory, action, Given(id=website_id))
                step.after = {"website_id": website_id, "domain": action.domain}
            return memory
        finally:
            self._journal.keep(leases.giving_back("website", self._journal.lease_id))

    async def _move_website(self, action: MoveWebsite, facts: Facts) -> Memory:
        """Fetch the website of an ended service, wherever it is by now; what is not to be had is not sought again."""
        memory = facts.memory
        source, service = memory.service(action.source), memory.service(action.service)
        assert memory.org_id is not None and source.website_id is not None
        try:
            website = await self._enhance.website(memory.org_id, source.website_id)
        except NotFound:
            return self._correct(memory, replace(source, website_id=None))
        if website.domain != service.domain and not website.deleted:
            found = await self._panel.find_website(memory, service)
            if found is None or found.id != website.id:  # its owner gave it another domain
                return self._correct(memory, replace(source, domain=website.domain))
        refuse_keeping(memory, service, website)
        return await self._take_over(action, facts, website)

    def _correct(self, memory: Memory, service: Service) -> Memory:
        """Remember of a service what turned out to be otherwise."""
        memory = with_service(memory, service)
        self._writer.write(memory)
        return memory

    async def _take_over(self, action: CreateWebsite | MoveWebsite, facts: Facts, website: Website) -> Memory:
        """Make a website of this customer the one of a service: moved out of an ended one, if it is not there yet."""
        memory, (org_id, number) = facts.memory, _place(facts, action)
        service, source = memory.service(action.service), holder_of(memory, website)
        if website.subscription_id == number or source is None:
            return self._writer.remember(memory, action, Given(id=website.id))
        old = source.panel_subscription_id
        assert service.domain is not None
        move = MoveWebsite(Rule.WIN_BACK, service.key, service.domain, website.id, source.key, old, number)
        await website_move.refuse_excess(self._enhance, await self._counted(facts, source), source, service, website)
        async with self._step(move, facts, {"panel_subscription_id": old}) as step:
            await step.send(self._enhance.move_website(org_id, website.id, number))
            website = await self._enhance.website(org_id, website.id)
            if website.subscription_id != number:
                raise _not_shown(step)  # inside the step: the intent stays open, and the next pass looks for it
            website = await website_move.switch_on(self._enhance, memory, source, website)
            memory = self._writer.remember(memory, move, Given(id=website.id))
            step.after = {**move.details, "panel_subscription_id": number}
        self._verify(step, True, {"panel_subscription_id": number, "off": website.off})
        return memory

    async def _counted(self, facts: Facts, source: Service) -> Actual:
        """The panel's side with the usage of `source` counted afresh, if the panel counts what is suspended."""
        actual, org_id, number = facts.actual, facts.memory.org_id, source.panel_subscription_id
        assert org_id is not None and number is not None
        try:
            used = await self._enhance.usage(org_id, number)
        except Refused:
            return actual
        counted = (replace(s, resources=used) if s.id == number else s for s in actual.subscriptions)
        return replace(actual, subscriptions=tuple(counted))

    async def _turn(self) -> float:
        """Wait for the turn to create a website; the seconds that it took."""
        began = asyncio.get_running_loop().time()
        while not await self._journal.write(leases.taking_turn("website", self._journal.lease_id, WEBSITE_LEASE)):
            if asyncio.get_running_loop().time() > began + WEBSITE_PATIENCE:
                raise Waiting("another website is being created", why=WaitReason.WEBSITE_TURN, delay=TURN)
            await asyncio.sleep(WEBSITE_TRIES)
        return asyncio.get_running_loop().time() - began

    # --- what all of them do ---

    async def _see(self, memory: Memory, number: int) -> tuple[Actual, PanelSubscription | None]:
        """The panel's side as it is now, and one hosting subscription of it."""
        actual = await self._panel.look(memory)
        return actual, next((s for s in actual.subscriptions if s.id == number), None)

    def _step(self, action: Action, facts: Facts, before: Mapping[str, Any] | None = None) -> Step:
        entry = ledger.Entry(
            str(uuid4()),
            "intent",
            action.kind,
            facts.payer.id,
            action.service,
            rule=action.rule,
            before=before,
            facts=truth_behind(facts.payer, action.service)
            | {k: v for k, v in action.details.items() if k != "name"}
            | ({"token": token_id(self._settings)} if isinstance(action, Suspend) else {}),
            pass_id=self._mandate.pass_id,
            actor=self._mandate.actor,
        )
        return Step(self._db, self._journal, entry, self._settings)

    def _verify(self, step: Step, seen: bool, facts: Mapping[str, Any]) -> None:
        """Record that the change was read back.

        Raises:
            Unavailable: the panel said yes and does not show it; the next pass looks again.
        """
        if not seen:
            raise _not_shown(step)
        entry = replace(step.entry, state="verified", before=None, after=facts, facts=None)
        self._journal.keep(ledger.recording([entry], self._journal.lease_id))


def _not_shown(step: Step) -> Unavailable:
    return Unavailable(f"the panel accepted {step.entry.kind} and does not show it")


def _place(
    facts: Facts, action: ChangePlan | CreateWebsite | Mark | MoveWebsite | Suspend | Resume | Terminate
) -> tuple[str, int]:
    """Where the hosting of an action is: its organisation, and the panel's number."""
    org_id, number = facts.memory.org_id, facts.memory.service(action.service).panel_subscription_id
    assert org_id is not None and number is not None
    return org_id, number
