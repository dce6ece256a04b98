"""`/api/admin/plans`: what is sold with both sides beside it; create, change and delete mappings, shown before."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from lib.bridge import current
from lib.errors import Declined
from lib.operators import bodies, plans
from lib.operators.views.plans import ChangeMade, ChangePreview, Plans
from lib.web import Answer, Ask, Verb, admin, endpoint, work_deadline
from lib.web.page import Listing, csv_answer, moment, wants_csv
from lib.web.response import Response

COLUMNS = ("billingProvider", "billingPlanId", "enhancePlanId", "kind", "services", "price", "plan", "updatedAt")


async def show(ask: Ask[Listing]) -> Plans | Response:
    """A page of mappings with the live price and panel plan beside each; on the first page what customers wait for."""
    given = ask.given
    if not wants_csv(ask.request):
        return await plans.listing(current(), cursor=given.cursor, limit=given.limit)
    return csv_answer("plans", COLUMNS, _lines())


async def _lines() -> Any:
    bridge, cursor, first = current(), None, True
    while first or cursor is not None:
        page, first = await plans.listing(bridge, cursor=cursor, limit=200), False
        for row in page.data:
            yield (
                row.billing_provider, row.billing_plan_id, row.enhance_plan_id, row.kind, row.services,
                row.price.name if row.price else None, row.plan.name if row.plan else None, row.updated_at,
            )  # fmt: skip
        cursor = page.next_cursor


async def create(ask: Ask[bodies.PutMapping]) -> ChangePreview | Answer:
    """A new mapping. One that exists is changed by PUT."""
    if await plans.exists(current(), ask.given.billing_provider, ask.given.billing_plan_id):
        detail = f"{ask.given.billing_plan_id} is mapped already: change it with PUT"
        raise Declined("already_exists", detail, field="billingPlanId")
    return await change(ask)


async def change(ask: Ask[bodies.PutMapping]) -> ChangePreview | Answer:
    """A mapping as it is to be: with `dryRun` what that would do, with the `asOf` of that exactly this."""
    bridge, given = current(), ask.given
    await bridge.stir()
    row = {name: getattr(given, name) for name in plans.WRITTEN}
    if given.dry_run:
        return await plans.preview(bridge, ask.actor, row)
    return _made(await plans.apply(bridge, ask.actor, row, _as_of(given.as_of)))


async def remove(ask: Ask[bodies.MappingKey]) -> ChangePreview | Answer:
    """Take a mapping away: who lives by it is kept as it is, and parked until somebody confirms."""
    bridge, given = current(), ask.given
    await bridge.stir()
    row = {"billing_provider": given.billing_provider, "billing_plan_id": given.billing_plan_id}
    if given.dry_run:
        return await plans.preview(bridge, ask.actor, row, delete=True)
    return _made(await plans.apply(bridge, ask.actor, row, _as_of(given.as_of), delete=True))


def _as_of(text: str | None) -> datetime | None:
    return moment("asOf", text, datetime.now(UTC))


def _made(made: ChangeMade) -> Answer:
    """Those whom it concerns have been made due by the table itself."""
    bridge = current()
    return Answer(made, background=partial(bridge.drain_quietly, deadline=work_deadline()))


_ANSWERS = {200: ChangePreview | ChangeMade}

app = endpoint(
    guard=admin,
    GET=Verb(show, query=Listing, answers={200: Plans}, csv=True),
    POST=Verb(create, body=bodies.PutMapping, answers=_ANSWERS),
    PUT=Verb(change, body=bodies.PutMapping, answers=_ANSWERS),
    DELETE=Verb(remove, query=bodies.MappingKey, answers=_ANSWERS),
)
