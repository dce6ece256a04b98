"""What we remember of one customer, read whole in one statement."""

from __future__ import annotations

from typing import Any

from lib.database.connection import Database
from lib.database.keys import whose
from lib.database.services import read_time, service_of
from lib.model import ActionKind, Catalogue, CustomerKey, Intent, Memory, PlanMapping, PlanRule, ServiceKey, recalled

_LOAD = """
    SELECT
        (SELECT to_jsonb(c) FROM customers c
         WHERE provider = %(provider)s AND customer_id = %(customer)s) AS customer,
        (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.subscription_id, s.slot), '[]')
         FROM services s WHERE provider = %(provider)s AND customer_id = %(customer)s) AS services,
        (SELECT coalesce(jsonb_agg(jsonb_build_object(
             'action_id', i.action_id, 'kind', i.kind, 'subscription_id', i.subscription_id, 'slot', i.slot,
             'facts', i.facts, 'at', i.at, 'lost_at', u.at,
             'answered', coalesce((u.facts ->> 'answered')::boolean, false)) ORDER BY i.id), '[]')
         FROM actions i
         LEFT JOIN actions u ON u.action_id = i.action_id AND u.state = 'unknown'
         WHERE i.provider = %(provider)s AND i.customer_id = %(customer)s AND i.state = 'intent'
            AND NOT EXISTS (
                SELECT FROM actions e WHERE e.action_id = i.action_id AND e.state IN ('applied', 'failed'))
        ) AS intents,
        (SELECT coalesce(jsonb_agg(jsonb_build_array(subscription_id, status) ORDER BY dispute_id), '[]')
         FROM disputes
         WHERE provider = %(provider)s AND customer_id = %(customer)s AND subscription_id IS NOT NULL
            AND NOT waived) AS disputes,
        (SELECT coalesce(jsonb_agg(invoice_id), '[]') FROM (
            -- One of several payments of a bill is not the whole bill.
            SELECT invoice_id FROM refunds
            WHERE provider = %(provider)s AND customer_id = %(customer)s AND invoice_id IS NOT NULL AND NOT waived
            GROUP BY invoice_id HAVING bool_or(charge_refunded)
                AND coalesce(sum(amount) FILTER (WHERE status NOT IN ('failed', 'canceled')) >= max(invoice_paid), true)
         ) AS whole) AS refunded,
        (SELECT coalesce(jsonb_object_agg(subscription_id, fingerprint), '{}') FROM subscriptions
         WHERE provider = %(provider)s AND customer_id = %(customer)s) AS fingerprints,
        (SELECT coalesce(jsonb_agg(DISTINCT subscription_id), '[]') FROM events
         WHERE provider = %(provider)s AND customer_id = %(customer)s AND subscription_id IS NOT NULL
            AND outcome = 'accepted' AND received_at > now() - interval '3 days') AS named,
        (SELECT coalesce(jsonb_object_agg(subscription_id, quantity_let_pass), '{}') FROM subscriptions
         WHERE provider = %(provider)s AND customer_id = %(customer)s AND quantity_let_pass IS NOT NULL
        ) AS let_pass,
        (SELECT coalesce(jsonb_agg(subscription_id), '[]') FROM subscriptions
         WHERE provider = %(provider)s AND customer_id = %(customer)s AND closed) AS closed,
        (SELECT max(received_at) FROM events
         WHERE provider = %(provider)s AND customer_id = %(customer)s AND type LIKE 'checkout.session.%%'
        ) AS session_event_at,
        (SELECT coalesce(jsonb_agg(to_jsonb(m)), '[]') FROM plan_mappings m
         WHERE billing_provider = %(provider)s) AS mappings,
        (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM plan_rules r
         WHERE billing_provider = %(provider)s) AS rules
"""


async def load(db: Database, whom: CustomerKey) -> tuple[Memory, Catalogue]:
    """The customer with their services and unfinished actions, and what the operator sells; empty when unknown."""
    row = await db.row(_LOAD, whose(whom))
    assert row is not None
    return _memory(row, whom), _catalogue(row)


def _memory(row: dict[str, Any], whom: CustomerKey) -> Memory:
    customer = row["customer"] or {}
    return Memory(
        customer_id=whom.id,
        provider=whom.provider,
        org_id=customer.get("org_id"),
        org_name=customer.get("org_name"),
        login_id=customer.get("login_id"),
        member_id=customer.get("member_id"),
        email=customer.get("email"),
        name=customer.get("name"),
        known=bool(customer),
        linked=customer.get("linked_to") is not None,
        welcomed=customer.get("welcomed_at") is not None,
        services=tuple(service_of(s) for s in row["services"]),
        intents=tuple(_intent(i) for i in row["intents"]),
        disputes=tuple((subscription_id, status) for subscription_id, status in row["disputes"]),
        refunded_invoices=frozenset(row["refunded"]),
        fingerprints=row["fingerprints"],
        closed=frozenset(row["closed"]),
        erased=customer.get("erased_at") is not None,
        named=frozenset(row["named"]),
        let_pass=row["let_pass"],
        session_event_at=row["session_event_at"],
    )


def _catalogue(row: dict[str, Any]) -> Catalogue:
    mappings = {m["billing_plan_id"]: _mapping(m) for m in row["mappings"]}
    rules = tuple(
        PlanRule(r["base_plan_id"], r["addon_plan_id"], r["min_quantity"], r["enhance_plan_id"]) for r in row["rules"]
    )
    return Catalogue(mappings, rules)


def _intent(row: dict[str, Any]) -> Intent:
    at = read_time(row["at"])
    assert at is not None
    key = ServiceKey(row["subscription_id"], row["slot"]) if row["slot"] is not None else None
    facts = row["facts"] or {}
    return Intent(
        row["action_id"],
        recalled(ActionKind(row["kind"]), key, facts),
        at,
        answered=row["answered"],
        lost_at=read_time(row["lost_at"]),
        token=facts.get("token"),
    )


def _mapping(row: dict[str, Any]) -> PlanMapping:
    return PlanMapping(
        price_id=row["billing_plan_id"],
        kind=row["kind"],
        plan=row["enhance_plan_id"],
        activate_on=row["activate_on"],
        grace_days=row["grace_days"],
        create_website=row["create_website"],
        server_group_id=row["server_group_id"],
    )
