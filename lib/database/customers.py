"""What we remember of a customer themselves: their organisation, login and membership in the panel."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lib.database import due
from lib.database.connection import Connection, Database, Write
from lib.database.keys import as_text, whose
from lib.database.leases import Alone, held
from lib.model import CustomerKey, Memory, Priority
from lib.model.provider import Provider
from lib.structs import replace


async def knows(db: Database, customer: CustomerKey) -> bool:
    """Whether anything is remembered of a customer."""
    row = await db.row(
        "SELECT 1 FROM customers WHERE provider = %(provider)s AND customer_id = %(customer)s",
        whose(customer),
    )
    return row is not None


async def nudge_everybody(db: Database, at_once: int, spacing: timedelta) -> int:
    """Make every customer whom we remember due, `at_once` of them now and the others one after another; how many."""
    row = await db.row(
        f"""
        WITH marked AS (
            INSERT INTO due (kind, key, due_at, priority)
            SELECT 'customer', {as_text()},
                now() + greatest(0, row_number() OVER (ORDER BY {as_text()}) - %(at_once)s) * %(spacing)s::interval,
                %(priority)s
            FROM customers ORDER BY 2
            {due.NUDGE} RETURNING 1
        )
        SELECT count(*) AS n FROM marked
        """,
        {"at_once": at_once, "spacing": spacing, "priority": Priority.ROUTINE.value},
    )
    return int(row["n"]) if row else 0


_INSERT = f"""
    INSERT INTO customers
        (provider, customer_id, livemode, email, name, org_id, org_name, login_id, member_id, welcomed_at)
    SELECT %(provider)s, %(customer)s, %(livemode)s, %(email)s, %(name)s, %(org)s, %(org_name)s, %(login)s,
        %(member)s, CASE WHEN %(welcomed)s THEN now() END
    WHERE {held()}
    ON CONFLICT (provider, customer_id) DO UPDATE SET
"""

_REMEMBER = f"""
    {_INSERT}
        email = excluded.email, name = excluded.name, org_id = excluded.org_id,
        org_name = CASE WHEN %(named)s OR customers.org_id IS DISTINCT FROM excluded.org_id
            THEN excluded.org_name ELSE customers.org_name END,
        login_id = excluded.login_id, member_id = excluded.member_id,
        welcomed_at = CASE WHEN %(welcomed)s THEN coalesce(customers.welcomed_at, now()) END, updated_at = now()
"""

_LINK = f"""
    {_INSERT}
        org_id = excluded.org_id,
        org_name = coalesce(customers.org_name, excluded.org_name),
        login_id = coalesce(customers.login_id, excluded.login_id),
        member_id = coalesce(customers.member_id, excluded.member_id),
        welcomed_at = coalesce(customers.welcomed_at, now()), updated_at = now()
        WHERE customers.org_id IS NULL OR customers.org_id = excluded.org_id
    RETURNING 1
"""

_ERASE = f"""
    {_INSERT}
        email = NULL, name = NULL, panel_name = NULL, panel_email = NULL,
        org_name = substring(customers.org_name FROM '\\[[^][]*\\]$'),  -- our mark, which is an id
        updated_at = now()
"""


def remembering_customer(memory: Memory, lease_id: str, *, livemode: bool, named: bool = False) -> Write:
    """Write the customer's row as it now is in `memory`, as the holder of the lease.

    Args:
        named: the organisation was given this name just now. Else a name that a sweep has found there meanwhile, and
            that the next pass is to correct, stays.
    """
    return Write(_REMEMBER, {**_row(memory, lease_id, livemode), "named": named})


async def link_customer(alone: Alone, memory: Memory, *, livemode: bool) -> bool:
    """Write whose the organisation is; False: they have another one. What is remembered already stays."""
    linked = replace(memory, welcomed=True)  # whoever logs in there needs no first password
    cursor = await alone.connection.execute(_LINK, _row(linked, alone.lease_id, livemode))
    return await cursor.fetchone() is not None


async def share_org(
    connection: Connection, customer: CustomerKey, other: CustomerKey, *, email: str | None, name: str | None
) -> bool:
    """Let a customer share the organisation, login and membership of another one; False: there is none to share, or
    they have one of their own. Whoever has a login there needs no first password.
    """
    cursor = await connection.execute(
        f"""
        INSERT INTO customers
            (provider, customer_id, livemode, email, name, org_id, login_id, member_id, welcomed_at, linked_to)
        SELECT %(provider)s, %(customer)s, o.livemode, %(email)s, %(name)s, o.org_id, o.login_id, o.member_id, now(),
            coalesce(o.linked_to, {as_text("o.")})
        FROM customers o
        WHERE o.provider = %(other_provider)s AND o.customer_id = %(other)s AND o.member_id IS NOT NULL
            AND o.org_id IS NOT NULL AND NOT o.org_gone AND o.erased_at IS NULL
        ON CONFLICT (provider, customer_id) DO UPDATE SET org_id = excluded.org_id, login_id = excluded.login_id,
            member_id = excluded.member_id, welcomed_at = excluded.welcomed_at, linked_to = excluded.linked_to,
            updated_at = now()
        WHERE customers.org_id IS NULL OR customers.org_id = excluded.org_id
        RETURNING 1
        """,
        {
            **whose(customer),
            "email": email,
            "name": name,
            "other_provider": other.provider.value,
            "other": other.id,
        },
    )
    return await cursor.fetchone() is not None


async def sharing(db: Database, customer: CustomerKey) -> list[tuple[CustomerKey, str | None]]:
    """Customers who share this one's account in the panel, by an operator's word, with their e-mails; it included."""
    rows = await db.rows(
        """
        SELECT c.provider, c.customer_id, c.email FROM customers own JOIN customers c ON c.org_id = own.org_id
        WHERE own.provider = %(provider)s AND own.customer_id = %(customer)s
        """,
        whose(customer),
    )
    return [(CustomerKey(Provider(row["provider"]), row["customer_id"]), row["email"]) for row in rows]


async def erase_customer(alone: Alone, customer: CustomerKey, *, livemode: bool) -> None:
    """Forget name and addresses for good. Who never got anything is written down too, for the events to come."""
    nobody = Memory(customer_id=customer.id, provider=customer.provider)
    await alone.connection.execute(_ERASE, _row(nobody, alone.lease_id, livemode))
    await alone.connection.execute(
        "UPDATE customers SET erased_at = coalesce(erased_at, now())"
        " WHERE provider = %(provider)s AND customer_id = %(customer)s",
        whose(customer),
    )


def _row(memory: Memory, lease_id: str, livemode: bool) -> dict[str, Any]:
    return {
        "lease": lease_id,
        **whose(memory.key),
        "livemode": livemode,
        "email": memory.email,
        "name": memory.name,
        "org": memory.org_id,
        "org_name": _mark_only(memory.org_name) if memory.erased else memory.org_name,
        "login": memory.login_id,
        "member": memory.member_id,
        "welcomed": memory.welcomed,
    }


def _mark_only(name: str | None) -> str | None:
    """All that is kept of the name of an organisation whose owner was erased: whether it still carries our mark."""
    from lib.policy.naming import marks  # it brings all that decides, and a webhook decides nothing

    return "".join(f"[{customer_id}]" for customer_id, _ in marks(name or "")) or None
