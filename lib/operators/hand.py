"""The operator's hand: what is stuck and what to do about it, and every action that only a person may take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from msgspec import Struct

from lib.database import brake, customer_memory, leases, ledger, operator_edits
from lib.database.journal import Journal
from lib.database.lists import queue, timeline
from lib.errors import Declined, Denied, NotFound, Unavailable
from lib.log import get_logger
from lib.model import (
    ActionKind,
    CustomerKey,
    HardDelete,
    Hold,
    Mandate,
    Memory,
    Service,
    ServiceKey,
    ServiceState,
)
from lib.model.reason import Rule, WaitReason
from lib.model.report import PassReport
from lib.operators.undo import Inverse, inverse
from lib.policy import has_ended, with_service
from lib.structs import replace
from lib.subscription_manager.news import tell_services
from lib.subscription_manager.panel import awaited_in
from lib.subscription_manager.write_ahead import Step

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.database.connection import Connection
    from lib.operators.bodies import ReleaseBrake

log = get_logger()


class Hand(Struct, frozen=True):
    """Who does something by hand, to whom, and why."""

    actor: str
    customer_id: str
    subscription_id: str | None = None
    reason: str | None = None

    @property
    def customer(self) -> CustomerKey:
        """To whom."""
        return CustomerKey.read(self.customer_id)


async def whose(bridge: Bridge, customer_id: str | None, subscription_id: str | None) -> str:
    """The customer that is meant by either id.

    Raises:
        Declined: nobody has it, or they are not the one who has the other.
    """
    if subscription_id is not None:
        owner = await bridge.customer_of_subscription(subscription_id)
        if owner is None or customer_id not in (None, owner):
            whom = f"{customer_id} has no" if owner is not None else "Stripe does not know"
            raise Declined("unknown_subscription", f"{whom} {subscription_id}", field="subscriptionId")
        return owner
    assert customer_id is not None
    if not await bridge.knows_customer(customer_id):
        raise Declined("unknown_customer", f"Stripe does not know {customer_id}", field="customerId")
    return customer_id


async def listing(
    bridge: Bridge,
    *,
    state: queue.Part | None,
    reason: str | None,
    cursor: queue.Place | None,
    limit: int,
) -> tuple[list[queue.WorkRow], queue.Place | None]:
    """A page of the queue, and the key behind which the next one begins."""
    found = await queue.rows(bridge.db, state=state, reason=reason, after=cursor, limit=limit + 1)
    page = found[:limit]
    return page, queue.place_of(page[-1], state) if len(found) > limit else None


# --- what a person decides ---


async def retry(bridge: Bridge, hand: Hand) -> PassReport:
    """Run the pass now."""
    return await bridge.reconcile(hand.customer_id, actor=hand.actor)


async def release(bridge: Bridge, hand: Hand) -> PassReport:
    """Let pass what waits for a person: `double_purchase`, `never_paid`, `quantity_unusual` or `mapping_changed`.

    Raises:
        Declined: when a customer waits for several of these: one word to all might end hosting.
    """
    found = await operator_edits.held_back(bridge.db, hand.customer)
    if hand.subscription_id is None and len(found) > 1:
        detail = f"they wait for {' and '.join(sorted(found))}: name the subscription that is meant"
        raise Declined("invalid_field", detail, field="subscriptionId")

    async def edit(lease_id: str) -> None:
        note = _note(hand, "release", waited=sorted(found))
        async with _editing(bridge, hand, lease_id, note, known="quantity_unusual" in found) as editing:
            await operator_edits.release(editing.connection, hand.customer, hand.subscription_id)

    return await bridge.reconcile(hand.customer_id, actor=hand.actor, edit=edit)


async def hold(bridge: Bridge, hand: Hand) -> tuple[PassReport, dict[str, list[str]]]:
    """Suspend by an admin's word, until it is lifted; what the pass did, and which services are off by now or not."""

    async def edit(lease_id: str) -> None:
        async with _editing(bridge, hand, lease_id, _note(hand, "hold")) as editing:
            changed = await operator_edits.hold(editing.connection, hand.customer, hand.subscription_id)
            editing.before = operator_edits.noted(changed)

    report = await bridge.reconcile(hand.customer_id, actor=hand.actor, edit=edit)
    found = await operator_edits.held(bridge.db, hand.customer, hand.subscription_id)
    return report, {
        "held": [str(key) for key, off in found.items() if off],
        "not_held": [str(key) for key, off in found.items() if not off],
    }


