"""Erasing one person's personal data: names, addresses and domains go; ids, money, numbers and dates stay.

A person is a customer, with what else can be told to be theirs by their e-mail; or an e-mail alone, of somebody who
never became a customer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from lib.database import checkout_limits, erased_texts, leases, notices, orders, outbox
from lib.database.connection import Connection, Database
from lib.database.customers import erase_customer
from lib.database.erased_texts import Theirs
from lib.database.keys import as_text, whose
from lib.database.leases import Alone
from lib.errors import Declined
from lib.model import CustomerKey
from lib.policy.personal import Hide, hider, without, words_in

_PARTS = ("before", "after", "facts")
"""The ledger's columns of facts."""

Subject = Callable[[str], str]
"""An address -> the word under which its purchases are counted."""


class Kept(Struct, frozen=True):
    """A service whose hosting runs, or could run again: its domain stays, because the panel's website needs it."""

    service: str
    state: str
    domain: str | None
    panel_subscription_id: int | None


class Personal(Struct, frozen=True):
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
    orders: int = 0
    """Also those that nobody paid, which name no customer but an address of theirs."""
    open_orders: tuple[str, ...] = ()
    """Of these: those that may still be paid."""
    others: tuple[str, ...] = field(default=())
    """Other customers with an address of theirs: they are erased by themselves."""

    @property
    def anything(self) -> bool:
        """Whether anything is held at all."""
        return bool(self.orders or self.events or self.outgoing or self.actions or self.notices)


_OF_CUSTOMER = """
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
    {_OF_CUSTOMER} OR provider = 'stripe' AND customer_id IS NULL AND body <> '{{}}' AND (
        EXISTS (SELECT FROM unnest(%(quoted)s::text[]) AS q (address) WHERE strpos(lower(body), lower(address)) > 0)
        OR object_id IN (
            SELECT unnest(ARRAY[session_id, subscription_id]) FROM orders WHERE order_id = ANY(%(orders)s::uuid[])
            UNION SELECT unnest(ARRAY[payment_intent_id, charge_id, invoice_id]) FROM payments
                WHERE order_id = ANY(%(orders)s::uuid[])))
"""
"""The same, and those that name nobody but hold one of their addresses (an abandoned Checkout does) or are about one of
their orders."""

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
        (SELECT count(*) FROM outbox WHERE {outbox.THEIRS} AND body <> '') AS outgoing,
        (SELECT count(*) FROM notices
         WHERE {notices.THEIRS} AND (recipient IS NOT NULL OR ended_at IS NULL)) AS notices,
        (SELECT count(*) FROM actions WHERE provider = %(provider)s AND customer_id = %(customer)s) AS actions,
        (SELECT count(*) FROM orders WHERE order_id = ANY(%(orders)s::uuid[])
            AND num_nonnulls(email, name, domain, request) > 0) AS orders,
        (SELECT coalesce(array_agg(order_id::text ORDER BY created_at), '{{}}') FROM orders
         WHERE order_id = ANY(%(orders)s::uuid[]) AND state IN ('pending', 'paying')) AS open_orders,
        (SELECT coalesce(array_agg({as_text()} ORDER BY provider, customer_id), '{{}}') FROM customers
         WHERE lower(email) = ANY(%(addresses)s) AND erased_at IS NULL
            AND (provider, customer_id) IS DISTINCT FROM (%(provider)s, %(customer)s)) AS others
"""

_NOBODY = {"provider": "stripe", "customer": None, "key": None}
"""The parameters where nobody is a customer."""


async def look(db: Database, customer: CustomerKey) -> Personal | None:
    """What is held of a customer; `None` when nothing is."""
    async with db.transaction() as connection:
        theirs = await _of_customer(connection, customer)
    row = await db.row(_LOOK, theirs.parameters)
    assert row is not None
    found = _personal(row)
    return found if row["customer"] is not None or found.anything else None


async def look_by_address(db: Database, address: str) -> Personal | None:
    """What is held under an e-mail of nobody who is a customer; `None` when nothing is, of customers either."""
    async with db.transaction() as connection:
        theirs = await _of_address(connection, address)
    row = await db.row(_LOOK, theirs.parameters)
    assert row is not None
    found = _personal(row)
    return found if found.anything or found.others else None


def _personal(row: Mapping[str, Any]) -> Personal:
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
        orders=row["orders"],
        open_orders=tuple(row["open_orders"]),
        others=tuple(row["others"]),
    )


async def erase(
    db: Database, customer: CustomerKey, *, livemode: bool, actor: str, subject: Subject | None = None
) -> dict[str, int] | None:
    """Erase; how many facts of the ledger, events and orders were changed, or `None` while a pass works on them.

    Args:
        subject: what an address is counted under; it is forgotten too.
    """
    try:
        async with leases.alone(db, "customer", str(customer)) as alone:
            connection, who = alone.connection, whose(customer)
            theirs = await _of_customer(connection, customer)
            words = await _words(connection, who) | theirs.words
            changed = await _clean_ledger(connection, who, hider(words))
            done = {"actions": changed, **await _clean(connection, theirs, words, subject)}
            await _clean_rows(alone, customer, livemode)
            await _note(connection, who, actor, done)
    except Declined:
        return None
    return done


async def erase_address(
    db: Database, address: str, *, actor: str, subject: Subject | None = None
) -> dict[str, int] | None:
    """Erase what is held under an e-mail of nobody who is a customer; how many orders and events were changed.

    `None`: one of its orders may still be paid, and would bring it all back.
    """
    async with db.transaction() as connection:
        theirs = await _of_address(connection, address)
        cursor = await connection.execute(
            "SELECT state FROM orders WHERE order_id = ANY(%(orders)s::uuid[]) FOR UPDATE", theirs.parameters
        )
        if any(row["state"] in ("pending", "paying") for row in await cursor.fetchall()):
            return None
        done = await _clean(connection, theirs, theirs.words, subject)
        for order_id in theirs.orders[:1]:  # in the ledger it stands under what it was about: there is no customer
            await _note(connection, {"provider": "stripe", "customer": order_id}, actor, done)
    return done


async def _clean(connection: Connection, theirs: Theirs, words: set[str], subject: Subject | None) -> dict[str, int]:
    """Empty and rewrite everything that is not the customer's own row; how many events and orders were."""
    await erased_texts.clean(connection, theirs, hider(words), hider(words, any_address=False))
    cursor = await connection.execute(
        f"UPDATE events SET body = '{{}}', error = NULL WHERE {_EVENTS}", theirs.parameters
    )
    emptied = cursor.rowcount
    await notices.erase(connection, theirs.parameters)
    await outbox.erase(connection, theirs.parameters)
    if subject is not None:
        await checkout_limits.forget(connection, [subject(address) for address in theirs.addresses])
    return {"events": emptied, "orders": await orders.erase(connection, theirs.orders, words)}


