"""Notices: written beside the fact they tell of, sent once, and what became of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lib.database import due
from lib.database.connection import Connection, Database, Reading
from lib.database.keys import whose
from lib.database.leases import held, insist
from lib.model import CustomerKey, Priority, ServiceKey
from lib.model.notice import TROUBLE, Notice, NoticeKind, NoticeStatus, Written
from lib.model.provider import Provider
from lib.model.reason import WaitReason

KIND = "notice"
"""The kind of the rows of the queue; the key is the notice's id."""

_TROUBLE = ", ".join(f"'{status.value}'" for status in TROUBLE)

_COLUMNS = (
    "provider text, customer_id text, kind text, about text, subscription_id text, slot integer, order_id uuid,"
    " date timestamptz, send_at timestamptz"
)
_NAMES = ", ".join(column.split()[0] for column in _COLUMNS.split(", "))

_WRITE = f"""
    WITH written AS (
        INSERT INTO notices ({_NAMES})
        SELECT {_NAMES.replace("send_at", "coalesce(send_at, clock_timestamp())")}
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS r ({_COLUMNS})
        ORDER BY provider, customer_id, kind, about
        ON CONFLICT (provider, coalesce(customer_id, ''), kind, about) DO UPDATE SET status = 'pending',
            answer = NULL, subscription_id = excluded.subscription_id, slot = excluded.slot, date = excluded.date,
            send_at = excluded.send_at, looked_again = false, created_at = clock_timestamp(), ended_at = NULL
            WHERE notices.status = 'obsolete'
        RETURNING notice_id, send_at
    )
    INSERT INTO due (kind, key, lane, priority, due_at)
    SELECT '{KIND}', notice_id::text, 'out', {Priority.ASKED.value}, send_at FROM written ORDER BY notice_id
    {due.NUDGE}
"""

_READ = "notice_id::text, provider, customer_id, kind, about, subscription_id, slot, order_id::text, date, send_at"
_STANDS = "status, attempts, lost, looked_again, answer, reported, report, recipient, created_at, tried_at, ended_at"


async def write(connection: Connection, notices: Sequence[Notice]) -> None:
    """Write what customers are to be told, in the transaction of the fact itself; what was written before stays.

    Only what was not sent because it was no longer true has become true again, and waits as if it were new. One
    statement for any number of notices. It makes them due, each at its time.
    """
    if notices:
        await connection.execute(_WRITE, {"rows": json.dumps([_row(notice) for notice in notices])})


def _row(notice: Notice) -> dict[str, Any]:
    customer, service = notice.customer, notice.service
    return {
        "provider": (customer.provider if customer else Provider.STRIPE).value,
        "customer_id": customer.id if customer else None,
        "kind": notice.kind.value,
        "about": notice.about,
        "subscription_id": service.subscription_id if service else None,
        "slot": service.slot if service else None,
        "order_id": notice.order_id,
        "date": notice.date.isoformat() if notice.date else None,
        "send_at": notice.send_at.isoformat() if notice.send_at else None,
    }


# --- one of them ------------------------------------------------------------------------------------------------------


_ONE = f"""
    SELECT {_READ}, {_STANDS}, clock_timestamp() AS at, EXISTS (SELECT FROM customers c
        WHERE c.provider = n.provider AND c.customer_id = n.customer_id AND erased_at IS NOT NULL) AS erased
    FROM notices n WHERE notice_id::text = %(id)s
"""


async def find(db: Database, notice_id: str) -> Written | None:
    """A notice as it stands now."""
    row = await db.row(_ONE, {"id": notice_id})
    return _written(row) if row else None


def _written(row: dict[str, Any]) -> Written:
    customer = CustomerKey(Provider(row["provider"]), row["customer_id"]) if row["customer_id"] else None
    notice = Notice(
        kind=NoticeKind(row["kind"]),
        customer=customer,
        about=row["about"],
        service=ServiceKey(row["subscription_id"], row["slot"]) if row["slot"] is not None else None,
        order_id=row["order_id"],
        date=row["date"],
        send_at=row["send_at"],
    )
    return Written(
        id=row["notice_id"],
        notice=notice,
        status=NoticeStatus(row["status"]),
        at=row["at"],
        created_at=row["created_at"],
        send_at=row["send_at"],
        attempts=row["attempts"],
        lost=row["lost"],
        looked_again=row["looked_again"],
        answer=row["answer"],
        reported=row["reported"],
        report=row["report"],
        recipient=row["recipient"],
        tried_at=row["tried_at"],
        ended_at=row["ended_at"],
        erased=row["erased"],
    )


