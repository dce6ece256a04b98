"""Linking what exists in the panel to who pays for it: one transaction for each customer, nothing half."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import uuid4

import psycopg

from lib.database import due
from lib.database.connection import Database
from lib.model import Memory, Service, ServiceKey


class _Declined(Exception):
    """Ends the transaction without a trace; the message says why."""


async def owners(db: Database, org_ids: Sequence[str]) -> dict[str, str]:
    """Which of these organisations are linked to a customer, and to whom."""
    rows = await db.rows(
        "SELECT org_id::text, customer_id FROM customers WHERE org_id = ANY(%(ids)s::uuid[])", {"ids": list(org_ids)}
    )
    return {row["org_id"]: row["customer_id"] for row in rows}


async def takers(db: Database, panel_subscription_ids: Sequence[int]) -> dict[int, ServiceKey]:
    """Which of these hosting subscriptions are linked to a service, and to which."""
    rows = await db.rows(
        "SELECT panel_subscription_id, subscription_id, slot FROM services"
        " WHERE panel_subscription_id = ANY(%(ids)s::integer[])",
        {"ids": list(panel_subscription_ids)},
    )
    return {row["panel_subscription_id"]: ServiceKey(row["subscription_id"], row["slot"]) for row in rows}


async def link(
    db: Database, memory: Memory, services: Sequence[Service], *, livemode: bool, actor: str, how: str
) -> str | None:
    """Remember an organisation and its hosting subscriptions as this customer's; why not, or `None` when it is done.

    A pass that works on the customer, or came first, wins. The customer is due afterwards, so that the next pass looks
    at what was linked.

    Args:
        memory: the customer as they are to be remembered; what is remembered already stays.
        how: what the operator went by, for the ledger.
    """
    try:
        await _link(db, memory, services, livemode=livemode, actor=actor, how=how)
    except _Declined as declined:
        return str(declined)
    except psycopg.errors.UniqueViolation:
        return "its organisation, hosting subscription or website was linked elsewhere meanwhile"
    return None


async def _link(
    db: Database, memory: Memory, services: Sequence[Service], *, livemode: bool, actor: str, how: str
) -> None:
    who = {"provider": memory.provider, "customer": memory.customer_id}
    async with db.transaction() as connection:
        # The row's lock keeps every pass away until the end: who would claim it skips it, who has claimed it is seen.
        cursor = await connection.execute(
            f"""
            INSERT INTO due (kind, key) VALUES ('customer', %(customer)s)
            {due.NUDGE}
            RETURNING coalesce(leased_until > clock_timestamp(), false) AS leased
            """,
            who,
        )
        row = await cursor.fetchone()
        if row is None or row["leased"]:
            raise _Declined("a pass works on this customer just now; run this again")
        cursor = await connection.execute(
            """
            INSERT INTO customers
                (provider, customer_id, livemode, email, name, org_id, org_name, login_id, member_id, welcomed_at)
            VALUES (%(provider)s, %(customer)s, %(livemode)s, %(email)s, %(name)s, %(org)s, %(org_name)s, %(login)s,
                %(member)s, now())
            ON CONFLICT (provider, customer_id) DO UPDATE SET
                org_id = excluded.org_id,
                org_name = coalesce(customers.org_name, excluded.org_name),
                login_id = coalesce(customers.login_id, excluded.login_id),
                member_id = coalesce(customers.member_id, excluded.member_id),
                welcomed_at = coalesce(customers.welcomed_at, now()), updated_at = now()
                WHERE customers.org_id IS NULL OR customers.org_id = excluded.org_id
            RETURNING 1
            """,
            {
                **who,
                "livemode": livemode,
                "email": memory.email,
                "name": memory.name,
                "org": memory.org_id,
                "org_name": memory.org_name,
                "login": memory.login_id,
                "member": memory.member_id,
            },
        )
        if await cursor.fetchone() is None:
            raise _Declined("the customer got another organisation meanwhile")
        cursor = await connection.execute(
            """
            INSERT INTO services (provider, customer_id, subscription_id, slot, item_id, price_id, plan, made_for,
                state, panel_subscription_id, panel_plan_id, panel_suspended, suspended_by, holds, website_id, domain,
                domain_sought_at, adopted)
            SELECT %(provider)s, %(customer)s, subscription_id, slot, item_id, price_id, plan, made_for, state,
                panel_subscription_id, panel_plan_id, panel_suspended, suspended_by, holds, website_id, domain,
                domain_sought_at, adopted
            FROM jsonb_to_recordset(%(services)s::jsonb) AS r (
                subscription_id text, slot integer, item_id text, price_id text, plan text, made_for jsonb, state text,
                panel_subscription_id integer, panel_plan_id integer, panel_suspended boolean, suspended_by uuid,
                holds text[], website_id uuid, domain text, domain_sought_at timestamptz, adopted boolean)
            ON CONFLICT (provider, subscription_id, slot) DO UPDATE SET
                item_id = excluded.item_id, price_id = excluded.price_id, plan = excluded.plan,
                made_for = excluded.made_for, state = excluded.state,
                panel_subscription_id = excluded.panel_subscription_id, panel_plan_id = excluded.panel_plan_id,
                panel_suspended = excluded.panel_suspended, suspended_by = excluded.suspended_by,
                holds = excluded.holds, website_id = excluded.website_id,
                domain = excluded.domain, domain_sought_at = excluded.domain_sought_at, adopted = excluded.adopted,
                waits_for = NULL, updated_at = now()
                WHERE services.panel_subscription_id IS NULL AND services.customer_id = excluded.customer_id
            RETURNING 1
            """,
            {**who, "services": json.dumps([_row(s) for s in services])},
        )
        if len(await cursor.fetchall()) != len(services):
            raise _Declined("one of its services got another hosting subscription meanwhile")
        await connection.execute(
            """
            INSERT INTO actions
                (action_id, provider, customer_id, subscription_id, slot, kind, state, rule, after, actor)
            SELECT action_id, %(provider)s, %(customer)s, subscription_id, slot, 'adopted', 'noted', %(how)s, after,
                %(actor)s
            FROM jsonb_to_recordset(%(facts)s::jsonb) AS r (
                action_id uuid, subscription_id text, slot integer, after jsonb)
            """,
            {**who, "how": how, "actor": actor, "facts": json.dumps(_facts(memory, services))},
        )


def _row(service: Service) -> dict[str, object]:
    return {
        "subscription_id": service.key.subscription_id,
        "slot": service.key.slot,
        "item_id": service.item_id,
        "price_id": service.price_id,
        "plan": service.plan,
        "made_for": service.made_for or None,
        "state": service.state,
        "suspended_by": service.suspended_by,
        "holds": sorted(service.holds),
        "adopted": service.adopted,
        "panel_subscription_id": service.panel_subscription_id,
        "panel_plan_id": service.panel_plan_id,
        "panel_suspended": service.panel_suspended,
        "website_id": service.website_id,
        "domain": service.domain,
        "domain_sought_at": service.domain_sought_at and service.domain_sought_at.isoformat(),
    }


def _facts(memory: Memory, services: Sequence[Service]) -> list[dict[str, object]]:
    """What was linked, for the ledger: the organisation, and each service."""
    owner = {"org_id": memory.org_id, "login_id": memory.login_id, "member_id": memory.member_id}
    facts: list[dict[str, object]] = [{"action_id": str(uuid4()), "after": owner}]
    for service in services:
        after = {
            "panel_subscription_id": service.panel_subscription_id,
            "plan_id": service.panel_plan_id,
            "website_id": service.website_id,
            "domain": service.domain,
        }
        key = service.key
        facts.append(
            {"action_id": str(uuid4()), "subscription_id": key.subscription_id, "slot": key.slot, "after": after}
        )
    return facts
