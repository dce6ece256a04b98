"""What we remember of one customer: read whole in one statement, written row by row as the panel tells its ids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lib.database.connection import Database
from lib.errors import LeaseLost
from lib.model import (
    ActionKind,
    Catalogue,
    Hold,
    Intent,
    Memory,
    PlanMapping,
    PlanRule,
    Service,
    ServiceKey,
    ServiceState,
    Subscription,
    recalled,
)
from lib.policy.naming import marks


async def load(db: Database, customer_id: str, *, provider: str = "stripe") -> tuple[Memory, Catalogue]:
    """The customer with their services and unfinished actions, and what the operator sells; empty when unknown."""
    row = await db.row(
        """
        SELECT
            (SELECT to_jsonb(c) FROM customers c
             WHERE provider = %(provider)s AND customer_id = %(customer)s) AS customer,
            (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.subscription_id, s.slot), '[]')
             FROM services s WHERE provider = %(provider)s AND customer_id = %(customer)s) AS services,
            (SELECT coalesce(jsonb_agg(jsonb_build_object(
                 'action_id', i.action_id, 'kind', i.kind, 'subscription_id', i.subscription_id, 'slot', i.slot,
                 'rule', i.rule, 'facts', i.facts, 'at', i.at, 'lost_at', u.at,
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
            (SELECT coalesce(jsonb_agg(DISTINCT invoice_id), '[]') FROM refunds
             WHERE provider = %(provider)s AND customer_id = %(customer)s AND invoice_id IS NOT NULL AND charge_refunded
                AND NOT waived
            ) AS refunded,
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
        """,
        {"provider": provider, "customer": customer_id},
    )
    assert row is not None
    customer = row["customer"] or {}
    memory = Memory(
        customer_id=customer_id,
        provider=provider,
        org_id=customer.get("org_id"),
        org_name=customer.get("org_name"),
        login_id=customer.get("login_id"),
        member_id=customer.get("member_id"),
        email=customer.get("email"),
        name=customer.get("name"),
        known=bool(customer),
        welcomed=customer.get("welcomed_at") is not None,
        services=tuple(_service(s) for s in row["services"]),
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
    mappings = {m["billing_plan_id"]: _mapping(m) for m in row["mappings"]}
    rules = tuple(
        PlanRule(r["base_plan_id"], r["addon_plan_id"], r["min_quantity"], r["enhance_plan_id"]) for r in row["rules"]
    )
    return memory, Catalogue(mappings, rules)


_HELD = "EXISTS (SELECT FROM due WHERE lease_id = %(lease)s FOR SHARE)"
"""Only the present holder of the lease may remember: one that was overtaken would write back what it knew before."""


async def owner_of(db: Database, subscription_id: str, *, provider: str = "stripe") -> str | None:
    """Whose services those of a subscription are."""
    row = await db.row(
        "SELECT customer_id FROM services WHERE provider = %(provider)s AND subscription_id = %(id)s LIMIT 1",
        {"provider": provider, "id": subscription_id},
    )
    return str(row["customer_id"]) if row else None


async def knows(db: Database, customer_id: str, *, provider: str = "stripe") -> bool:
    """Whether anything is remembered of a customer."""
    row = await db.row(
        "SELECT 1 FROM customers WHERE provider = %(provider)s AND customer_id = %(id)s",
        {"provider": provider, "id": customer_id},
    )
    return row is not None


async def remember_customer(
    db: Database, memory: Memory, lease_id: str, *, livemode: bool, named: bool = False
) -> None:
    """Write the customer's row as it now is in `memory`.

    Args:
        named: the organisation was given this name just now. Else a name that a sweep has found there meanwhile, and
            that the next pass is to correct, stays.

    Raises:
        LeaseLost: another process holds this customer now.
    """
    rows = await db.rows(
        f"""
        INSERT INTO customers
            (provider, customer_id, livemode, email, name, org_id, org_name, login_id, member_id, welcomed_at)
        SELECT %(provider)s, %(customer)s, %(livemode)s, %(email)s, %(name)s, %(org)s, %(org_name)s, %(login)s,
            %(member)s, CASE WHEN %(welcomed)s THEN now() END
        WHERE {_HELD}
        ON CONFLICT (provider, customer_id) DO UPDATE SET
            email = excluded.email, name = excluded.name, org_id = excluded.org_id,
            org_name = CASE WHEN %(named)s OR customers.org_id IS DISTINCT FROM excluded.org_id
                THEN excluded.org_name ELSE customers.org_name END,
            login_id = excluded.login_id, member_id = excluded.member_id,
            welcomed_at = CASE WHEN %(welcomed)s THEN coalesce(customers.welcomed_at, now()) END, updated_at = now()
        RETURNING 1
        """,
        {
            "lease": lease_id,
            "provider": memory.provider,
            "customer": memory.customer_id,
            "livemode": livemode,
            "email": memory.email,
            "name": memory.name,
            "org": memory.org_id,
            "org_name": _mark_only(memory.org_name) if memory.erased else memory.org_name,
            "login": memory.login_id,
            "member": memory.member_id,
            "welcomed": memory.welcomed,
            "named": named,
        },
    )
    if not rows:
        raise LeaseLost("another process holds this customer now; what this one knew is not written")


_SEEN_ANEW = """
    website_off = services.website_off AND services.website_id IS NOT DISTINCT FROM excluded.website_id,
    website_gone = services.website_gone AND services.website_id IS NOT DISTINCT FROM excluded.website_id,
    website_differs = services.website_differs
        AND (services.website_id, services.state, services.suspended_by, services.panel_suspended)
        IS NOT DISTINCT FROM (excluded.website_id, excluded.state, excluded.suspended_by, excluded.panel_suspended),
    website_plan_id = CASE WHEN services.panel_plan_id IS NOT DISTINCT FROM excluded.panel_plan_id
        THEN services.website_plan_id END
"""
"""What a sweep has seen is forgotten when a pass finds or makes something else: seen once more, it is news."""


async def remember_services(db: Database, memory: Memory, services: Sequence[Service], lease_id: str) -> None:
    """Write these services of a customer whose row exists, all of them or none.

    A website that goes from one to another is taken from the one before it is given to the other.

    Raises:
        LeaseLost: another process holds this customer now.
    """
    rows = [
        {
            "subscription_id": s.key.subscription_id,
            "slot": s.key.slot,
            "item_id": s.item_id,
            "price_id": s.price_id,
            "plan": s.plan,
            "made_for": s.made_for or None,
            "state": s.state.value,
            "panel_subscription_id": s.panel_subscription_id,
            "panel_plan_id": s.panel_plan_id,
            "website_id": s.website_id,
            "domain": s.domain,
            "domain_sought_at": _iso(s.domain_sought_at),
            "holds": sorted(s.holds),
            "suspended_by": s.suspended_by,
            "panel_suspended": s.panel_suspended,
            "plan_since": _iso(s.plan_since),
            "unpaid_since": _iso(s.unpaid_since),
            "grace_until": _iso(s.grace_until),
            "grace_override": _iso(s.grace_override),
            "ended_at": _iso(s.ended_at),
            "retain_until": _iso(s.retain_until),
            "released": s.released,
            "adopted": s.adopted,
            "waits_for": s.waits_for,
        }
        for s in services
    ]
    columns = list(rows[0])
    written = await db.rows(
        f"""
        INSERT INTO services (provider, customer_id, {", ".join(columns)})
        SELECT %(provider)s, %(customer)s, {", ".join(columns)}
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
            subscription_id text, slot integer, item_id text, price_id text, plan text, made_for jsonb,
            state text,
            panel_subscription_id integer, panel_plan_id integer, website_id uuid, domain text,
            domain_sought_at timestamptz, holds text[], suspended_by uuid, panel_suspended boolean,
            plan_since timestamptz, unpaid_since timestamptz, grace_until timestamptz, grace_override timestamptz,
            ended_at timestamptz, retain_until timestamptz,
            released boolean, adopted boolean, waits_for text)
        WHERE {_HELD}
        ORDER BY website_id IS NOT NULL, subscription_id, slot
        ON CONFLICT (provider, subscription_id, slot) DO UPDATE SET
            {", ".join(f"{c} = excluded.{c}" for c in columns[2:])}, updated_at = now(), {_SEEN_ANEW}
        RETURNING 1
        """,
        {"provider": memory.provider, "customer": memory.customer_id, "rows": json.dumps(rows), "lease": lease_id},
    )
    if not written:
        raise LeaseLost("another process holds this customer now; what this one knew is not written")


@dataclass(frozen=True, slots=True)
class Said:
    """What Stripe says of a subscription now that its customer is at rest."""

    subscription: Subscription
    fingerprint: str
    closed: bool
    """It has ended, and no invoice of it can be paid any more."""

    def is_news(self, memory: Memory) -> bool:
        """Whether it is something else than what is remembered."""
        closed = self.subscription.id in memory.closed
        return memory.fingerprints.get(self.subscription.id) != self.fingerprint or (self.closed and not closed)


async def remember_said(db: Database, memory: Memory, said: Sequence[Said], lease_id: str) -> None:
    """Write what Stripe says of these subscriptions; nothing once overtaken."""
    rows = [
        {
            "id": s.subscription.id,
            "fingerprint": s.fingerprint,
            "prices": sorted({item.price_id for item in s.subscription.items}),
            "quantity": max((item.quantity for item in s.subscription.items), default=0),
            "closed": s.closed,
        }
        for s in said
    ]
    await db.rows(
        f"""
        INSERT INTO subscriptions (provider, subscription_id, customer_id, fingerprint, prices, quantity, closed)
        SELECT %(provider)s, id, %(customer)s, fingerprint, prices, quantity, closed
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS f (
            id text, fingerprint text, prices text[], quantity bigint, closed boolean)
        WHERE {_HELD} ORDER BY id
        ON CONFLICT (provider, subscription_id) DO UPDATE SET fingerprint = excluded.fingerprint,
            prices = excluded.prices, quantity = excluded.quantity, closed = subscriptions.closed OR excluded.closed,
            customer_id = excluded.customer_id, updated_at = now()
        """,
        {
            "provider": memory.provider,
            "customer": memory.customer_id,
            "rows": json.dumps(rows),
            "lease": lease_id,
        },
    )


def _mark_only(name: str | None) -> str | None:
    """All that is kept of the name of an organisation whose owner was erased: whether it still carries our mark."""
    return "".join(f"[{customer_id}]" for customer_id, _ in marks(name or "")) or None


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def _when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _service(row: dict[str, Any]) -> Service:
    return Service(
        key=ServiceKey(row["subscription_id"], row["slot"]),
        item_id=row["item_id"],
        price_id=row["price_id"],
        plan=row["plan"],
        made_for=tuple((price, quantity) for price, quantity in row["made_for"] or ()),
        state=ServiceState(row["state"]),
        panel_subscription_id=row["panel_subscription_id"],
        panel_plan_id=row["panel_plan_id"],
        website_id=row["website_id"],
        domain=row["domain"],
        domain_sought_at=_when(row["domain_sought_at"]),
        holds=frozenset(Hold(h) for h in row["holds"]),
        suspended_by=row["suspended_by"],
        panel_suspended=row["panel_suspended"],
        plan_since=_when(row["plan_since"]),
        unpaid_since=_when(row["unpaid_since"]),
        grace_until=_when(row["grace_until"]),
        grace_override=_when(row["grace_override"]),
        ended_at=_when(row["ended_at"]),
        retain_until=_when(row["retain_until"]),
        released=row["released"],
        adopted=row["adopted"],
        waits_for=row["waits_for"],
    )


def _intent(row: dict[str, Any]) -> Intent:
    at = _when(row["at"])
    assert at is not None
    key = ServiceKey(row["subscription_id"], row["slot"]) if row["slot"] is not None else None
    facts = row["facts"] or {}
    return Intent(
        row["action_id"],
        recalled(ActionKind(row["kind"]), key, row["rule"] or "", facts),
        at,
        answered=row["answered"],
        lost_at=_when(row["lost_at"]),
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
