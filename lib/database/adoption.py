"""Linking what exists in the panel to who pays for it: one transaction for each customer, nothing half."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import uuid4

import psycopg

from lib.database import due, leases
from lib.database.connection import Database
from lib.database.customers import link_customer
from lib.database.keys import as_text, whose
from lib.database.services import link_services
from lib.errors import Declined
from lib.model import Memory, Service, ServiceKey
from lib.structs import replace


async def owners(db: Database, org_ids: Sequence[str]) -> dict[str, str]:
    """Which of these organisations are linked to a customer, and to whom."""
    rows = await db.rows(
        f"SELECT org_id::text, {as_text()} AS customer FROM customers"
        " WHERE org_id = ANY(%(ids)s::uuid[]) AND linked_to IS NULL",
        {"ids": list(org_ids)},
    )
    return {row["org_id"]: row["customer"] for row in rows}


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
    except Declined as declined:
        return str(declined)
    except psycopg.errors.UniqueViolation:
        return "its organisation, hosting subscription or website was linked elsewhere meanwhile"
    return None


async def _link(
    db: Database, memory: Memory, services: Sequence[Service], *, livemode: bool, actor: str, how: str
) -> None:
    who = whose(memory.key)
    async with leases.alone(db, "customer", str(memory.key)) as alone:
        if not await link_customer(alone, memory, livemode=livemode):
            raise Declined("changed", "the customer got another organisation meanwhile")
        linked = [replace(service, wait_reason=None) for service in services]
        if linked and not await link_services(alone, memory, linked):
            raise Declined("changed", "one of its services got another hosting subscription meanwhile")
        nudge = f"INSERT INTO due (kind, key) VALUES ('customer', %(key)s) {due.NUDGE}"
        await alone.connection.execute(nudge, {"key": str(memory.key)})
        await alone.connection.execute(
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
