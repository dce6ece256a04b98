"""What we remember of a customer themselves: their organisation, login and membership in the panel."""

from __future__ import annotations

from lib.database.connection import Database
from lib.database.leases import HELD
from lib.errors import LeaseLost
from lib.model import Memory
from lib.policy.naming import marks


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
        WHERE {HELD}
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


def _mark_only(name: str | None) -> str | None:
    """All that is kept of the name of an organisation whose owner was erased: whether it still carries our mark."""
    return "".join(f"[{customer_id}]" for customer_id, _ in marks(name or "")) or None
