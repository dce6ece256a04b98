"""Both sides compared with what we remember, a page or a whole list in one statement; who differs is made due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lib.database import due
from lib.database.connection import Database
from lib.database.keys import STRIPE
from lib.database.sweeps import HELD, Sweep
from lib.model import Priority

_NUDGE = f"""
    INSERT INTO due (kind, key, priority)
    SELECT DISTINCT 'customer', customer_id, {Priority.ROUTINE.value} FROM differing
    WHERE customer_id IS NOT NULL AND NOT EXISTS (SELECT FROM due parked
        WHERE parked.kind = 'customer' AND parked.key = customer_id AND parked.parked_reason IS NOT NULL)
    ORDER BY customer_id
    {due.NUDGE} RETURNING key
"""
"""Who is parked is left out: the sweep gives them their one try at its end."""

_LOCKED = """
    locked AS MATERIALIZED (
        SELECT 1 FROM due d WHERE d.kind = 'customer' AND d.key IN ({customers}) ORDER BY d.key FOR UPDATE
    ), first AS MATERIALIZED (SELECT count(*) FROM locked)
"""
"""Whoever locks rows of several tables takes those of the queue first, as every pass and every edit does: else two of
them could wait for each other. Only of those who may be made due: a claim passes over what is locked. What updates the
other table joins `first`, and so comes after it."""

_WHOLE = """
    EXISTS (SELECT FROM sweep_seen WHERE sweep_id = %(sweep)s AND kind = 'walk' AND id = %(kind)s)
"""
"""What was met while walking this list is all there: a crash of the database empties the table, this row included."""

_UNSEEN = """
    NOT EXISTS (SELECT FROM sweep_seen v WHERE v.sweep_id = %(sweep)s AND v.kind = %(kind)s AND v.id = {id}::text)
"""

_SEEN = """
    INSERT INTO sweep_seen (sweep_id, kind, id) SELECT %(sweep)s, %(kind)s, id FROM page ON CONFLICT DO NOTHING