async def sending(db: Database, notice_id: str, lease_id: str, recipient: str, language: str) -> None:
    """Write down that a notice is being handed over, before it is.

    Raises:
        LeaseLost: somebody else may be handing it over.
    """
    insist(
        await db.rows(
            f"""
            UPDATE notices SET status = 'sending', attempts = attempts + 1, tried_at = clock_timestamp(),
                recipient = %(recipient)s, language = %(language)s
            WHERE notice_id::text = %(id)s AND status IN ('pending', 'sending') AND {held(begins=True)} RETURNING 1
            """,
            {"id": notice_id, "lease": lease_id, "recipient": recipient, "language": language},
        )
    )


async def ended(db: Database, notice_id: str, lease_id: str, status: NoticeStatus, answer: str | None) -> None:
    """Write down what became of a notice for good.

    Raises:
        LeaseLost: somebody else has it now.
    """
    insist(
        await db.rows(
            f"""
            UPDATE notices SET status = %(status)s, answer = %(answer)s, ended_at = clock_timestamp()
            WHERE notice_id::text = %(id)s AND status IN ('pending', 'sending') AND {held()} RETURNING 1
            """,
            {"id": notice_id, "lease": lease_id, "status": status.value, "answer": answer},
        )
    )


async def again(
    db: Database, notice_id: str, lease_id: str, answer: str | None, *, at: datetime | None = None, lost: bool = False
) -> None:
    """Write down that it was not sent, or that nobody knows, and is to be tried again.

    Args:
        at: not before this; `None`: the queue says when.
        lost: it was handed over, and the answer never came.

    Raises:
        LeaseLost: somebody else has it now.
    """
    insist(
        await db.rows(
            f"""
            UPDATE notices SET status = 'pending', answer = %(answer)s, send_at = coalesce(%(at)s, send_at),
                lost = lost + %(lost)s::boolean::integer
            WHERE notice_id::text = %(id)s AND status IN ('pending', 'sending') AND {held()} RETURNING 1
            """,
            {"id": notice_id, "lease": lease_id, "answer": answer, "at": at, "lost": lost},
        )
    )


async def look_again(connection: Connection, notice_id: str) -> None:
    """Write down that the customer's own pass is asked whether it is still true."""
    await connection.execute("UPDATE notices SET looked_again = true WHERE notice_id::text = %s", [notice_id])


async def put_off(db: Database, until: datetime) -> None:
    """Let every notice that is to be sent wait for the mail server, which fails; one will try it then.

    They wait in the queue, and their own date stays: whoever asks for them sooner lets the server be tried at once.
    """
    await db.rows(
        f"""
        UPDATE due SET due_at = %(until)s, dated = true, waits_for = '{WaitReason.NOTICE_DATE.value}'
        WHERE (kind, key) IN (
            SELECT kind, key FROM due WHERE kind = '{KIND}' AND due_at < %(until)s AND {due.FREE}
            ORDER BY kind, key FOR UPDATE SKIP LOCKED)
        """,
        {"until": until},
    )


async def stands(connection: Connection, notice_id: str) -> Written | None:
    """A notice as it stands now, held until the transaction ends."""
    cursor = await connection.execute(_ONE + " FOR UPDATE OF n", {"id": notice_id})
    row = await cursor.fetchone()
    return _written(row) if row else None


async def resend(connection: Connection, notice_id: str) -> None:
    """Let a notice that came to its end wait as if it were new, and make it due; how often it was lost stays."""
    await connection.execute(
        f"""
        WITH again AS (
            UPDATE notices SET status = 'pending', answer = NULL, reported = NULL, reported_at = NULL, ended_at = NULL,
                looked_again = false, send_at = clock_timestamp()
            WHERE notice_id::text = %(id)s RETURNING notice_id
        )
        INSERT INTO due (kind, key, lane, priority)
        SELECT '{KIND}', notice_id::text, 'out', {Priority.ASKED.value} FROM again {due.NUDGE}
        """,
        {"id": notice_id},
    )


async def sent_to(connection: Connection, addresses: Sequence[str], days: int) -> list[str]:
    """The notices that were handed over for an address, in any of these forms, within so many days, newest first."""
    cursor = await connection.execute(
        """
        SELECT notice_id::text AS id FROM notices
        WHERE lower(recipient) = ANY(%(addresses)s) AND status IN ('sent', 'unsure', 'bounced')
            AND tried_at > clock_timestamp() - make_interval(days => %(days)s)
        ORDER BY tried_at DESC, notice_id
        """,
        {"addresses": [address.lower() for address in addresses], "days": days},
    )
    return [row["id"] for row in await cursor.fetchall()]


