"""Plans for operators: what is sold with both sides beside it, and changes that do what was shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from lib.database import brake, ledger, plans
from lib.errors import Declined, NotFound, Refused, Retryable
from lib.log import get_logger
from lib.model import Catalogue, ChangePlan, PanelPlan, Parked, PlanMapping, Suspend, Terminate
from lib.model.reason import Rule
from lib.model.report import PassReport
from lib.operators import undo
from lib.operators.views import plans as views
from lib.operators.views.passes import problem_views
from lib.policy.plan_references import PRICE_IDS, plans_meant
from lib.structs import replace
from lib.web.page import pack_cursor, unpack_cursor

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.stripe_client import Price

log = get_logger()

LOOKED_AT = 200
"""Customers whose pass a preview imagines: each costs a read on both sides."""

AT_ONCE = 4

CHANGES = 20

MOST_NAMED = 10
"""Plans of the panel that a refusal names."""

STRIPE = "stripe"

WRITTEN = plans.WRITTEN


async def listing(bridge: Bridge, *, cursor: str | None, limit: int) -> views.Plans:
    """A page of mappings with the live price and panel plan beside each, and what customers wait for."""
    after = unpack_cursor("plans", cursor, str, str)
    rows, key = await plans.mappings(bridge.db, after, limit)
    unmapped = await plans.waiting_for(bridge.db) if after is None else {}
    away: dict[str, str] = {}
    wanted = [row.billing_plan_id for row in rows if row.billing_provider == STRIPE] + list(unmapped)
    prices, known = await asyncio.gather(_prices(bridge, wanted, away), _panel_plans(bridge, away))
    return views.Plans(
        unmapped=[
            views.Unmapped(billing_plan_id=price, customers=customers, price=_price(prices.get(price)))
            for price, customers in unmapped.items()
        ],
        data=[_mapping(row, prices, known) for row in rows],
        next_cursor=pack_cursor("plans", key) if key else None,
        rules=[views.RuleView.of(row) for row in await plans.rules(bridge.db)],
        plans=[views.PlanView.of(plan) for plan in known],
        away=away,
        changes=await _changes(bridge) if after is None else [],
    )


async def _changes(bridge: Bridge) -> list[views.MappingChange]:
    """The newest changes, each with what sets it back."""
    found = []
    for one in await plans.changes(bridge.db, CHANGES):
        row = one.after or one.before
        if row is not None:
            found.append(
                views.MappingChange(
                    at=one.at,
                    actor=one.actor,
                    billing_provider=row["billing_provider"],
                    billing_plan_id=row["billing_plan_id"],
                    before=undo.as_sent(one.before),
                    after=undo.as_sent(one.after),
                    undo=undo.of_mapping(one.before, one.after, one.now),
                )
            )
    return found


async def exists(bridge: Bridge, provider: str, price_id: str) -> bool:
    """Whether a price is mapped."""
    return await plans.mapping(bridge.db, provider, price_id) is not None


async def preview(bridge: Bridge, actor: str, row: Mapping[str, Any], *, delete: bool = False) -> views.ChangePreview:
    """What writing this row, or taking it away, would do to whom; remembered, so that it can be applied as shown.

    Args:
        row: every column of a mapping that an operator writes.
    """
    provider, price_id = row["billing_provider"], row["billing_plan_id"]
    if not delete:
        await _validate(bridge, row)
    async with bridge.db.transaction() as connection:  # before they are named: whoever comes between makes it stale
        total, digest = await plans.concerned(connection, provider, price_id)
    customers = await plans.living_by(bridge.db, provider, price_id, LOOKED_AT)
    reports = await _imagined(bridge, customers, row, delete=delete)
    seen = [report for report in reports.values() if isinstance(report, PassReport)]
    moves = [effect for report in seen for effect in _effects(report, ChangePlan)]
    before = await plans.mapping(bridge.db, provider, price_id)
    as_of = await plans.keep_preview(
        bridge.db,
        actor,
        _change(row, delete=delete),
        plans.written(before) if before else None,
        [_as_let_pass(move) for move in moves],
        digest,
    )
    return views.ChangePreview(
        as_of=as_of,
        customers=total,
        looked_at=len(reports),
        moves=moves,
        suspends=[effect for report in seen for effect in _effects(report, Suspend, Terminate)],
        refused=_refused(reports),
        unclear=[
            views.Unclear(customer_id=customer, error=report)
            for customer, report in reports.items()
            if not isinstance(report, PassReport)
        ],
    )


def _refused(reports: Mapping[str, PassReport | str]) -> list[views.Refusal]:
    """Whose pass would end with something that only a person can solve."""
    return [
        views.Refusal(customer_id=customer, problems=problem_views(report.outcome.problems))
        for customer, report in reports.items()
        if isinstance(report, PassReport) and isinstance(report.outcome, Parked)
    ]


async def apply(
    bridge: Bridge, actor: str, row: Mapping[str, Any], as_of: datetime | None, *, delete: bool = False
) -> views.ChangeMade:
    """Write a mapping. What was shown to be moved passes the brake; whatever else it moves is braked.

    Args:
        as_of: of the preview; needed where anybody lives by the mapping.

    Raises:
        Declined: it was not shown, or not this, or the row was changed since, or others live by it; nothing is written.
    """
    provider, price_id = row["billing_provider"], row["billing_plan_id"]
    if not delete:
        await _validate(bridge, row)
    async with bridge.db.transaction() as connection:
        before = await plans.locked(connection, provider, price_id)
        concerned, digest = await plans.concerned(connection, provider, price_id)
        if before is not None and concerned and as_of is None:  # what was never mapped is only waited for
            detail = "customers live by this mapping: send dryRun first, then its asOf"
            raise Declined("confirmation_needed", detail, field="asOf")
        shown = await plans.preview(connection, as_of) if as_of is not None else None
        if as_of is not None:
            _refuse_other(shown, _change(row, delete=delete), before, digest)
        if delete:
            if before is None:
                raise Declined("not_found", f"{price_id} is not mapped", field="billingPlanId")
            await plans.delete(connection, provider, price_id)
        else:
            await plans.put(connection, dict(row))
        moves = shown.moves if shown else []
        await brake.let_pass(connection, provider, moves)
        await ledger.add(connection, [_note(actor, provider, price_id, before, None if delete else row, moves)])
    log.warning("mapping_changed", actor=actor, price=price_id, deleted=delete, moves=len(moves))
    after = None if delete else dict(row)
    return views.ChangeMade(
        billing_provider=provider, billing_plan_id=price_id, changed=before != after, moves=len(moves)
    )


def _refuse_other(
    shown: plans.Preview | None, change: dict[str, Any], before: dict[str, Any] | None, concerned: str
) -> None:
    if shown is None or shown.change != change:
        raise Declined("not_shown", "no preview of just this change has this asOf: send dryRun again", field="asOf")
    if shown.before != before:
        raise Declined("changed_meanwhile", "the mapping was changed since: send dryRun again", field="asOf")
    if shown.concerned != concerned:
        detail = "others live by it than were shown: send dryRun again"
        raise Declined("changed_meanwhile", detail, field="asOf")


def _change(row: Mapping[str, Any], *, delete: bool) -> dict[str, Any]:
    if delete:
        return {"delete": [row["billing_provider"], row["billing_plan_id"]]}
    return {"put": plans.written(dict(row))}


def _note(
    actor: str,
    provider: str,
    price_id: str,
    before: dict[str, Any] | None,
    after: Mapping[str, Any] | None,
    moves: Sequence[Mapping[str, Any]],
) -> ledger.Entry:
    """A mapping is nobody's own: it stands in the ledger under the price."""
    return ledger.Entry(
        str(uuid4()),
        "noted",
        "mapping",
        price_id if provider == STRIPE else f"{provider}:{price_id}",
        rule=Rule.BY_HAND,
        before=before,
        after=dict(after) if after is not None else None,
        facts={"moves": len(moves)},
        actor=actor,
    )