async def lift(bridge: Bridge, hand: Hand, hold_name: Literal["admin", "dispute", "refund", "unpaid"]) -> PassReport:
    """Lift an admin's hold, waive the present dispute or refund, or forgive a debt that was voided or written off.

    Raises:
        Declined: it is owed still.
    """
    if hold_name == "unpaid":
        before = await bridge.reconcile(hand.customer_id, actor=hand.actor, dry_run=True)
        asked = [goal for goal in before.goals if hand.subscription_id in (None, goal.key.subscription_id)]
        if not before.decided:
            raise Unavailable(f"what is owed can't be seen just now: {before.said}")
        if not any(goal.rule == Rule.WRITTEN_OFF for goal in asked):
            detail = "Stripe does not say that what is owed was voided or written off; give grace until a date instead"
            raise Declined("still_owed", detail)

    async def edit(lease_id: str) -> None:
        async with _editing(bridge, hand, lease_id, _note(hand, "lift", hold=hold_name)) as editing:
            connection = editing.connection
            match hold_name:
                case "admin":
                    changed = await operator_edits.lift(connection, hand.customer, hand.subscription_id)
                    editing.before = operator_edits.noted(changed)
                case "unpaid":
                    await operator_edits.forgive(connection, hand.customer, hand.subscription_id)
                case "dispute" | "refund":
                    table: Literal["disputes", "refunds"] = "disputes" if hold_name == "dispute" else "refunds"
                    await operator_edits.waive(connection, hand.customer, hand.subscription_id, table)

    return await bridge.reconcile(hand.customer_id, actor=hand.actor, edit=edit)


async def grace(bridge: Bridge, hand: Hand, until: datetime | None) -> PassReport:
    """Keep an unpaid subscription on until a date; `None` takes it back.

    Raises:
        Declined: when nothing is owed: the date is about a debt, and would be forgotten.
    """
    if until is not None:
        # Whether anything is owed shows in a dry run (a real pass might suspend just now what the date is to keep on).
        # While a side is away the date is noted all the same.
        before = await bridge.reconcile(hand.customer_id, actor=hand.actor, dry_run=True)
        asked = _asked(before, hand)
        if asked and not any(service.grace_until or Hold.UNPAID in service.holds for service in asked):
            raise Declined("not_behind", "nothing is owed just now, so there is nothing to wait for")

    async def edit(lease_id: str) -> None:
        note = _note(hand, "grace", until=until.isoformat() if until else None)
        async with _editing(bridge, hand, lease_id, note) as editing:
            changed = await operator_edits.grace(editing.connection, hand.customer, hand.subscription_id, until)
            date = operator_edits.latest_date(changed)
            editing.before = {"until": date.isoformat() if date else None, **operator_edits.noted(changed)}

    report = await bridge.reconcile(hand.customer_id, actor=hand.actor, edit=edit)
    asked = _asked(report, hand)
    if until is not None and asked and all(service.grace_override is None for service in asked):
        raise Declined("not_behind", "it has been paid just now, so the date was not kept")
    return report


async def undo(bridge: Bridge, hand: Hand, action_id: str, shown: Collection[str]) -> PassReport:
    """Take back one act: what it has changed becomes as it was before, and the ledger says so under the inverse's kind.

    Args:
        shown: the services that it was shown to reach.

    Raises:
        Declined: it is not in effect any more, or reaches others by now; nothing is done.
    """

    async def edit(lease_id: str) -> None:
        found = await _in_effect(bridge, hand, action_id)
        reached = {str(key) for key in found.services}
        if reached != set(shown):
            detail = f"by now this takes back {', '.join(sorted(reached))}: look at the timeline again"
            raise Declined("changed_meanwhile", detail, field="services")
        async with leases.holding(bridge.db, lease_id) as connection:
            await _take_back(connection, hand, action_id, found)

    return await bridge.reconcile(hand.customer_id, actor=hand.actor, edit=edit)


