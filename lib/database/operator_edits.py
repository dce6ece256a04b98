"""What an operator edits by hand in what we remember of a customer: holds, dates, releases and panel ids.

What changes something takes the connection of `leases.holding`: written under the customer's lease, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from psycopg.types.json import Jsonb

from lib.database.connection import Connection, Database
from lib.database.keys import whose
from lib.model import CustomerKey, ServiceKey
from lib.model.grace import Promise


class Before(Struct, frozen=True):
    """A service that an edit has changed, as it was before it."""

    subscription_id: str
    slot: int
    grace_override: datetime | None
    amnesty: bool

    @property
    def key(self) -> ServiceKey:
        """Which one."""
        return ServiceKey(self.subscription_id, self.slot)


def noted(changed: Iterable[Before], to: Mapping[ServiceKey, Promise] | None = None) -> dict[str, Any]:
    """What the ledger keeps of them (`before`), for who takes the edit back: just these, each to its own date.

    Args:
        to: the date that each was given, where they were not given the same.
    """
    lines = []
    for one in sorted(changed, key=lambda one: (one.subscription_id, one.slot)):
        promise = Promise(one.grace_override, amnesty=one.amnesty)
        line = {"subscription_id": one.subscription_id, "slot": one.slot, **promise.noted}
        lines.append(line | ({"to": to[one.key].noted} if to is not None else {}))
    return {"services": lines}


_OF = """
    WHERE provider = %(provider)s AND customer_id = %(customer)s
        AND (%(id)s::text IS NULL OR subscription_id = %(id)s)
"""
"""The services of one subscription; without its id, all of the customer's."""

_THESE = """
    WHERE provider = %(provider)s AND customer_id = %(customer)s
        AND (subscription_id, slot) IN (SELECT * FROM unnest(%(subscriptions)s::text[], %(slots)s::integer[]))
"""
"""These services of a customer."""

_BEFORE = "subscription_id, slot, grace_override, amnesty"
"""What `Before` is made of."""


async def knows_services(db: Database, customer: CustomerKey, subscription_id: str | None) -> bool:
    """Whether any service is remembered of the subscription, or of the customer."""
    who = {**whose(customer), "id": subscription_id}
    return await db.row(f"SELECT 1 FROM services {_OF} LIMIT 1", who) is not None


Which = str | Collection[ServiceKey] | None
"""The services of a subscription, these, or all of the customer's."""


def _which(customer: CustomerKey, which: Which) -> tuple[str, dict[str, Any]]:
    """The condition, and what it is filled with."""
    if which is None or isinstance(which, str):
        return _OF, {**whose(customer), "id": which}
    subscriptions, slots = [key.subscription_id for key in which], [key.slot for key in which]
    return _THESE, {**whose(customer), "subscriptions": subscriptions, "slots": slots}


async def hold(connection: Connection, customer: CustomerKey, which: Which) -> list[Before]:
    """Hold services by an admin's word; which of them were not held so already."""
    condition, values = _which(customer, which)
    cursor = await connection.execute(
        f"""
        UPDATE services SET holds = ARRAY(SELECT DISTINCT h FROM unnest(holds || 'admin'::text) AS h ORDER BY h),
            updated_at = now()
        {condition} AND NOT 'admin' = ANY(holds)
        RETURNING {_BEFORE}
        """,
        values,
    )
    return [Before(**row) for row in await cursor.fetchall()]


async def held(db: Database, customer: CustomerKey, subscription_id: str | None) -> dict[ServiceKey, bool]:
    """Services that an admin holds or wanted to hold, and whether they are off by now: suspended, or never made."""
    rows = await db.rows(
        f"""
        SELECT subscription_id, slot, state IN ('pending', 'suspended') OR state = 'live' AND panel_suspended AS off
        FROM services {_OF} AND 'admin' = ANY(holds) ORDER BY subscription_id, slot
        """,
        {**whose(customer), "id": subscription_id},
    )
    return {ServiceKey(row["subscription_id"], row["slot"]): row["off"] for row in rows}