async def _validate(bridge: Bridge, row: Mapping[str, Any]) -> None:
    """Refuse what neither side knows; a side that is away refuses nothing that it can't see.

    Raises:
        Declined: the price or the plan does not exist, or several plans have the name.
    """
    plan, price_id = row["enhance_plan_id"], row["billing_plan_id"]
    if row["kind"] == "service" and plan is None:
        raise Declined("invalid_field", "a service needs enhancePlanId", field="enhancePlanId")
    if plan is not None:
        there = await bridge.enhance.plans(fresh=True)
        found = plans_meant(plan, there)
        if len(found) != 1:
            many = f"{len(found)} plans are called {plan!r}: send the id, {' or '.join(str(one.id) for one in found)}"
            raise Declined("unknown_plan", many if found else _no_plan(plan, there), field="enhancePlanId")
    if row["billing_provider"] == STRIPE:
        try:
            await bridge.stripe.price(price_id)
        except NotFound as error:
            detail = f"Stripe does not know the price {price_id}. {PRICE_IDS}"
            raise Declined("unknown_price", detail, field="billingPlanId") from error


def _no_plan(plan: str, there: Sequence[PanelPlan]) -> str:
    """That the panel has no such plan, and which it has."""
    names = sorted(one.name for one in there)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    has = f"it has {', '.join(map(repr, names[:MOST_NAMED]))}{more}" if names else "it has none: make it there first"
    return f"the panel has no plan {plan!r}; {has}"