async def _in_effect(bridge: Bridge, hand: Hand, action_id: str) -> Inverse:
    happened = await timeline.act(bridge.db, hand.customer, action_id)
    if happened is None:
        raise Declined("not_found", f"{hand.customer_id} has no act {action_id} in the ledger", field="actionId")
    memory, _ = await customer_memory.load(bridge.db, hand.customer)
    found = inverse(happened, memory)
    if found is None:
        detail = "nothing is any more as this act left it, so there is nothing to take back"
        raise Declined("nothing_to_undo", detail, field="actionId")
    return found


async def _take_back(connection: Connection, hand: Hand, action_id: str, found: Inverse) -> None:
    before: dict[str, Any]
    facts: dict[str, object] = {"undoes": action_id}
    match found.kind:
        case "hold":
            before = operator_edits.noted(await operator_edits.hold(connection, hand.customer, found.services.keys()))
        case "lift":
            before = operator_edits.noted(await operator_edits.lift(connection, hand.customer, found.services.keys()))
            facts["hold"] = "admin"
        case "grace":
            changed = await operator_edits.set_dates(connection, hand.customer, found.services)
            before = operator_edits.noted(changed, to=found.services)
            dates = [promise.until for promise in found.services.values()]
            facts["until"] = dates[0].isoformat() if dates[0] and len(set(dates)) == 1 else None
    await ledger.add(connection, [replace(_note(hand, found.kind, **facts), before=before)])


async def release_brake(bridge: Bridge, actor: str, given: ReleaseBrake) -> int:
    """Release the brake; how many customers go on.

    Raises:
        Declined: others wait by now than were shown; nothing is released.
    """
    shown = brake.Shown(given.counts, given.expected, given.digest)
    marked = await brake.release(bridge.db, actor, shown, reason=given.reason)
    log.warning("brake_released", actor=actor, counts=given.counts, customers=marked)
    return marked


async def recreate(bridge: Bridge, hand: Hand) -> PassReport:
    """Make anew what was deleted in the panel by hand: only what is really gone is forgotten."""

    async def edit(lease_id: str) -> None:
        memory, _ = await customer_memory.load(bridge.db, hand.customer)
        lost = await _lost(bridge, hand, memory)
        async with leases.holding(bridge.db, lease_id) as connection:
            if lost.org:
                await operator_edits.forget_org(connection, hand.customer)
            await operator_edits.forget_subscriptions(connection, lost.hosting)
            await operator_edits.forget_websites(connection, lost.websites)
            await ledger.add(connection, [_note(hand, "recreate", organisation=lost.org)])

    return await bridge.reconcile(hand.customer_id, actor=hand.actor, edit=edit)


class _Lost(Struct, frozen=True):
    """What of one customer is really gone from the panel."""

    org: bool
    hosting: Sequence[int] = ()
    websites: Sequence[str] = ()


async def _lost(bridge: Bridge, hand: Hand, memory: Memory) -> _Lost:
    """What is gone of what is meant.

    Raises:
        Declined: nothing is, or the token may not look.
    """
    if memory.org_id is None:
        raise Declined("nothing_gone", "nothing of this customer is missing in the panel")
    if await _org_is_gone(bridge, memory.org_id):
        return _Lost(org=True)
    alive = {s.id for s in await bridge.enhance.subscriptions(memory.org_id) if not s.deleted}
    hosting = [
        s.panel_subscription_id
        for s in memory.services
        if s.panel_subscription_id is not None
        and s.panel_subscription_id not in alive
        and s.state is not ServiceState.TERMINATED
        and hand.subscription_id in (None, s.key.subscription_id)
        and await _is_gone(bridge, memory.org_id, s.panel_subscription_id)
    ]
    websites = await _gone_websites(bridge, hand, memory, alive)
    if not hosting and not websites:
        raise Declined("nothing_gone", "nothing of this customer is missing in the panel")
    return _Lost(org=False, hosting=hosting, websites=websites)


