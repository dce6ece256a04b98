"""How everything stands, counted.

Services by their state and hold, customers, and what rows of the queue wait for are kept (see `tallies`). All else
is a range of an index: what is due or wrong now, or was done within a day.
"""

from __future__ import annotations

from typing import Any

from lib.database import tallies
from lib.database.connection import Database
from lib.database.events_by_hour import LAST_DAY
from lib.database.keys import as_text
from lib.model import Lane, Priority

_NUMBERS = f"""
    WITH {tallies.TOLD}, {tallies.BUSY}, {tallies.WAITING}
    SELECT
        {tallies.total("customers")} AS customers,
        {tallies.by_label("services")} AS services,
        {tallies.by_label("holds")} AS holds,
        (SELECT count(*) FROM services WHERE panel_suspended) AS panel_suspended,
        (SELECT count(*) FROM services WHERE website_gone AND state <> 'terminated') AS websites_gone,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', {as_text()},
            'subscription_id', subscription_id, 'slot', slot, 'domain', domain)), '[]') FROM (
            SELECT * FROM services WHERE website_gone AND state <> 'terminated'
            ORDER BY updated_at DESC, subscription_id, slot LIMIT 50) AS g) AS websites_gone_from,
        (SELECT count(*) FROM services WHERE waits_for = 'domain_differs') AS domains_differ,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', {as_text()},
            'subscription_id', subscription_id, 'slot', slot, 'domain', domain)), '[]') FROM (
            SELECT * FROM services WHERE waits_for = 'domain_differs'
            ORDER BY updated_at DESC, subscription_id, slot LIMIT 50) AS v) AS domains_differ_of,
        (SELECT count(*) FROM customers WHERE org_suspended) AS orgs_suspended,
        (SELECT coalesce(jsonb_object_agg(why, n), '{{}}') FROM (
            SELECT why, sum(n) AS n FROM waiting GROUP BY 1) AS w) AS waiting,
        (SELECT count(*) FROM busy WHERE NOT parked AND NOT leased) AS due,
        (SELECT count(*) FROM busy WHERE leased) AS working,
        {tallies.total("shadow_customers")} AS shadow_customers,
        {tallies.by_label("shadow_actions")} AS shadow_actions,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', {as_text()}, 'actions', actions)), '[]') FROM (
            SELECT * FROM shadow_plans ORDER BY planned_at DESC LIMIT 50) AS p) AS shadow_plans,
        ({LAST_DAY}) AS events_day,
        (SELECT max(received_at) FROM events WHERE source = 'webhook') AS newest_webhook,
        (SELECT coalesce(jsonb_object_agg(kind, n), '{{}}') FROM (
            SELECT kind, count(*) AS n FROM actions
            WHERE state = 'applied' AND at > now() - interval '1 day' GROUP BY 1) AS a) AS actions_day
"""


async def read(db: Database) -> dict[str, Any]:
    """Every number of the dashboard, in one statement."""
    await tallies.fold(db)
    lanes, priorities = [lane.value for lane in Lane], [priority.value for priority in Priority]
    row = await db.row(_NUMBERS, {"lanes": lanes, "priorities": priorities})
    assert row is not None
    return dict(row)
