"""How everything stands, counted.

What calls for a person, services by their state and hold, customers, and what rows of the queue wait for are kept (see
`tallies`). All else is a range of an index: what is due now, or was done within a day.
"""

from __future__ import annotations

from typing import Any

from lib.database import tallies
from lib.database.connection import Database, Reading
from lib.database.due import FREE
from lib.database.events_by_hour import LAST_DAY
from lib.database.keys import as_text
from lib.database.lists.disputes import TO_ANSWER
from lib.model import Lane, Priority

SHOWN = 50
"""Of services that call for a look, and of plans of the shadow mode."""

_WEBSITE_GONE = "website_gone AND state <> 'terminated'"
_DOMAIN_DIFFERS = "waits_for = 'domain_differs'"


def _services(condition: str) -> str:
    """An expression: the first services of which this is true, in the order of the index of them."""
    return f"""(
        SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', {as_text()}, 'subscription_id', subscription_id,
            'slot', slot, 'domain', domain) ORDER BY subscription_id, slot), '[]')
        FROM (SELECT * FROM services WHERE {condition} ORDER BY subscription_id, slot LIMIT {SHOWN}) AS s)"""


_NUMBERS = f"""
    WITH {tallies.TOLD}, {tallies.BUSY}, {tallies.WAITING}, {tallies.PARKED}
    SELECT
        {tallies.total("customers")} AS customers,
        {tallies.by_label("services")} AS services,
        {tallies.by_label("holds")} AS holds,
        {tallies.total("looks", "panel_suspended")} AS panel_suspended,
        {tallies.total("looks", "website_gone")} AS websites_gone,
        {_services(_WEBSITE_GONE)} AS websites_gone_from,
        {tallies.total("looks", "domain_differs")} AS domains_differ,
        {_services(_DOMAIN_DIFFERS)} AS domains_differ_of,
        {tallies.total("looks", "org_suspended")} AS orgs_suspended,
        (SELECT coalesce(jsonb_object_agg(why, n), '{{}}') FROM (
            SELECT why, sum(n) AS n FROM waiting GROUP BY 1) AS w) AS waiting,
        (SELECT coalesce(sum(n), 0)::bigint FROM busy WHERE reason IS NULL AND NOT leased) AS due,
        (SELECT coalesce(sum(n), 0)::bigint FROM busy WHERE leased) AS working,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('reason', p.reason, 'count', p.n, 'oldest_at', first.parked_at)
            ORDER BY p.n DESC, p.reason), '[]')
            FROM (SELECT reason, sum(n)::bigint AS n FROM parked GROUP BY 1) AS p CROSS JOIN LATERAL (
                SELECT parked_at FROM due WHERE parked_reason = p.reason AND parked_at IS NOT NULL AND {FREE}
                ORDER BY parked_at LIMIT 1
            ) AS first) AS parked,
        -- Of those whose date was long ago nobody is told any more.
        {tallies.total("disputes", "to_answer")} - (
            SELECT count(*) FROM disputes WHERE {TO_ANSWER} AND due_by <= now() - interval '90 days') AS disputes,
        {tallies.total("shadow_customers")} AS shadow_customers,
        {tallies.by_label("shadow_actions")} AS shadow_actions,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', {as_text()}, 'actions', actions)), '[]') FROM (
            SELECT * FROM shadow_plans ORDER BY planned_at DESC LIMIT {SHOWN}) AS p) AS shadow_plans,
        ({LAST_DAY}) AS events_day,
        (SELECT max(received_at) FROM events WHERE source = 'webhook') AS newest_webhook,
        (SELECT coalesce(jsonb_object_agg(kind, n), '{{}}') FROM (
            SELECT kind, count(*) AS n FROM actions
            WHERE state = 'applied' AND at > now() - interval '1 day' GROUP BY 1) AS a) AS actions_day
"""


def reading() -> Reading[dict[str, Any]]:
    """Every number of the dashboard, in one statement."""
    lanes, priorities = [lane.value for lane in Lane], [priority.value for priority in Priority]
    return Reading(_NUMBERS, {"lanes": lanes, "priorities": priorities}, lambda rows: dict(rows[0]))


async def read(db: Database) -> dict[str, Any]:
    """The same, by itself."""
    return await db.read(reading())