"""


async def open_walk(db: Database, sweep: Sweep, kind: str) -> None:
    """Note that a list is walked from its beginning."""
    await db.rows(
        f"INSERT INTO sweep_seen (sweep_id, kind, id) SELECT %(sweep)s, 'walk', %(kind)s WHERE {HELD}"
        " ON CONFLICT DO NOTHING",
        {"sweep": sweep.id, "holder": sweep.holder, "kind": kind},
    )


async def whole(db: Database, sweep: Sweep, kind: str) -> bool:
    """Whether everything is still there that was met since `open_walk`."""
    row = await db.row(f"SELECT {_WHOLE} AS whole", {"sweep": sweep.id, "kind": kind})
    return bool(row and row["whole"])


async def compare_subscriptions(db: Database, sweep: Sweep, page: Sequence[tuple[str, str, str]]) -> list[str]:
    """Mark the customers due whose subscriptions (id, customer, fingerprint) differ from what we remember."""
    relisted = """
        SELECT s.customer_id FROM page
        JOIN services s ON s.provider = %(provider)s AND s.subscription_id = page.id AND s.unlisted
    """
    rows = await db.rows(
        f"""
        WITH page AS (
            SELECT * FROM unnest(%(ids)s::text[], %(customers)s::text[], %(prints)s::text[])
                AS p (id, customer_id, fingerprint)
            WHERE {HELD}
        ), seen AS ({_SEEN}), {_LOCKED.format(customers=relisted)}, listed AS (
            UPDATE services s SET unlisted = false, updated_at = now() FROM page, first
            WHERE s.provider = %(provider)s AND s.subscription_id = page.id AND s.unlisted
            RETURNING s.customer_id
        ), differing AS (
            SELECT page.customer_id FROM page
            LEFT JOIN subscriptions s ON s.provider = %(provider)s AND s.subscription_id = page.id
            WHERE s.fingerprint IS DISTINCT FROM page.fingerprint
            UNION SELECT customer_id FROM listed
        ) {_NUDGE}
        """,
        {
            "sweep": sweep.id,
            "holder": sweep.holder,
            "kind": "subscription",
            "provider": STRIPE,
            "ids": [row[0] for row in page],
            "customers": [row[1] for row in page],
            "prints": [row[2] for row in page],
        },
    )
    return [row["key"] for row in rows]


async def any_subscription(db: Database) -> bool:
    """Whether we answer for any subscription."""
    row = await db.row(
        "SELECT EXISTS (SELECT FROM services WHERE provider = %(provider)s AND state <> 'terminated') AS found",
        {"provider": STRIPE},
    )
    return bool(row and row["found"])


async def meet(db: Database, sweep: Sweep, kind: str, ids: Sequence[str]) -> None:
    """Note what a list showed and nobody could read: it is not missing."""
    await db.rows(
        f"WITH page AS (SELECT unnest(%(ids)s::text[]) AS id WHERE {HELD}) {_SEEN}",
        {"sweep": sweep.id, "holder": sweep.holder, "kind": kind, "ids": list(ids)},
    )


def _walked(sweep: Sweep, kind: str) -> dict[str, Any]:
    return {"sweep": sweep.id, "holder": sweep.holder, "kind": kind, "began": sweep.started_at}


async def _count_seen(db: Database) -> None:
    """Tell the planner what has come in: it takes a table that just grew for an empty one, and joins it row by row."""
    await db.rows("ANALYZE sweep_seen")


async def missing_subscriptions(db: Database, sweep: Sweep) -> list[str]:
    """Mark the customers due of whose services Stripe listed no subscription any more, once until it does again."""
    await _count_seen(db)
    rows = await db.rows(
        f"""
        WITH gone AS (
            SELECT s.provider, s.subscription_id, s.slot, s.customer_id FROM services s
            WHERE s.provider = %(provider)s AND s.state <> 'terminated' AND s.created_at < %(began)s
                AND NOT s.unlisted AND {_UNSEEN.format(id="s.subscription_id")}
                AND {HELD} AND {_WHOLE}
        ), {_LOCKED.format(customers="SELECT customer_id FROM gone")}, differing AS (
            UPDATE services s SET unlisted = true, updated_at = now() FROM gone, first
            WHERE (s.provider, s.subscription_id, s.slot) = (gone.provider, gone.subscription_id, gone.slot)
            RETURNING s.customer_id
        ) {_NUDGE}
        """,
        {**_walked(sweep, "subscription"), "provider": STRIPE},
    )
    return [row["key"] for row in rows]


@dataclass(frozen=True, slots=True)
class SeenOrg:
    """An organisation as the panel lists it."""

    id: str
    name: str
    gone: bool
    suspended: bool
    owner_email: str | None
    owner_login_id: str | None
    subscriptions: int


async def compare_orgs(db: Database, sweep: Sweep, page: Sequence[SeenOrg]) -> list[str]:
    """Remember how the panel lists our organisations; mark the customers due of whom one is gone, back or renamed.

    A name is renamed once it is neither ours nor what was seen before, so that a panel that spells names in its own way
    is not asked again at each sweep. What was adopted keeps the name that it came with.

    So is hosting in it: the panel counts each one's subscriptions, and how many more or fewer they are than ours stays
    the same unless somebody adds or deletes one by hand. Fewer than ours tell at first sight.
    """
    rows = await db.rows(
        f"""
        WITH page AS (
            SELECT * FROM unnest(%(ids)s::text[], %(names)s::text[], %(gone)s::boolean[], %(suspended)s::boolean[],
                %(emails)s::text[], %(logins)s::text[], %(subscriptions)s::integer[])
                AS p (id, name, gone, suspended, email, login, subscriptions)
            WHERE {HELD}
        ), seen AS ({_SEEN}), met AS (
            SELECT c.customer_id, page.gone, page.suspended, page.name, counted.surplus,
                CASE WHEN c.erased_at IS NULL THEN page.name END AS kept_name,
                CASE WHEN c.erased_at IS NULL THEN page.email END AS kept_email,
                c.org_gone <> page.gone
                    OR counted.surplus <> coalesce(c.panel_surplus, greatest(counted.surplus, 0)) AS flipped,
                NOT page.gone AND c.erased_at IS NULL AND page.name <> c.org_name
                    AND page.name IS DISTINCT FROM c.panel_name
                    AND NOT EXISTS (SELECT FROM services s
                        WHERE s.provider = c.provider AND s.customer_id = c.customer_id AND s.adopted) AS renamed
            FROM page JOIN customers c ON c.provider = %(provider)s AND c.org_id = page.id::uuid
            CROSS JOIN LATERAL (
                SELECT page.subscriptions - count(*)::integer AS surplus FROM services s
                WHERE s.provider = c.provider AND s.customer_id = c.customer_id
                    AND s.panel_subscription_id IS NOT NULL AND s.state <> 'terminated') AS counted
        ), {_LOCKED.format(customers="SELECT customer_id FROM met WHERE flipped OR renamed")}, changed AS (
            UPDATE customers c SET org_gone = met.gone, org_suspended = met.suspended, org_unclear = false,
                panel_name = met.kept_name, panel_email = met.kept_email, panel_surplus = met.surplus,
                updated_at = now(),
                org_name = CASE WHEN met.renamed THEN met.name ELSE c.org_name END
            FROM met, first
            WHERE c.provider = %(provider)s AND c.customer_id = met.customer_id
                AND (c.org_gone, c.org_suspended, c.org_unclear, c.panel_name, c.panel_email, c.panel_surplus)
                    IS DISTINCT FROM (met.gone, met.suspended, false, met.kept_name, met.kept_email, met.surplus)
            RETURNING c.customer_id, met.flipped OR coalesce(met.renamed, false) AS surprising
        ), verified AS (
            INSERT INTO actions (action_id, provider, customer_id, kind, state, rule)
            SELECT a.action_id, a.provider, a.customer_id, a.kind, 'verified', 'seen_by_sweep'
            FROM page
            JOIN customers c ON c.provider = %(provider)s AND c.org_id = page.id::uuid AND NOT page.gone
            JOIN actions a ON a.provider = c.provider AND a.customer_id = c.customer_id AND a.state = 'applied'
                AND (a.kind = 'create_org' OR (a.kind = 'rename_org' AND page.name = c.org_name)
                    OR (a.kind IN ('create_login', 'add_owner') AND page.login = c.login_id::text))
            WHERE NOT EXISTS (SELECT FROM actions v WHERE v.action_id = a.action_id AND v.state = 'verified')
            ON CONFLICT (action_id, state) DO NOTHING
        ), differing AS (SELECT customer_id FROM changed WHERE surprising)
        {_NUDGE}
        """,
        {
            "sweep": sweep.id,
            "holder": sweep.holder,
            "kind": "org",
            "provider": STRIPE,
            "ids": [org.id for org in page],
            "names": [org.name for org in page],
            "gone": [org.gone for org in page],
            "suspended": [org.suspended for org in page],
            "emails": [org.owner_email for org in page],
            "logins": [org.owner_login_id for org in page],
            "subscriptions": [org.subscriptions for org in page],
        },
    )
    return [row["key"] for row in rows]


async def strange_orgs(db: Database, marked: Mapping[str, str]) -> list[str]:
    """Which organisations that carry a customer's mark (id -> customer) are not remembered as theirs.

    Left out: whose creation is not ended yet, and whose customer a pass may be working on.
    """
    rows = await db.rows(
        """
        SELECT o.id FROM unnest(%(ids)s::text[], %(customers)s::text[]) AS o (id, customer_id)
        WHERE NOT EXISTS (SELECT FROM customers c WHERE c.provider = %(provider)s AND c.org_id = o.id::uuid)
            AND NOT EXISTS (SELECT FROM due d
                WHERE d.kind = 'customer' AND d.key = o.customer_id AND d.parked_reason IS NULL
                    AND (d.waits_for IS NULL OR d.due_at <= now() OR d.leased_until > now()))
            AND NOT EXISTS (SELECT FROM actions i
                WHERE i.provider = %(provider)s AND i.customer_id = o.customer_id AND i.kind = 'create_org'
                    AND i.state = 'intent' AND NOT EXISTS (SELECT FROM actions e
                        WHERE e.action_id = i.action_id AND e.state IN ('applied', 'failed')))
        """,
        {"ids": list(marked), "customers": list(marked.values()), "provider": STRIPE},
    )
    return [row["id"] for row in rows]


async def missing_orgs(db: Database, sweep: Sweep, limit: int) -> list[str]:
    """Some of our organisations that the panel did not list, and of which nobody has said yet that they are gone."""
    await _count_seen(db)
    rows = await db.rows(
        f"""
        SELECT c.org_id::text AS id FROM customers c
        WHERE c.provider = %(provider)s AND c.org_id IS NOT NULL AND NOT c.org_gone AND c.updated_at < %(began)s
            AND {_UNSEEN.format(id="c.org_id")} AND {_WHOLE}
        ORDER BY 1 LIMIT %(limit)s
        """,
        {**_walked(sweep, "org"), "provider": STRIPE, "limit": limit},
    )
    return [row["id"] for row in rows]


async def orgs_gone(db: Database, sweep: Sweep, gone: Sequence[str], unclear: Sequence[str]) -> list[str]:
    """Note the organisations that are gone; mark their customers due, and those of whom the panel would not tell."""
    return await _note_gone(db, sweep, "org", "customers", gone, unclear)


@dataclass(frozen=True, slots=True)
class SeenWebsite:
    """A website as the panel lists it."""

    id: str
    subscription_id: int | None
    plan_id: int | None
    gone: bool
    off: bool


async def compare_websites(db: Database, sweep: Sweep, page: Sequence[SeenWebsite]) -> list[str]:
    """Remember how the panel lists our websites; mark the customers due whose subscriptions show another plan or state.

    A website shows what its subscription is on, and whether it is off: one list for all instead of a call for each.
    One that went or came back costs one pass, which tells a deleted website from a deleted subscription; one that is
    off for a cause of its own costs one when it is first seen so, as does one that shows another plan or state than
    its subscription has: what a pass has looked at is remembered until that pass, or another one, changes something.
    """
    rows = await db.rows(
        f"""
        WITH page AS (
            SELECT * FROM unnest(%(ids)s::text[], %(subscriptions)s::integer[], %(plans)s::integer[],
                %(gone)s::boolean[], %(off)s::boolean[]) AS p (id, subscription_id, plan_id, gone, off)
            WHERE {HELD}
        ), seen AS ({_SEEN}), own AS (
            SELECT s.provider, s.subscription_id, s.slot, page.off, page.gone,
                NOT page.gone AND s.state <> 'terminated'
                    AND page.off <> (s.state = 'suspended' OR s.panel_suspended) AS differs
            FROM page JOIN services s ON s.provider = %(provider)s AND s.website_id = page.id::uuid
        ), moved AS (
            SELECT s.provider, s.subscription_id, s.slot, min(page.plan_id) AS plan_id
            FROM page
            JOIN services s ON s.provider = %(provider)s AND s.panel_subscription_id = page.subscription_id
            WHERE NOT page.gone AND page.plan_id IS NOT NULL AND s.panel_plan_id IS DISTINCT FROM page.plan_id
                AND s.state <> 'terminated'
            GROUP BY s.provider, s.subscription_id, s.slot
        ), looked AS (
            SELECT s.provider, s.subscription_id, s.slot, s.customer_id, coalesce(l.off, s.website_off) AS off,
                coalesce(l.gone, s.website_gone) AS gone, coalesce(l.differs, s.website_differs) AS differs,
                coalesce(l.plan_id, s.website_plan_id) AS plan_id, s.state <> 'terminated'
                    AND (l.gone <> s.website_gone OR l.differs AND NOT s.website_differs
                        OR l.plan_id IS NOT NULL AND l.plan_id IS DISTINCT FROM s.website_plan_id) AS surprising
            FROM (SELECT * FROM own FULL JOIN moved USING (provider, subscription_id, slot)) AS l
            JOIN services s USING (provider, subscription_id, slot)
        ), {_LOCKED.format(customers="SELECT customer_id FROM looked WHERE surprising")}, changed AS (
            UPDATE services s SET website_off = l.off, website_gone = l.gone, website_differs = l.differs,
                website_plan_id = l.plan_id, website_unclear = false, updated_at = now()
            FROM looked l, first
            WHERE (s.provider, s.subscription_id, s.slot) = (l.provider, l.subscription_id, l.slot)
                AND (s.website_off, s.website_gone, s.website_differs, s.website_plan_id, s.website_unclear)
                    IS DISTINCT FROM (l.off, l.gone, l.differs, l.plan_id, false)
            RETURNING s.customer_id, l.surprising
        ), verified AS (
            INSERT INTO actions (action_id, provider, customer_id, subscription_id, slot, kind, state, rule)
            SELECT a.action_id, a.provider, a.customer_id, a.subscription_id, a.slot, a.kind, 'verified',
                'seen_by_sweep'
            FROM page
            JOIN services s ON s.provider = %(provider)s AND s.website_id = page.id::uuid AND NOT page.gone
            JOIN actions a ON a.provider = s.provider AND a.customer_id = s.customer_id AND a.state = 'applied'
                AND (a.kind = 'create_website'
                    OR a.kind = 'move_website' AND page.subscription_id = s.panel_subscription_id)
                AND a.subscription_id = s.subscription_id AND a.slot = s.slot
            WHERE NOT EXISTS (SELECT FROM actions v WHERE v.action_id = a.action_id AND v.state = 'verified')
            ON CONFLICT (action_id, state) DO NOTHING
        ), differing AS (SELECT customer_id FROM changed WHERE surprising)
        {_NUDGE}
        """,
        {
            "sweep": sweep.id,
            "holder": sweep.holder,
            "kind": "website",
            "provider": STRIPE,
            "ids": [site.id for site in page],
            "subscriptions": [site.subscription_id for site in page],
            "plans": [site.plan_id for site in page],
            "gone": [site.gone for site in page],
            "off": [site.off for site in page],
        },
    )
    return [row["key"] for row in rows]


async def missing_websites(db: Database, sweep: Sweep, limit: int) -> list[tuple[str, str | None]]:
    """Some of our websites that the panel did not list: (id, its organisation, `None` once that is gone)."""
    await _count_seen(db)
    rows = await db.rows(
        f"""
        SELECT s.website_id::text AS id, CASE WHEN NOT c.org_gone THEN c.org_id::text END AS org_id
        FROM services s JOIN customers c ON c.provider = s.provider AND c.customer_id = s.customer_id
        WHERE s.provider = %(provider)s AND s.website_id IS NOT NULL AND NOT s.website_gone
            AND s.state <> 'terminated' AND s.updated_at < %(began)s
            AND {_UNSEEN.format(id="s.website_id")} AND {_WHOLE}
        ORDER BY 1 LIMIT %(limit)s
        """,
        {**_walked(sweep, "website"), "provider": STRIPE, "limit": limit},
    )
    return [(row["id"], row["org_id"]) for row in rows]


async def websites_gone(db: Database, sweep: Sweep, gone: Sequence[str], unclear: Sequence[str]) -> list[str]:
    """Note the websites that are gone; mark their customers due, for their subscription may be gone too.

    A website alone is not made again: its owner may delete it. Those of which the panel would not tell: also due.
    """
    return await _note_gone(db, sweep, "website", "services", gone, unclear)


async def _note_gone(
    db: Database,
    sweep: Sweep,
    kind: Literal["org", "website"],
    table: Literal["customers", "services"],
    gone: Sequence[str],
    unclear: Sequence[str],
) -> list[str]:
    asked = f"{kind}_id = ANY(%(gone)s::uuid[]) OR {kind}_id = ANY(%(unclear)s::uuid[]) AND NOT {kind}_unclear"
    theirs = f"SELECT customer_id FROM {table} WHERE provider = %(provider)s AND ({asked})"
    rows = await db.rows(
        f"""
        WITH page AS (SELECT unnest(%(unclear)s::text[]) AS id WHERE {HELD}), seen AS ({_SEEN}),
        {_LOCKED.format(customers=theirs)}, noted AS (
            UPDATE {table} t SET {kind}_gone = true, updated_at = now() FROM first
            WHERE t.provider = %(provider)s AND t.{kind}_id = ANY(%(gone)s::uuid[]) AND {HELD}
            RETURNING t.customer_id
        ), doubted AS (
            UPDATE {table} t SET {kind}_unclear = true, updated_at = now() FROM page, first
            WHERE t.provider = %(provider)s AND t.{kind}_id = page.id::uuid AND NOT t.{kind}_unclear
            RETURNING t.customer_id
        ), differing AS (SELECT customer_id FROM noted UNION SELECT customer_id FROM doubted) {_NUDGE}
        """,
        {**_walked(sweep, kind), "provider": STRIPE, "gone": list(gone), "unclear": list(unclear)},
    )
    return [row["key"] for row in rows]