async def _imagined(
    bridge: Bridge, customers: Sequence[str], row: Mapping[str, Any], *, delete: bool
) -> dict[str, PassReport | str]:
    """What each customer's next pass would do with the change: its report, or why it can't be told."""
    gate = asyncio.Semaphore(AT_ONCE)

    def edit(catalogue: Catalogue) -> Catalogue:
        mappings = {price: mapping for price, mapping in catalogue.mappings.items() if price != row["billing_plan_id"]}
        if not delete:
            mappings[row["billing_plan_id"]] = _as_mapping(row)
        return replace(catalogue, mappings=mappings)

    async def look(customer_id: str) -> PassReport | str:
        async with gate:
            try:
                return await bridge.foresee(customer_id, edit)
            except (Refused, Retryable) as error:
                return str(error)

    found = await asyncio.gather(*(look(customer_id) for customer_id in customers))
    return dict(zip(customers, found, strict=True))


def _as_mapping(row: Mapping[str, Any]) -> PlanMapping:
    kind: Literal["service", "addon", "ignore"] = row["kind"]
    return PlanMapping(
        price_id=row["billing_plan_id"],
        kind=kind,
        plan=row["enhance_plan_id"],
        activate_on=row["activate_on"],
        grace_days=row["grace_days"],
        create_website=row["create_website"],
        server_group_id=row["server_group_id"],
    )


def _effects(report: PassReport, *kinds: type[ChangePlan | Suspend | Terminate]) -> list[views.Effect]:
    """What a pass would do of these kinds."""
    return [
        views.Effect(
            customer_id=report.customer_id,
            subscription_id=action.service.subscription_id,
            slot=action.service.slot,
            action=action.kind.value,
            from_plan=action.from_plan if isinstance(action, ChangePlan) else None,
            to_plan=action.plan if isinstance(action, ChangePlan) else None,
        )
        for action in report.actions
        if isinstance(action, kinds)
    ]


def _as_let_pass(move: views.Effect) -> dict[str, Any]:
    return {
        "customer_id": move.customer_id,
        "subscription_id": move.subscription_id,
        "slot": move.slot,
        "plan": move.to_plan,
    }


async def _prices(bridge: Bridge, wanted: Sequence[str], away: dict[str, str]) -> dict[str, Price]:
    """The prices among these that Stripe knows: from its list, and one by one where that does not have them."""
    try:
        return await bridge.stripe.prices(wanted)
    except (Refused, Retryable) as error:
        away["stripe"] = str(error)
        return {}


async def _panel_plans(bridge: Bridge, away: dict[str, str]) -> tuple[PanelPlan, ...]:
    try:
        return await bridge.enhance.plans(fresh=True)
    except (Refused, Retryable) as error:
        away["panel"] = str(error)
        return ()


def _price(price: Price | None) -> views.PriceView | None:
    return views.PriceView.of(price) if price is not None else None


def _mapping(row: plans.MappingRow, prices: Mapping[str, Price], known: Sequence[PanelPlan]) -> views.MappingView:
    meant = plans_meant(row.enhance_plan_id, known) if row.enhance_plan_id is not None else []
    price = prices.get(row.billing_plan_id) if row.billing_provider == STRIPE else None
    return views.MappingView.of(row, price=_price(price), plan=views.PlanView.of(meant[0]) if len(meant) == 1 else None)