async def report(connection: Connection, notice_id: str, said: str, digest: str | None, *, bounced: bool) -> None:
    """Write down what was reported of a notice that the caller has read with `stands`; that it came back is its end."""
    await connection.execute(
        """
        UPDATE notices SET reported = %(said)s, reported_at = clock_timestamp(),
            report = coalesce(%(digest)s, report),
            status = CASE WHEN %(bounced)s THEN 'bounced' ELSE status END,
            ended_at = CASE WHEN %(bounced)s THEN clock_timestamp() ELSE ended_at END
        WHERE notice_id::text = %(id)s
        """,
        {"id": notice_id, "said": said, "digest": digest, "bounced": bounced},
    )


# --- all of them ------------------------------------------------------------------------------------------------------


async def trouble(db: Database, limit: int) -> tuple[int, list[Written]]:
    """How many were refused, came back, or were handed over without an answer, and the newest of them."""
    return await db.read(reading_trouble(limit))


def reading_trouble(limit: int) -> Reading[tuple[int, list[Written]]]:
    """The same, to be read together with something else."""
    return Reading(
        f"""
        SELECT {_READ}, {_STANDS}, clock_timestamp() AS at, false AS erased,
            (SELECT sum(n)::bigint FROM tallies WHERE name = 'notices' AND labels[1] = 'trouble') AS total
        FROM notices n WHERE status IN ({_TROUBLE}) ORDER BY ended_at DESC, n.notice_id DESC LIMIT %(limit)s
        """,
        {"limit": limit},
        lambda rows: ((rows[0]["total"] or 0) if rows else 0, [_written(row) for row in rows]),
    )


async def of_customer(db: Database, customer: CustomerKey) -> list[Written]:
    """Every notice to a customer that is kept, oldest first."""
    rows = await db.rows(
        f"""
        SELECT {_READ}, {_STANDS}, clock_timestamp() AS at, false AS erased FROM notices
        WHERE provider = %(provider)s AND customer_id = %(customer)s ORDER BY created_at, notice_id
        """,
        whose(customer),
    )
    return [_written(row) for row in rows]


async def remind(db: Database) -> int:
    """Make every notice due whose time has come and that waits, whatever was lost before; how many."""
    rows = await db.rows(
        f"""
        INSERT INTO due (kind, key, lane, priority)
        SELECT '{KIND}', notice_id::text, 'out', {Priority.ROUTINE.value} FROM notices
        WHERE status IN ('pending', 'sending') AND send_at <= clock_timestamp() ORDER BY 2
        ON CONFLICT DO NOTHING RETURNING 1
        """
    )
    return len(rows)


async def prune(db: Database, days: int, limit: int = 2000) -> int:
    """Delete up to `limit` notices that came to their end longer ago than `days`, but what is locked; how many."""
    rows = await db.rows(
        """
        DELETE FROM notices WHERE notice_id IN (
            SELECT notice_id FROM notices WHERE ended_at < now() - make_interval(days => %(days)s)
            ORDER BY ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        RETURNING 1
        """,
        {"days": days, "limit": limit},
    )
    return len(rows)


THEIRS = """
    (provider = %(provider)s AND customer_id = %(customer)s OR order_id = ANY(%(orders)s::uuid[])
        OR customer_id IS NULL AND lower(recipient) = ANY(%(addresses)s))
"""
"""Notices to who is to be erased: their own, about their orders, or to an address of theirs and to no customer."""


async def erase(connection: Connection, theirs: Mapping[str, Any]) -> int:
    """Forget to whom notices went, and what was answered; what has not been sent is not sent. How many were changed."""
    cursor = await connection.execute(
        f"""
        UPDATE notices SET recipient = NULL, answer = NULL, reported = NULL,
            report = NULL, ended_at = coalesce(ended_at, clock_timestamp()),
            status = CASE WHEN status IN ('pending', 'sending') THEN 'obsolete' ELSE status END
        WHERE {THEIRS} AND (recipient IS NOT NULL OR answer IS NOT NULL OR reported IS NOT NULL
            OR ended_at IS NULL)
        """,
        theirs,
    )
    return cursor.rowcount
