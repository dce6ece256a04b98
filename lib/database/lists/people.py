"""Who somebody is, by what a person at the telephone knows: an e-mail address or a domain, as a whole."""

from __future__ import annotations

from msgspec import Struct

from lib.database.connection import Database
from lib.database.keys import as_text

_FOUND = f"""
    SELECT {as_text("c.")} AS customer_id, c.name, c.email, ARRAY(
        SELECT DISTINCT domain FROM services s WHERE (s.provider, s.customer_id) = (c.provider, c.customer_id)
            AND domain IS NOT NULL ORDER BY domain) AS domains
    FROM customers c WHERE
"""


class Person(Struct, frozen=True):
    """A customer, as somebody who looks for them tells them apart."""

    customer_id: str
    name: str | None
    email: str | None
    domains: list[str]


async def by_email(db: Database, email: str) -> list[Person]:
    """Those whose e-mail it is, at Stripe or in the panel, in any case."""
    rows = await db.rows(
        f"""
        {_FOUND} (lower(email) COLLATE "C" = lower(%(email)s) OR lower(panel_email) = lower(%(email)s))
        ORDER BY customer_id
        """,
        {"email": email},
    )
    return [Person(**row) for row in rows]


async def by_domain(db: Database, domain: str) -> list[Person]:
    """Those who have or had hosting with this domain, as ASCII in small letters."""
    rows = await db.rows(
        f"""
        {_FOUND} (provider, customer_id) IN (
            SELECT provider, customer_id FROM services WHERE domain COLLATE "C" = %(domain)s)
        ORDER BY customer_id
        """,
        {"domain": domain},
    )
    return [Person(**row) for row in rows]