async def lift(connection: Connection, customer: CustomerKey, which: Which) -> list[Before]:
    """Lift an admin's hold; which services had one."""
    condition, values = _which(customer, which)
    cursor = await connection.execute(
        "UPDATE services SET holds = array_remove(holds, 'admin'), updated_at = now()"
        f" {condition} AND 'admin' = ANY(holds) RETURNING {_BEFORE}",
        values,
    )
    return [Before(**row) for row in await cursor.fetchall()]


async def forgive(connection: Connection, customer: CustomerKey, subscription_id: str | None) -> None:
    """Forget since when something was owed; where Stripe still says so, the next pass learns it anew."""
    await connection.execute(
        f"""
        UPDATE services SET holds = array_remove(holds, 'unpaid'), unpaid_since = NULL, grace_override = NULL,
            amnesty = false, updated_at = now()
        {_OF}
        """,
        {**whose(customer), "id": subscription_id},
    )


async def waive(
    connection: Connection, customer: CustomerKey, subscription_id: str | None, table: Literal["disputes", "refunds"]
) -> None:
    """Let the disputes or refunds that there are now hold nothing any more; those to come are another matter."""
    await connection.execute(
        f"UPDATE {table} SET waived = true, updated_at = now() {_OF}",
        {**whose(customer), "id": subscription_id},
    )


async def grace(
    connection: Connection,
    customer: CustomerKey,
    subscription_id: str | None,
    until: datetime | None,
) -> list[Before]:
    """Set, or take back, the one-off date until which what is unpaid stays on; which services had another one."""
    cursor = await connection.execute(
        # A date that was promised and is taken back is no promise any more.
        f"""
        WITH b AS (SELECT provider, {_BEFORE} FROM services {_OF} FOR UPDATE)
        UPDATE services s SET grace_override = %(until)s, amnesty = false, updated_at = now(),
            grace_until = CASE WHEN %(until)s::timestamptz IS NOT NULL THEN s.grace_until END
        FROM b WHERE (s.provider, s.subscription_id, s.slot) = (b.provider, b.subscription_id, b.slot)
        RETURNING b.subscription_id, b.slot, b.grace_override, b.amnesty
        """,
        {**whose(customer), "id": subscription_id, "until": until},
    )
    found = [Before(**row) for row in await cursor.fetchall()]
    return [one for one in found if one.grace_override != until or one.amnesty]


async def set_dates(connection: Connection, customer: CustomerKey, dates: Mapping[ServiceKey, Promise]) -> list[Before]:
    """Give services back the one-off date that each had, or none; as they were."""
    lines = [
        {"subscription_id": key.subscription_id, "slot": key.slot, **promise.noted} for key, promise in dates.items()
    ]
    condition, values = _which(customer, dates.keys())
    cursor = await connection.execute(
        f"""
        WITH b AS (SELECT provider, {_BEFORE} FROM services {condition} FOR UPDATE)
        UPDATE services s SET grace_override = t.until, amnesty = t.amnesty, updated_at = now(),
            grace_until = CASE WHEN t.until IS NOT NULL THEN s.grace_until END
        FROM b JOIN jsonb_to_recordset(%(dates)s) AS t (subscription_id text, slot integer, until timestamptz,
            amnesty boolean) ON (b.subscription_id, b.slot) = (t.subscription_id, t.slot)
        WHERE (s.provider, s.subscription_id, s.slot) = (b.provider, b.subscription_id, b.slot)
        RETURNING b.subscription_id, b.slot, b.grace_override, b.amnesty
        """,
        {**values, "dates": Jsonb(lines)},
    )
    return [Before(**row) for row in await cursor.fetchall()]


def latest_date(changed: Iterable[Before]) -> datetime | None:
    """The latest one-off date that one of them had."""
    return max((one.grace_override for one in changed if one.grace_override), default=None)


async def held_back(db: Database, customer: CustomerKey) -> set[str]:
    """Which of the reasons that `release` is about are shown of a customer."""
    rows = await db.rows(
        """
        SELECT DISTINCT p ->> 'reason' AS reason FROM due, jsonb_array_elements(problems) AS p
        WHERE kind = 'customer' AND key = %(key)s
            AND p ->> 'reason' IN ('double_purchase', 'mapping_changed', 'never_paid', 'quantity_unusual')
        """,
        {"key": str(customer)},
    )
    return {row["reason"] for row in rows}


