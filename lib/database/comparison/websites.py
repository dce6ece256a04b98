"""The panel's list of websites, compared with the plan and state of the hosting that each is in."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from lib.database.comparison.walk import (
    LOCKED,
    NUDGE_DIFFERING,
    SEEN,
    UNSEEN,
    WHOLE,
    as_page,
    count_seen,
    note_gone,
    page_of,
    walked,
)
from lib.database.connection import Database
from lib.database.keys import as_text
from lib.database.sweeps import Sweep


class SeenWebsite(Struct, frozen=True):
    """A website as the panel lists it."""

    id: str
    subscription_id: int | None
    plan_id: int | None
    gone: bool
    off: bool


_COLUMNS = {"id": "text", "subscription_id": "integer", "plan_id": "integer", "gone": "boolean", "off": "boolean"}

_COMPARE = f"""
    WITH {page_of(_COLUMNS)}, seen AS ({SEEN}), own AS (
        SELECT s.provider, s.subscription_id, s.slot, page.off, page.gone,
            NOT page.gone AND s.state <> 'terminated'
                AND page.off <> (s.state = 'suspended' OR s.panel_suspended) AS differs
        FROM page JOIN services s ON s.website_id = page.id::uuid
    ), moved AS (
        SELECT s.provider, s.subscription_id, s.slot, min(page.plan_id) AS plan_id
        FROM page
        JOIN services s ON s.panel_subscription_id = page.subscription_id
        WHERE NOT page.gone AND page.plan_id IS NOT NULL AND s.panel_plan_id IS DISTINCT FROM page.plan_id
            AND s.state <> 'terminated'
        GROUP BY s.provider, s.subscription_id, s.slot
    ), looked AS (
        SELECT s.provider, s.subscription_id, s.slot, {as_text("s.")} AS key, coalesce(l.off, s.website_off) AS off,
            coalesce(l.gone, s.website_gone) AS gone, coalesce(l.differs, s.website_differs) AS differs,
            coalesce(l.plan_id, s.website_plan_id) AS plan_id, s.state <> 'terminated'
                AND (l.gone <> s.website_gone OR l.differs AND NOT s.website_differs
                    OR l.plan_id IS NOT NULL AND l.plan_id IS DISTINCT FROM s.website_plan_id) AS surprising
        FROM (SELECT * FROM own FULL JOIN moved USING (provider, subscription_id, slot)) AS l
        JOIN services s USING (provider, subscription_id, slot)
    ), {LOCKED.format(customers="SELECT key FROM looked WHERE surprising")}, changed AS (
        UPDATE services s SET website_off = l.off, website_gone = l.gone, website_differs = l.differs,
            website_plan_id = l.plan_id, website_unclear = false, updated_at = now()
        FROM looked l, first
        WHERE (s.provider, s.subscription_id, s.slot) = (l.provider, l.subscription_id, l.slot)
            AND (s.website_off, s.website_gone, s.website_differs, s.website_plan_id, s.website_unclear)
                IS DISTINCT FROM (l.off, l.gone, l.differs, l.plan_id, false)
        RETURNING l.key AS customer_id, l.surprising
    ), verified AS (
        INSERT INTO actions (action_id, provider, customer_id, subscription_id, slot, kind, state, rule)
        SELECT a.action_id, a.provider, a.customer_id, a.subscription_id, a.slot, a.kind, 'verified',
            'seen_by_sweep'
        FROM page
        JOIN services s ON s.website_id = page.id::uuid AND NOT page.gone
        JOIN actions a ON a.provider = s.provider AND a.customer_id = s.customer_id AND a.state = 'applied'
            AND (a.kind = 'create_website'
                OR a.kind = 'move_website' AND page.subscription_id = s.panel_subscription_id)
            AND a.subscription_id = s.subscription_id AND a.slot = s.slot
        WHERE NOT EXISTS (SELECT FROM actions v WHERE v.action_id = a.action_id AND v.state = 'verified')
        ON CONFLICT (action_id, state) DO NOTHING
    ), differing AS (SELECT customer_id FROM changed WHERE surprising)
    {NUDGE_DIFFERING}
"""


async def compare_websites(db: Database, sweep: Sweep, page: Sequence[SeenWebsite]) -> list[str]:
    """Remember how the panel lists our websites; mark the customers due whose subscriptions show another plan or state.

    A website shows what its subscription is on, and whether it is off: one list for all instead of a call for each.
    One that went or came back costs one pass, which tells a deleted website from a deleted subscription; one that is
    off for a cause of its own costs one when it is first seen so, as does one that shows another plan or state than
    its subscription has: what a pass has looked at is remembered until that pass, or another one, changes something.
    """
    seen = ((site.id, site.subscription_id, site.plan_id, site.gone, site.off) for site in page)
    rows = await db.rows(_COMPARE, {**walked(sweep, "website"), "page": as_page(_COLUMNS, seen)})
    return [row["key"] for row in rows]


async def missing_websites(db: Database, sweep: Sweep, limit: int) -> list[tuple[str, str | None]]:
    """Some of our websites that the panel did not list: (id, its organisation, `None` once that is gone)."""
    await count_seen(db)
    rows = await db.rows(
        f"""
        SELECT s.website_id::text AS id, CASE WHEN NOT c.org_gone THEN c.org_id::text END AS org_id
        FROM services s JOIN customers c ON c.provider = s.provider AND c.customer_id = s.customer_id
        WHERE s.website_id IS NOT NULL AND NOT s.website_gone
            AND s.state <> 'terminated' AND s.updated_at < %(began)s
            AND {UNSEEN.format(id="s.website_id")} AND {WHOLE}
        ORDER BY 1 LIMIT %(limit)s
        """,
        {**walked(sweep, "website"), "limit": limit},
    )
    return [(row["id"], row["org_id"]) for row in rows]


async def websites_gone(db: Database, sweep: Sweep, gone: Sequence[str], unclear: Sequence[str]) -> list[str]:
    """Note the websites that are gone; mark their customers due, for their subscription may be gone too.

    A website alone is not made again: its owner may delete it. Those of which the panel would not tell: also due.
    """
    return await note_gone(db, sweep, "website", "services", gone, unclear)
