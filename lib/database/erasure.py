"""Erasing one customer's personal data: names, addresses and domains go; ids, money, numbers and dates stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lib.database import leases, notices, orders, outbox
from lib.database.connection import Connection, Database
from lib.database.customers import erase_customer
from lib.database.keys import whose
from lib.database.leases import Alone
from lib.errors import Declined
from lib.model import CustomerKey
from lib.policy.naming import marks

ERASED = "erased"
"""Stands in the ledger where personal data stood."""

_PERSONAL = frozenset({"name", "email", "domain", "awaited", "friendly_name"})
"""Keys of the ledger's facts that hold nothing else."""

_PARTS = ("before", "after", "facts")
"""The ledger's columns of facts."""

_NO_WORDS = frozenset({"hosting", ERASED})
"""What stands in the same places without being anybody's."""

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")


@dataclass(frozen=True, slots=True)
class Kept:
    """A service whose hosting runs, or could run again: its domain stays, because the panel's website needs it."""

    service: str
    state: str
    domain: str | None
    panel_subscription_id: int | None


@dataclass(frozen=True, slots=True)
class Personal:
    """What is held of one customer."""

    email: str | None
    name: str | None
    org_id: str | None
    login_id: str | None
    erased_at: datetime | None
    living: tuple[Kept, ...]
    domains: int
    """Of terminated services."""
    events: int
    """Bodies not yet emptied."""
    outgoing: int
    """The same of what was written for the operator's own systems."""
    notices: int
    """Mails that name the address they went to, or wait to be sent."""
    actions: int


_THEIRS = """
    provider = %(provider)s AND body <> '{}' AND (customer_id = %(customer)s OR object_id IN (
        SELECT subscription_id FROM subscriptions WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT subscription_id FROM services WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT dispute_id FROM disputes WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT charge_id FROM disputes WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT refund_id FROM refunds WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT charge_id FROM refunds WHERE provider = %(provider)s AND customer_id = %(customer)s))
"""
"""Events that name the customer, or that speak of something of theirs without naming them (disputes do)."""

_EVENTS = f"""
    {_THEIRS} OR provider = %(provider)s AND customer_id IS NULL AND EXISTS (
        SELECT FROM unnest(%(quoted)s::text[]) AS q (address) WHERE strpos(lower(body), lower(address)) > 0)
"""
"""The same, and those that name nobody but hold one of the customer's addresses: an abandoned Checkout does."""

_ADDRESS_FIELD = r'"(?:email|customer_email|receipt_email|customer_email_address)"\s*:\s*("(?:[^"\\]|\\.)+")'
"""A field of Stripe's JSON with the address of who pays, never the seller's."""


_LOOK = f"""
    SELECT
        (SELECT to_jsonb(c) FROM customers c
         WHERE provider = %(provider)s AND customer_id = %(customer)s) AS customer,
        (SELECT erased_at FROM customers
         WHERE provider = %(provider)s AND customer_id = %(customer)s) AS erased_at,
        (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.subscription_id, s.slot), '[]') FROM services s
         WHERE provider = %(provider)s AND customer_id = %(customer)s) AS services,
        (SELECT count(*) FROM events WHERE {_EVENTS}) AS events,
        (SELECT count(*) FROM outbox WHERE customer = %(key)s AND body <> '') AS outgoing,
        (SELECT count(*) FROM notices WHERE provider = %(provider)s AND customer_id = %(customer)s
            AND (recipient IS NOT NULL OR ended_at IS NULL)) AS notices,
        (SELECT count(*) FROM actions WHERE provider = %(provider)s AND customer_id = %(customer)s) AS actions
"""