_SHOWN = """
    EXISTS (SELECT FROM due, jsonb_array_elements(due.problems) AS p
        WHERE due.kind = 'customer' AND due.key = %(key)s
            AND p ->> 'reason' = '{reason}' AND p ->> 'subject' = subscription_id)
"""
"""Whether the last pass has shown a subscription for this reason."""


async def release(connection: Connection, customer: CustomerKey, subscription_id: str | None) -> None:
    """Let pass what waits for a person: a second purchase, a first invoice that nobody will pay, a
    quantity, or the end of what is no hosting any more.

    Without a subscription only what was shown to wait: what runs, or waits for money, has nothing to be let pass. The
    quantity is the one that the last pass has shown; a higher one waits again.
    """
    who = {**whose(customer), "id": subscription_id, "key": str(customer)}
    await connection.execute(
        f"""
        UPDATE services SET updated_at = now(),
            released = released OR waits_for IS NOT DISTINCT FROM 'double_purchase'
                OR {_SHOWN.format(reason="never_paid")}
                OR %(id)s::text IS NOT NULL AND waits_for IS DISTINCT FROM 'mapping_changed'
                    AND NOT {_SHOWN.format(reason="quantity_unusual")},
            holds = CASE WHEN waits_for = 'mapping_changed'
                THEN ARRAY(SELECT DISTINCT h FROM unnest(holds || 'ended'::text) AS h ORDER BY h) ELSE holds END
        {_OF}
        """,
        who,
    )
    await connection.execute(
        f"""
        UPDATE subscriptions SET quantity_let_pass = quantity
        {_OF} AND (%(id)s::text IS NOT NULL OR {_SHOWN.format(reason="quantity_unusual")})
        """,
        who,
    )


async def forget_org(connection: Connection, customer: CustomerKey) -> None:
    """Forget the panel's ids of a customer whose organisation is gone, so that the next pass makes everything anew.

    What we ended ourselves stays ended. The new login needs a set-password mail, as the first one did.
    """
    await connection.execute(
        "UPDATE customers SET org_id = NULL, org_name = NULL, panel_name = NULL, member_id = NULL, login_id = NULL,"
        " welcomed_at = NULL, org_gone = false, org_suspended = false, linked_to = NULL, updated_at = now()"
        " WHERE provider = %(provider)s AND customer_id = %(customer)s",
        whose(customer),
    )
    await connection.execute(
        _FORGET_PANEL + " WHERE provider = %(provider)s AND customer_id = %(customer)s AND state <> 'terminated'",
        whose(customer),
    )


async def forget_subscriptions(connection: Connection, panel_subscription_ids: Sequence[int]) -> None:
    """Forget panel subscriptions that are gone, so that the next pass makes them anew."""
    await connection.execute(
        _FORGET_PANEL + " WHERE panel_subscription_id = ANY(%(ids)s)", {"ids": list(panel_subscription_ids)}
    )


async def forget_websites(connection: Connection, website_ids: Sequence[str]) -> None:
    """Forget websites that are gone, so that the next pass makes them anew on the hosting that is there."""
    await connection.execute(
        "UPDATE services SET website_id = NULL, website_off = false, website_gone = false, updated_at = now()"
        " WHERE website_id = ANY(%(ids)s::uuid[])",
        {"ids": list(website_ids)},
    )


_FORGET_PANEL = (
    "UPDATE services SET panel_subscription_id = NULL, panel_plan_id = NULL, plan = NULL, website_id = NULL,"
    " suspended_by = NULL, panel_suspended = false, website_off = false, website_gone = false, state = 'pending',"
    " adopted = false, updated_at = now()"
)
"""What was made before stays admitted (`policy.desired`): it is made anew without asking for its money once more."""


async def wiped(connection: Connection, key: ServiceKey) -> None:
    """Remember that the hosting of a service is gone for good."""
    await connection.execute(
        "UPDATE services SET state = 'terminated', website_gone = website_id IS NOT NULL, updated_at = now()"
        " WHERE subscription_id = %(id)s AND slot = %(slot)s",
        {"id": key.subscription_id, "slot": key.slot},
    )
