"""How everything stands, counted."""

from __future__ import annotations

from typing import Any

from lib.database.connection import Database
from lib.database.keys import as_text

_NUMBERS = f"""
    WITH queue AS (SELECT *, coalesce(leased_until > clock_timestamp(), false) AS leased FROM due)
    SELECT
        (SELECT count(*) FROM customers WHERE org_id IS NOT NULL OR erased_at IS NULL) AS customers,
        (SELECT coalesce(jsonb_object_agg(state, n), '{{}}') FROM (
            SELECT state, count(*) AS n FROM services GROUP BY state) AS s) AS services,
        (SELECT coalesce(jsonb_object_agg(hold, n), '{{}}') FROM (
            SELECT unnest(holds) AS hold, count(*) AS n FROM services WHERE state <> 'terminated' GROUP BY 1) AS h
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
        (SELECT coalesce(jsonb_object_agg(parked_reason, n), '{{}}') FROM (
            SELECT parked_reason, count(*) AS n FROM queue
            WHERE parked_reason IS NOT NULL AND NOT leased GROUP BY 1) AS p) AS parked,
        (SELECT coalesce(jsonb_object_agg(why, n), '{{}}') FROM (
            SELECT coalesce(waits_for, 'retry') AS why, count(*) AS n FROM queue
            WHERE parked_reason IS NULL AND NOT leased AND due_at > clock_timestamp() GROUP BY 1) AS w) AS waiting,
        (SELECT count(*) FROM queue
            WHERE parked_reason IS NULL AND NOT leased AND due_at <= clock_timestamp()) AS due,
        (SELECT count(*) FROM queue WHERE leased) AS working,
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
    row = await db.row(_NUMBERS)
    assert row is not None
    return dict(row)
