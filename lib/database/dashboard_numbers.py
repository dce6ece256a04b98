"""How everything stands, counted.

Services by their state, customers, and what rows of the queue wait for are counted whole: the first two in an index,
the last in the queue, which has no rows but of those who have a date. Everything else is a range of an index.
"""

from __future__ import annotations

from typing import Any

from lib.database.connection import Database
from lib.database.due import FREE
from lib.database.keys import as_text
from lib.model import Lane, Priority

_NUMBERS = f"""
    SELECT
        (SELECT count(*) FROM customers)
            - (SELECT count(*) FROM customers WHERE erased_at IS NOT NULL AND org_id IS NULL) AS customers,
        (SELECT coalesce(jsonb_object_agg(state, n), '{{}}') FROM (
            SELECT state, count(*) AS n FROM services GROUP BY state) AS s) AS services,
        (SELECT coalesce(jsonb_object_agg(hold, n), '{{}}') FROM (
            SELECT unnest(holds) AS hold, count(*) AS n FROM services
            WHERE holds <> '{{}}' AND state <> 'terminated' GROUP BY 1) AS h
        ) AS holds,
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
            SELECT coalesce(waits_for, 'retry') AS why, count(*) AS n FROM due
            WHERE parked_reason IS NULL AND {FREE} AND due_at > statement_timestamp() GROUP BY 1) AS w) AS waiting,
        (SELECT count(*) FROM unnest(%(lanes)s::text[]) AS l (lane)
            CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
            JOIN due d ON d.lane = l.lane AND d.priority = p.priority
            WHERE d.parked_reason IS NULL AND {FREE} AND d.due_at <= statement_timestamp()) AS due,
        (SELECT count(*) FROM unnest(%(lanes)s::text[]) AS l (lane)
            JOIN due d ON d.lane = l.lane WHERE d.leased_until > statement_timestamp()) AS working,
        (SELECT count(*) FROM shadow_plans) AS shadow_customers,
        (SELECT coalesce(jsonb_object_agg(kind, n), '{{}}') FROM (
            SELECT a ->> 'kind' AS kind, count(*) AS n FROM shadow_plans, jsonb_array_elements(actions) AS a
            GROUP BY 1) AS k) AS shadow_actions,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', {as_text()}, 'actions', actions)), '[]') FROM (
            SELECT * FROM shadow_plans ORDER BY planned_at DESC LIMIT 50) AS p) AS shadow_plans,
        (SELECT count(*) FROM events WHERE received_at > now() - interval '1 day') AS events_day,
        (SELECT max(received_at) FROM events WHERE source = 'webhook') AS newest_webhook,
        (SELECT coalesce(jsonb_object_agg(kind, n), '{{}}') FROM (
            SELECT kind, count(*) AS n FROM actions
            WHERE state = 'applied' AND at > now() - interval '1 day' GROUP BY 1) AS a) AS actions_day
"""


async def read(db: Database) -> dict[str, Any]:
    """Every number of the dashboard, in one statement."""
    lanes, priorities = [lane.value for lane in Lane], [priority.value for priority in Priority]
    row = await db.row(_NUMBERS, {"lanes": lanes, "priorities": priorities})
    assert row is not None
    return dict(row)
