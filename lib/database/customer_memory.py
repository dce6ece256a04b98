"""What we remember of one customer, read whole in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.database.connection import Database
from lib.database.keys import whose
from lib.database.services import read_time, service_of
from lib.model import ActionKind, Catalogue, CustomerKey, Intent, Memory, PlanMapping, PlanRule, ServiceKey, recalled

_LOAD = "SELECT customer_memory(%(provider)s, %(customer)s) AS memory"
"""What is read stands in the migrations, where a claim reads it as well."""


async def load(db: Database, whom: CustomerKey) -> tuple[Memory, Catalogue]:
    """The customer with their services and unfinished actions, and what the operator sells; empty when unknown."""
    row = await db.row(_LOAD, whose(whom))
    assert row is not None
    return recall(row["memory"], whom)


class Recollection:
    """The same for one pass: what its claim has brought along is believed once, and read anew after that."""

    def __init__(self, db: Database, claimed: Mapping[str, Any] | None) -> None:
        self._db = db
        self._claimed = claimed

    async def load(self, whom: CustomerKey) -> tuple[Memory, Catalogue]:
        """The customer as they were at the claim, or as they are by now."""
        claimed, self._claimed = self._claimed, None
        return recall(claimed, whom) if claimed is not None else await load(self._db, whom)


def recall(found: Mapping[str, Any], whom: CustomerKey) -> tuple[Memory, Catalogue]:
    """What the statement gave, or a claim has brought along."""
    return _memory(found, whom), _catalogue(found)


def _memory(row: Mapping[str, Any], whom: CustomerKey) -> Memory:
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
        fingerprints={subscription_id: fingerprint for subscription_id, fingerprint, _, _ in row["said"]},
        closed=frozenset(subscription_id for subscription_id, _, _, closed in row["said"] if closed),
        erased=customer.get("erased_at") is not None,
        named=frozenset(row["named"]),
        let_pass={subscription_id: let for subscription_id, _, let, _ in row["said"] if let is not None},
        session_event_at=read_time(row["session_event_at"]),
    )


def _catalogue(row: Mapping[str, Any]) -> Catalogue:
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