async def _note(connection: Connection, who: Mapping[str, Any], actor: str, done: Mapping[str, int]) -> None:
    await connection.execute(
        "INSERT INTO actions (action_id, provider, customer_id, kind, state, rule, facts, actor)"
        " VALUES (gen_random_uuid(), %(provider)s, %(customer)s, 'erased', 'noted', 'by_hand',"
        " %(facts)s::jsonb, %(actor)s)",
        {**who, "actor": actor, "facts": json.dumps(done)},
    )


# --- what is theirs ---------------------------------------------------------------------------------------------------


async def _of_customer(connection: Connection, customer: CustomerKey) -> Theirs:
    """What belongs to a customer, and what names nobody and has one of their addresses."""
    who = {**whose(customer), "key": str(customer)}
    addresses = await _addresses(connection, who)
    found = await orders.personal(connection, customer, sorted({address.lower() for address in addresses}))
    addresses |= {row["email"] for row in found if row["email"] and row["customer_id"]}
    return _theirs(who, addresses, found)


async def _of_address(connection: Connection, address: str) -> Theirs:
    """What has this address and names nobody."""
    found = await orders.personal(connection, None, [address.strip().lower()])
    return _theirs(_NOBODY, {address.strip()}, found)


def _theirs(who: Mapping[str, Any], addresses: set[str], found: Sequence[Mapping[str, Any]]) -> Theirs:
    words = {str(row[name]) for row in found for name in ("email", "name", "domain") if row[name]}
    quoted = sorted({json.dumps(a, ensure_ascii=escaped) for a in addresses for escaped in (True, False)})
    ids = [str(row["order_id"]) for row in found]
    parameters = {**who, "quoted": quoted, "orders": ids, "addresses": sorted({a.lower() for a in addresses})}
    return Theirs(parameters, tuple(ids), frozenset(addresses), words | addresses)


async def _words(connection: Connection, who: Mapping[str, str]) -> set[str]:
    """Every personal word that is remembered of the customer, now or in the ledger."""
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
            words |= set(words_in(fact[part]))
    return words


async def _addresses(connection: Connection, who: Mapping[str, Any]) -> set[str]:
    """Every e-mail address that is known of the customer."""
    cursor = await connection.execute(
        f"""
        SELECT to_json(unnest(ARRAY[email, panel_email]))::text AS quoted FROM customers
        WHERE provider = %(provider)s AND customer_id = %(customer)s
        UNION SELECT found[1] FROM events, regexp_matches(body, %(field)s, 'g') AS found WHERE {_OF_CUSTOMER}
        UNION SELECT to_json(email)::text FROM orders WHERE provider = %(provider)s AND customer_id = %(customer)s
        """,
        {**who, "field": _ADDRESS_FIELD},
    )
    found = {json.loads(row["quoted"], strict=False) for row in await cursor.fetchall() if row["quoted"]}
    return {str(address) for address in found if "@" in address}


# --- afterwards -------------------------------------------------------------------------------------------------------


async def empty_late(db: Database, object_id: str, customer: CustomerKey) -> None:
    """Empty the events about an object that turned out to be of somebody who was erased; of others nothing is read."""
    await db.rows(
        """
        UPDATE events SET body = '{}', error = NULL
        WHERE provider = %(provider)s AND object_id = %(object)s AND body <> '{}'
            AND (SELECT erased_at IS NOT NULL FROM customers
                WHERE provider = %(provider)s AND customer_id = %(customer)s)
        """,
        {**whose(customer), "object": object_id},
    )


async def _facts(connection: Connection, who: Mapping[str, str]) -> list[dict[str, Any]]:
    cursor = await connection.execute(
        "SELECT id, before, after, facts, error FROM actions"
        " WHERE provider = %(provider)s AND customer_id = %(customer)s ORDER BY id",
        who,
    )
    return await cursor.fetchall()


async def _clean_ledger(connection: Connection, who: Mapping[str, str], hide: Hide) -> int:
    """Rewrite the facts that hold something personal; how many."""
    changed = []
    for fact in await _facts(connection, who):
        clean = {**fact, **{part: without(fact[part], hide) for part in (*_PARTS, "error")}}
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
    await alone.connection.execute(
        "DELETE FROM shadow_plans WHERE provider = %(provider)s AND customer_id = %(customer)s", who
    )