async def _org_is_gone(bridge: Bridge, org_id: str) -> bool:
    try:
        return (await bridge.enhance.org(org_id)).deleted
    except NotFound:
        await bridge.enhance.check()  # of the right panel and organisation
        return True
    except Denied as error:
        await bridge.enhance.check()  # one answer for two things, see Panel.look
        detail = f"the token may not look at organisation {org_id}: give it back in the panel, or wipe it there"
        raise Declined("panel_org_closed", detail) from error


async def _is_gone(bridge: Bridge, org_id: str, panel_subscription_id: int) -> bool:
    """Whether hosting that the list lacks is gone by its own word, too: what is forgotten is made a second time."""
    try:
        return (await bridge.enhance.subscription(org_id, panel_subscription_id)).deleted
    except NotFound:
        return True


async def _gone_websites(bridge: Bridge, hand: Hand, memory: Memory, alive: set[int]) -> list[str]:
    """Websites that are no more, of hosting that is still there."""
    assert memory.org_id is not None
    gone = []
    for service in memory.services:
        if service.website_id is None or service.panel_subscription_id not in alive:
            continue
        if service.state is ServiceState.TERMINATED or hand.subscription_id not in (None, service.key.subscription_id):
            continue
        try:
            deleted = (await bridge.enhance.website(memory.org_id, service.website_id)).deleted
        except NotFound:
            deleted = True
        if deleted:
            gone.append(service.website_id)
    return gone


async def hard_delete(bridge: Bridge, hand: Hand, confirm: str | None) -> PassReport:
    """Wipe the hosting of what has ended for good. Nothing brings it back but a backup.

    Raises:
        Declined: when `confirm` does not repeat the id, while it has not ended, or outside of live mode.
    """
    named = hand.subscription_id or hand.customer_id
    if confirm != named:
        detail = f"this wipes all data; repeat the id in confirm: {named!r}"
        raise Declined("confirmation_needed", detail, field="confirm")
    mode = bridge.settings.provisioning_mode
    if mode != "live":
        raise Declined("not_live", f"PROVISIONING_MODE is {mode}: nothing is wiped")
    # Memory may be behind: what was bought again since must show before anything is wiped.
    before = await bridge.reconcile(hand.customer_id, actor=hand.actor)
    if not before.decided:
        raise Unavailable(f"whether it has ended can't be seen just now: {before.said}")

    awaited = sorted({goal.awaits for goal in before.goals if goal.awaits})
    wiped: dict[ServiceKey, HardDelete] = {}

    async def edit(lease_id: str) -> None:
        memory, services = await _to_wipe(bridge, hand, awaited)
        for service in services:
            await _wipe(bridge, hand, memory, service, lease_id)
            wiped[service.key] = HardDelete(Rule.BY_HAND, service.key, service.panel_subscription_id)

    report = await bridge.reconcile(hand.customer_id, actor=hand.actor, edit=edit)
    return replace(report, actions=(*wiped.values(), *report.actions))


async def _to_wipe(bridge: Bridge, hand: Hand, awaited: Sequence[str]) -> tuple[Memory, list[Service]]:
    """The customer, and which of the services that are meant are not known to be wiped already.

    Raises:
        Declined: there are none, or they have not ended, or another purchase waits for a website of theirs.
    """
    memory, _ = await customer_memory.load(bridge.db, hand.customer)
    services = [s for s in memory.services if hand.subscription_id in (None, s.key.subscription_id) and s.made]
    if not services or memory.org_id is None:
        detail = f"nothing of {hand.subscription_id or hand.customer_id} is in the panel"
        raise Declined("unknown_subscription", detail, field=_named(hand))
    if not all(has_ended(s) or s.state is ServiceState.TERMINATED for s in services) or any(map(_is_bought, services)):
        raise Declined("not_ended", "only the hosting of an ended subscription can be wiped")
    await _refuse_waited_for(bridge, memory.org_id, services, awaited)
    try:
        present = {s.id for s in await bridge.enhance.subscriptions(memory.org_id)}
    except NotFound:
        present = set()
    begun = {intent.action.service for intent in memory.intents if isinstance(intent.action, HardDelete)}
    left = []
    for service in services:
        recorded = service.state is ServiceState.TERMINATED or service.key in begun  # the pass closes what was begun
        number = service.panel_subscription_id
        assert number is not None
        if number in present or not recorded or not await _is_gone(bridge, memory.org_id, number):
            left.append(service)
    return memory, left