async def look(db: Database, customer: CustomerKey) -> Personal | None:
    """What is held of a customer; `None` when nothing is."""
    who = whose(customer)
    async with db.transaction() as connection:
        quoted = await _quoted_addresses(connection, who)
    row = await db.row(_LOOK, {**who, "quoted": quoted, "key": str(customer)})
    assert row is not None
    if row["customer"] is None and not any(row[what] for what in ("events", "outgoing", "actions", "notices")):
        return None
    remembered = row["customer"] or {}
    return Personal(
        email=remembered.get("email"),
        name=remembered.get("name"),
        org_id=remembered.get("org_id"),
        login_id=remembered.get("login_id"),
        erased_at=row["erased_at"],
        living=tuple(
            Kept(f"{s['subscription_id']}/{s['slot']}", s["state"], s["domain"], s["panel_subscription_id"])
            for s in row["services"]
            if s["state"] in ("live", "suspended")
        ),
        domains=sum(s["domain"] is not None for s in row["services"] if s["state"] not in ("live", "suspended")),
        events=row["events"],
        outgoing=row["outgoing"],
        notices=row["notices"],
        actions=row["actions"],
    )


async def erase(db: Database, customer: CustomerKey, *, livemode: bool, actor: str) -> dict[str, int] | None:
    """Erase; how many facts of the ledger and events were changed, or `None` while a pass works on the customer."""
    who = whose(customer)
    try:
        async with leases.alone(db, "customer", str(customer)) as alone:
            connection = alone.connection
            hide = await _ledger_hider(connection, who)
            quoted = await _quoted_addresses(connection, who)
            changed = await _clean_ledger(connection, who, hide)
            cursor = await connection.execute(
                f"UPDATE events SET body = '{{}}' WHERE {_EVENTS}",
                {**who, "quoted": quoted},
            )
            emptied = cursor.rowcount
            await notices.erase(connection, customer)
            await outbox.erase(connection, str(customer))
            await _clean_rows(alone, customer, livemode)
            await _clean_queue(alone, hide)
            await connection.execute(
                "INSERT INTO actions (action_id, provider, customer_id, kind, state, rule, facts, actor)"
                " VALUES (gen_random_uuid(), %(provider)s, %(customer)s, 'erased', 'noted', 'by_hand',"
                " %(facts)s::jsonb, %(actor)s)",
                {**who, "actor": actor, "facts": json.dumps({"actions": changed, "events": emptied})},
            )
    except Declined:
        return None
    return {"actions": changed, "events": emptied}


async def empty_late(db: Database, object_id: str, customer: CustomerKey) -> None:
    """Empty the events about an object that turned out to be of somebody who was erased; of others nothing is read."""
    await db.rows(
        """
        UPDATE events SET body = '{}' WHERE provider = %(provider)s AND object_id = %(object)s AND body <> '{}'
            AND (SELECT erased_at IS NOT NULL FROM customers
                WHERE provider = %(provider)s AND customer_id = %(customer)s)
        """,
        {**whose(customer), "object": object_id},
    )


async def _ledger_hider(connection: Connection, who: Mapping[str, str]) -> Callable[[str], str]:
    """What hides every personal word that is remembered of the customer, now or in the ledger."""
    cursor = await connection.execute(
        """
        SELECT unnest(ARRAY[email, name, panel_email, panel_name, org_name]) AS word FROM customers
        WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT domain FROM services WHERE provider = %(provider)s AND customer_id = %(customer)s
        """,
        who,
    )
    words = {row["word"] for row in await cursor.fetchall() if row["word"]}
    for fact in await _facts(connection, who):
        for part in _PARTS:
            words |= set(_words(fact[part]))
    return _hider(words)


async def _quoted_addresses(connection: Connection, who: Mapping[str, str]) -> list[str]:
    """Every e-mail address that is known of the customer, as it stands in JSON: in quotes, escaped or not."""
    cursor = await connection.execute(
        f"""
        SELECT to_json(unnest(ARRAY[email, panel_email]))::text AS quoted FROM customers
        WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT found[1] FROM events, regexp_matches(body, %(field)s, 'g') AS found WHERE {_THEIRS}
        """,
        {**who, "field": _ADDRESS_FIELD},
    )
    found = {json.loads(row["quoted"], strict=False) for row in await cursor.fetchall() if row["quoted"]}
    addresses = {str(address) for address in found if "@" in address}
    return sorted({json.dumps(a, ensure_ascii=escaped) for a in addresses for escaped in (True, False)})


