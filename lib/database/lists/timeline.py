"""What happened to one customer, newest first: the events that came in, what was done and noted, the mails they got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from lib.database.connection import Database
from lib.database.keys import whose
from lib.model import CustomerKey, ServiceKey

Source = Literal["event", "action", "notice"]


class Step(Struct, frozen=True):
    """One fact of an action: intended, applied, verified, failed, unknown."""

    state: str
    at: datetime
    after: dict[str, Any] | None = None
    error: str | None = None
    facts: dict[str, Any] | None = None


class Happened(Struct, frozen=True):
    """An event that came in, an action with everything that became of it, or a mail to the customer."""

    source: Source
    at: datetime
    id: str
    kind: str
    service: ServiceKey | None = None
    rule: str | None = None
    actor: str | None = None
    pass_id: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] | None = None
    steps: tuple[Step, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What a page begins behind: the time, and what comes first at the same one."""
        return self.at.isoformat(), self.source, self.id


async def timeline(
    db: Database, customer: CustomerKey, after: Sequence[Any] | None, limit: int, *, planned: bool = False
) -> tuple[list[Happened], tuple[Any, ...] | None]:
    """A page of what happened, and the key of its last row when there are more.

    Args:
        after: the key of the last row of the page before.
        planned: also what shadow mode only wrote down.
    """
    found = [
        *await _events(db, customer, after, limit + 1),
        *await _actions(db, customer, after, limit + 1, planned=planned),
        *await _notices(db, customer, after, limit + 1),
    ]
    found.sort(key=lambda happened: (happened.at, happened.source, happened.id), reverse=True)
    page = found[:limit]
    return page, page[-1].key if len(found) > limit else None


async def _events(db: Database, customer: CustomerKey, after: Sequence[Any] | None, limit: int) -> list[Happened]:
    rows = await db.rows(
        f"""
        SELECT event_id, type, received_at, outcome, error, source, object_id, created_at FROM events
        WHERE provider = %(provider)s AND customer_id = %(customer)s
            {_behind(after, "event", "received_at", "event_id")}
        ORDER BY received_at DESC, event_id DESC LIMIT %(limit)s
        """,
        {**whose(customer), "limit": limit, **_key(after)},
    )
    return [
        Happened(
            "event", row["received_at"], row["event_id"], row["type"],
            facts={
                name: row[name] for name in ("outcome", "error", "source", "object_id", "created_at") if row[name]
            },
        )
        for row in rows
    ]  # fmt: skip


async def act(db: Database, customer: CustomerKey, action_id: str) -> Happened | None:
    """What a person did, by its id."""
    row = await db.row(
        "SELECT * FROM actions WHERE provider = %(provider)s AND customer_id = %(customer)s AND state = 'noted'"
        " AND action_id = %(action)s::uuid",
        {**whose(customer), "action": action_id},
    )
    if row is None:
        return None
    return Happened(
        "action", row["at"], action_id, row["kind"], rule=row["rule"], actor=row["actor"],
        facts=row["facts"] or {}, before=row["before"],
    )  # fmt: skip


async def _actions(
    db: Database, customer: CustomerKey, after: Sequence[Any] | None, limit: int, *, planned: bool
) -> list[Happened]:
    """Actions by their first fact, each with the facts that followed."""
    first = "'intent', 'noted', 'planned'" if planned else "'intent', 'noted'"
    rows = await db.rows(
        f"""
        WITH begun AS MATERIALIZED (
            SELECT * FROM actions
            WHERE provider = %(provider)s AND customer_id = %(customer)s AND state IN ({first})
                {_behind(after, "action", "at", "action_id::text")}
            ORDER BY at DESC, action_id::text DESC LIMIT %(limit)s
        )
        SELECT b.action_id::text AS id, b.at, b.kind, b.subscription_id, b.slot, b.rule, b.actor, b.facts, b.before,
            b.pass_id::text AS pass_id, b.state, b.after, b.error,
            coalesce((SELECT jsonb_agg(jsonb_build_object('state', f.state, 'at', f.at, 'after', f.after,
                'error', f.error, 'facts', f.facts) ORDER BY f.id)
                FROM actions f WHERE f.action_id = b.action_id AND f.id <> b.id), '[]') AS followed
        FROM begun b ORDER BY b.at DESC
        """,
        {**whose(customer), "limit": limit, **_key(after)},
    )
    return [
        Happened(
            "action", row["at"], row["id"], row["kind"],
            ServiceKey(row["subscription_id"], row["slot"]) if row["slot"] is not None else None,
            row["rule"], row["actor"], row["pass_id"], row["facts"] or {}, row["before"],
            (
                Step(row["state"], row["at"], row["after"], row["error"]),
                *(Step(**{**step, "at": datetime.fromisoformat(step["at"])}) for step in row["followed"]),
            ),
        )
        for row in rows
    ]  # fmt: skip


async def _notices(db: Database, customer: CustomerKey, after: Sequence[Any] | None, limit: int) -> list[Happened]:
    """Mails, each by when it was written down, with what became of it."""
    rows = await db.rows(
        f"""
        SELECT notice_id::text AS id, created_at, kind, subscription_id, slot, status, answer, reported, recipient,
            language, attempts, date, order_id::text AS order_id,
            CASE WHEN ended_at IS NULL THEN send_at END AS send_at,
            coalesce(ended_at, tried_at, created_at) AS stands
        FROM notices WHERE provider = %(provider)s AND customer_id = %(customer)s
            {_behind(after, "notice", "created_at", "notice_id::text")}
        ORDER BY created_at DESC, notice_id::text DESC LIMIT %(limit)s
        """,
        {**whose(customer), "limit": limit, **_key(after)},
    )
    shown = ("recipient", "language", "attempts", "date", "send_at", "order_id")
    return [
        Happened(
            "notice", row["created_at"], row["id"], row["kind"],
            ServiceKey(row["subscription_id"], row["slot"]) if row["slot"] is not None else None,
            facts={name: row[name] for name in shown if row[name]},
            steps=(Step(row["status"], row["stands"], _said(row) or None),),
        )
        for row in rows
    ]  # fmt: skip


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the mail server said as it took a mail, and what was reported of it later."""
    return {name: row[name] for name in ("answer", "reported") if row[name]}


def _behind(after: Sequence[Any] | None, source: Source, at: str, identifier: str) -> str:
    if after is None:
        return ""
    return f" AND ({at}, '{source}', {identifier}) < (%(after0)s::timestamptz, %(after1)s, %(after2)s)"


def _key(after: Sequence[Any] | None) -> dict[str, Any]:
    return {f"after{place}": value for place, value in enumerate(after or ())}