async def _refuse_waited_for(bridge: Bridge, org_id: str, services: Sequence[Service], awaited: Sequence[str]) -> None:
    """Refuse to wipe a website that another purchase of the same customer waits for."""
    for service in services:
        assert service.panel_subscription_id is not None
        if service.state is not ServiceState.TERMINATED:
            try:
                domain = await awaited_in(bridge.enhance, org_id, service.panel_subscription_id, awaited)
            except NotFound:
                continue
            if domain is not None:
                detail = f"another purchase waits for {domain}, which is in {service.key}: see what stops its move"
                raise Declined(WaitReason.WEBSITE_WAITED_FOR, detail)


def _is_bought(service: Service) -> bool:
    """Whether it is bought again, and waits for its money."""
    return service.wait_reason is WaitReason.CHANGE_WAITS_FOR_PAYMENT


async def _wipe(bridge: Bridge, hand: Hand, memory: Memory, service: Service, lease_id: str) -> None:
    entry = ledger.Entry(
        str(uuid4()), "intent", ActionKind.HARD_DELETE, hand.customer_id, service.key, Rule.BY_HAND, actor=hand.actor,
        facts={"reason": hand.reason, "panel_subscription_id": service.panel_subscription_id},
    )  # fmt: skip
    assert memory.org_id is not None and service.panel_subscription_id is not None
    mandate = Mandate("", await bridge.db.now(), lease_id, actor=hand.actor)
    after = with_service(memory, replace(service, state=ServiceState.TERMINATED))
    beside = tell_services(bridge.settings.outbox, mandate, memory, after, [after.service(service.key)], Rule.BY_HAND)
    journal = Journal(bridge.db, lease_id)
    async with Step(bridge.db, journal, entry, bridge.settings) as step:
        try:
            await step.send(bridge.enhance.hard_delete(memory.org_id, service.panel_subscription_id))
        except NotFound:
            step.happened()  # it is gone already, which is what was asked for
        async with leases.holding(bridge.db, lease_id) as connection:
            await operator_edits.wiped(connection, service.key)
            if beside is not None:
                await beside(connection)
    await journal.flush()


def _asked(report: PassReport, hand: Hand) -> list[Service]:
    """The services of the subscription that is meant, or of the whole customer."""
    return [g.service for g in report.goals if hand.subscription_id in (None, g.key.subscription_id)]


def _named(hand: Hand) -> str:
    return "customerId" if hand.subscription_id is None else "subscriptionId"


class _Edit(Struct):
    """A change under way, and how what it changes was before."""

    connection: Connection
    before: Mapping[str, Any] | None = None


@asynccontextmanager
async def _editing(
    bridge: Bridge, hand: Hand, lease_id: str, note: ledger.Entry, *, known: bool = False
) -> AsyncIterator[_Edit]:
    """A transaction under the lease for a change to services that are remembered; `note` is written with it.

    Args:
        known: it is certain already that there is something to change.

    Raises:
        Declined: none is. LeaseLost: nothing was written.
    """
    if not known and not await operator_edits.knows_services(bridge.db, hand.customer, hand.subscription_id):
        detail = f"no service of {hand.subscription_id or hand.customer_id} is remembered"
        raise Declined("unknown_subscription", detail, field=_named(hand))
    async with leases.holding(bridge.db, lease_id) as connection:
        editing = _Edit(connection)
        yield editing
        await ledger.add(connection, [replace(note, before=editing.before)])


def _note(hand: Hand, kind: str, **facts: object) -> ledger.Entry:
    service = ServiceKey(hand.subscription_id, 1) if hand.subscription_id else None
    return ledger.Entry(
        str(uuid4()), "noted", kind, hand.customer_id, service, Rule.BY_HAND, actor=hand.actor,
        facts={"reason": hand.reason, **facts},
    )  # fmt: skip