async def _facts(connection: Connection, who: Mapping[str, str]) -> list[dict[str, Any]]:
    cursor = await connection.execute(
        "SELECT id, before, after, facts, error FROM actions"
        " WHERE provider = %(provider)s AND customer_id = %(customer)s ORDER BY id",
        who,
    )
    return await cursor.fetchall()


async def _clean_ledger(connection: Connection, who: Mapping[str, str], hide: Callable[[str], str]) -> int:
    """Rewrite the facts that hold something personal; how many."""
    changed = []
    for fact in await _facts(connection, who):
        clean = {**fact, **{part: _without(fact[part], hide) for part in (*_PARTS, "error")}}
        if clean != fact:
            changed.append(clean)
    await connection.execute("SET LOCAL bridge.erasing = 'on'")
    await connection.execute(
        "UPDATE actions a SET before = r.before, after = r.after, facts = r.facts, error = r.error"
        " FROM jsonb_to_recordset(%(rows)s::jsonb)"
        " AS r (id bigint, before jsonb, after jsonb, facts jsonb, error text) WHERE a.id = r.id",
        {"rows": json.dumps(changed)},
    )
    await connection.execute("SET LOCAL bridge.erasing = 'off'")
    return len(changed)


async def _clean_rows(alone: Alone, customer: CustomerKey, livemode: bool) -> None:
    who = whose(customer)
    await alone.connection.execute(
        "UPDATE services SET domain = NULL, updated_at = now() WHERE provider = %(provider)s"
        " AND customer_id = %(customer)s AND state NOT IN ('live', 'suspended') AND domain IS NOT NULL",
        who,
    )
    await erase_customer(alone, customer, livemode=livemode)
    await orders.erase(alone.connection, customer.id, customer.provider)
    await alone.connection.execute(
        "DELETE FROM shadow_plans WHERE provider = %(provider)s AND customer_id = %(customer)s", who
    )


async def _clean_queue(alone: Alone, hide: Callable[[str], str]) -> None:
    cursor = await alone.connection.execute(
        "SELECT last_error, problems FROM due WHERE lease_id = %s", (alone.lease_id,)
    )
    row = await cursor.fetchone()
    assert row is not None
    await alone.connection.execute(
        "UPDATE due SET last_error = %(error)s, problems = %(problems)s::jsonb WHERE lease_id = %(lease)s",
        {
            "lease": alone.lease_id,
            "error": _without(row["last_error"], hide),
            "problems": json.dumps(_without(row["problems"], hide)),
        },
    )


def _words(value: Any) -> Iterator[str]:
    """Personal texts in a ledger row, by their keys: they are sought in its free texts as well."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("name", "email", "domain") and isinstance(inner, str):
                yield inner
            else:
                yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)


def _hider(words: Iterable[str]) -> Callable[[str], str]:
    """A function that replaces these words, and every e-mail address, in a text."""
    cleaned = {_unmarked(word) for word in words}
    found = sorted((word for word in cleaned if word and word.lower() not in _NO_WORDS), key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in found), re.IGNORECASE)

    def hide(text: str) -> str:
        text = _ADDRESS.sub(ERASED, text)
        return pattern.sub(ERASED, text) if found else text

    return hide


def _unmarked(name: str) -> str:
    """A name without our mark, which is an id."""
    return name.rpartition("[")[0].strip() if marks(name) else name.strip()


def _without(value: Any, hide: Callable[[str], str], key: str | None = None) -> Any:
    if isinstance(value, Mapping):
        if value.get("reason") == "invalid_domain" and "detail" in value:
            value = {**value, "detail": ERASED}  # quotes what was typed
        return {inner_key: _without(inner, hide, inner_key) for inner_key, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, hide, key) for inner in value]
    if not isinstance(value, str):
        return value
    return ERASED if key in _PERSONAL else hide(value)
