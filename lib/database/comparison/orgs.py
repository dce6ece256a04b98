"""The panel's list of organisations, compared with whose they are, what they are called and how much is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from lib.database.keys import as_text, id_in, provider_in
from lib.database.sweeps import Sweep


class SeenOrg(Struct, frozen=True):
    """An organisation as the panel lists it."""

    id: str
    name: str
    gone: bool
    suspended: bool
    owner_email: str | None
    owner_login_id: str | None
    subscriptions: int


_COLUMNS = {
    "id": "text", "name": "text", "gone": "boolean", "suspended": "boolean", "email": "text", "login": "text",
    "subscriptions": "integer",
}  # fmt: skip

_COMPARE = f"""
    WITH {page_of(_COLUMNS)}, seen AS ({SEEN}), met AS (
        SELECT c.provider, c.customer_id, {as_text("c.")} AS key, page.gone, page.suspended, page.name, counted.surplus,
            CASE WHEN c.erased_at IS NULL THEN page.name END AS kept_name,
            CASE WHEN c.erased_at IS NULL THEN page.email END AS kept_email,
            c.org_gone <> page.gone
                OR counted.surplus <> coalesce(c.panel_surplus, greatest(counted.surplus, 0)) AS flipped,
            NOT page.gone AND c.erased_at IS NULL AND page.name <> c.org_name
                AND page.name IS DISTINCT FROM c.panel_name
                AND NOT EXISTS (SELECT FROM services s
                    WHERE s.provider = c.provider AND s.customer_id = c.customer_id AND s.adopted) AS renamed
        FROM page JOIN customers c ON c.org_id = page.id::uuid
        CROSS JOIN LATERAL (
            SELECT page.subscriptions - count(*)::integer AS surplus
            FROM customers h JOIN services s USING (provider, customer_id)  -- all who share it
            WHERE h.org_id = c.org_id AND s.panel_subscription_id IS NOT NULL AND s.state <> 'terminated') AS counted
    ), {LOCKED.format(customers="SELECT key FROM met WHERE flipped OR renamed")}, changed AS (
        UPDATE customers c SET org_gone = met.gone, org_suspended = met.suspended, org_unclear = false,
            panel_name = met.kept_name, panel_email = met.kept_email, panel_surplus = met.surplus,
            updated_at = now(),
            org_name = CASE WHEN met.renamed THEN met.name ELSE c.org_name END
        FROM met, first
        WHERE c.provider = met.provider AND c.customer_id = met.customer_id
            AND (c.org_gone, c.org_suspended, c.org_unclear, c.panel_name, c.panel_email, c.panel_surplus)
                IS DISTINCT FROM (met.gone, met.suspended, false, met.kept_name, met.kept_email, met.surplus)
        RETURNING met.key AS customer_id, met.flipped OR coalesce(met.renamed, false) AS surprising
    ), verified AS (
        INSERT INTO actions (action_id, provider, customer_id, kind, state, rule)
        SELECT a.action_id, a.provider, a.customer_id, a.kind, 'verified', 'seen_by_sweep'
        FROM page
        JOIN customers c ON c.org_id = page.id::uuid AND NOT page.gone
        JOIN actions a ON a.provider = c.provider AND a.customer_id = c.customer_id AND a.state = 'applied'
            AND (a.kind = 'create_org' OR (a.kind = 'rename_org' AND page.name = c.org_name)
                OR (a.kind IN ('create_login', 'add_owner') AND page.login = c.login_id::text))
        WHERE NOT EXISTS (SELECT FROM actions v WHERE v.action_id = a.action_id AND v.state = 'verified')
        ON CONFLICT (action_id, state) DO NOTHING
    ), differing AS (SELECT customer_id FROM changed WHERE surprising)
    {NUDGE_DIFFERING}
"""


async def compare_orgs(db: Database, sweep: Sweep, page: Sequence[SeenOrg]) -> list[str]:
    """Remember how the panel lists our organisations; mark the customers due of whom one is gone, back or renamed.

    A name is renamed once it is neither ours nor what was seen before, so that a panel that spells names in its own way
    is not asked again at each sweep. What was adopted keeps the name that it came with.

    So is hosting in it: the panel counts each one's subscriptions, and how many more or fewer they are than ours stays
    the same unless somebody adds or deletes one by hand. Fewer than ours tell at first sight.
    """
    seen = (
        (org.id, org.name, org.gone, org.suspended, org.owner_email, org.owner_login_id, org.subscriptions)
        for org in page
    )
    rows = await db.rows(_COMPARE, {**walked(sweep, "org"), "page": as_page(_COLUMNS, seen)})
    return [row["key"] for row in rows]


async def strange_orgs(db: Database, marked: Mapping[str, str]) -> list[str]:
    """Which organisations that carry a customer's mark (id -> customer) are not remembered as theirs.

    Left out: whose creation is not ended yet, and whose customer a pass may be working on.
    """
    rows = await db.rows(
        f"""
        SELECT o.id FROM unnest(%(ids)s::text[], %(customers)s::text[]) AS o (id, customer_id)
        WHERE NOT EXISTS (SELECT FROM customers c WHERE c.org_id = o.id::uuid)
            AND NOT EXISTS (SELECT FROM due d
                WHERE d.kind = 'customer' AND d.key = o.customer_id AND d.parked_reason IS NULL
                    AND (d.waits_for IS NULL OR d.due_at <= now() OR d.leased_until > now()))
            AND NOT EXISTS (SELECT FROM actions i
                WHERE i.provider = {provider_in("o.customer_id")} AND i.customer_id = {id_in("o.customer_id")}
                    AND i.kind = 'create_org' AND i.state = 'intent' AND NOT EXISTS (SELECT FROM actions e
                        WHERE e.action_id = i.action_id AND e.state IN ('applied', 'failed')))
        """,
        {"ids": list(marked), "customers": list(marked.values())},
    )
    return [row["id"] for row in rows]


async def missing_orgs(db: Database, sweep: Sweep, limit: int) -> list[str]:
    """Some of our organisations that the panel did not list, and of which nobody has said yet that they are gone."""
    await count_seen(db)
    rows = await db.rows(
        f"""
        SELECT DISTINCT c.org_id::text AS id FROM customers c
        WHERE c.org_id IS NOT NULL AND NOT c.org_gone AND c.updated_at < %(began)s
            AND {UNSEEN.format(id="c.org_id")} AND {WHOLE}
        ORDER BY 1 LIMIT %(limit)s
        """,
        {**walked(sweep, "org"), "limit": limit},
    )
    return [row["id"] for row in rows]


async def orgs_gone(db: Database, sweep: Sweep, gone: Sequence[str], unclear: Sequence[str]) -> list[str]:
    """Note the organisations that are gone; mark their customers due, and those of whom the panel would not tell."""
    return await note_gone(db, sweep, "org", "customers", gone, unclear)
