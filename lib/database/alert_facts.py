"""The facts behind alerts, read in one statement: numbers that are kept, and few rows of small indexes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from lib.config import Settings
from lib.database import due, tallies
from lib.database.connection import Database, Reading
from lib.database.keys import as_text
from lib.database.lists.disputes import TO_ANSWER
from lib.database.lists.orders import LATE, NOT_LIVE, OVERDUE
from lib.model.alert import (
    AlertFacts,
    AlertLimits,
    Engaged,
    LateMoney,
    ParkedGroup,
    Receiver,
    SideFault,
    Swept,
    ToAnswer,
)

NOT_LIVE_AFTER = timedelta(minutes=15)
"""So long after its payment an order may be without hosting."""

ON_ITS_WAY = timedelta(minutes=10)
"""An event that is younger than this may be on its way still when a sweep finds it."""

RECENT = timedelta(days=7)
"""For how long it is told that a mail was not sent, and that money came late or after the end."""

MOST = 50
"""Rows of one kind that are looked at: a cause each."""

_SWEEP = """
    jsonb_build_object('started_at', started_at, 'updated_at', updated_at, 'finished_at', finished_at, 'phase', phase,
        'errors', errors, 'orphans', greatest(coalesce((counts ->> 'orphans')::int, 0), jsonb_array_length(orphans)))
"""

_OF_PLAN = f"{NOT_LIVE} AND provider = u.provider AND coalesce(billing_plan_id, '') = u.plan"
"""Of what was bought in a row of `tallies.UNSERVED`: a range of one index, in the order of the payments."""

_NOT_LIVE = f"""
    not_live AS MATERIALIZED (
        SELECT u.n - (SELECT count(*) FROM orders WHERE {_OF_PLAN} AND paid_at >= now() - %(not_live)s) AS n,
            (SELECT paid_at FROM orders WHERE {_OF_PLAN} AND paid_at < now() - %(not_live)s
                ORDER BY paid_at LIMIT 1) AS since,
            (SELECT paid_at FROM orders WHERE {_OF_PLAN} AND paid_at >= now() - %(not_live)s
                ORDER BY paid_at LIMIT 1) AS next
        FROM unserved u
    )
"""
"""A part of a WITH: of each plan how many were paid long enough ago, the first of these, and the next one to be."""

_FACTS = f"""
    WITH {tallies.TOLD}, {tallies.UNSERVED}, {_NOT_LIVE},
        ended AS (SELECT * FROM sweeps WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1)
    SELECT clock_timestamp() AS at, {due.OLDEST_SECONDS} AS oldest_seconds,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('reason', p.reason, 'count', p.n, 'oldest_at', first.parked_at)
            ORDER BY p.n DESC, p.reason), '[]')
            FROM (SELECT labels[2] AS reason, sum(n)::bigint AS n FROM told WHERE name = 'parked' GROUP BY 1) AS p
            CROSS JOIN LATERAL (
                SELECT parked_at FROM due WHERE parked_reason = p.reason AND parked_at IS NOT NULL
                ORDER BY parked_at LIMIT 1) AS first
            WHERE p.n > 0) AS parked,
        (SELECT coalesce(jsonb_agg(b ORDER BY counts DESC), '[]') FROM (
            SELECT counts, engaged_at AS since, reason FROM brake WHERE engaged_at IS NOT NULL) AS b) AS brakes,
        (SELECT {_SWEEP} FROM sweeps ORDER BY id DESC LIMIT 1) AS newest,
        (SELECT {_SWEEP} FROM ended) AS ended,
        -- The first sweep of all takes in what came before the webhook was there.
        (SELECT count(*) FROM events e, ended
            WHERE e.source = 'sweep' AND e.received_at >= ended.started_at
                AND e.received_at <= ended.finished_at AND e.created_at < e.received_at - %(late)s
                AND EXISTS (SELECT FROM sweeps b WHERE b.id < ended.id AND b.finished_at IS NOT NULL)) AS missed,
        (SELECT coalesce(jsonb_agg(f), '[]') FROM (
            SELECT name AS side, error, beat_at AS at, failing_since AS since FROM pulses
            WHERE error IS NOT NULL AND (%(mails)s OR name <> 'mail') ORDER BY name) AS f
        ) AS faults,
        (SELECT expires_at FROM pulses WHERE name = 'enhance') AS token_expires_at,
        (SELECT coalesce(jsonb_agg(r ORDER BY number), '[]') FROM (
            SELECT array_position(%(endpoints)s::text[], endpoint) AS number, url, disabled_at IS NOT NULL AS disabled,
                failing_since AS since, last_error AS error,
                (SELECT coalesce(sum(n), 0)::bigint FROM told
                    WHERE name = 'outbox' AND labels[1] = e.endpoint) AS waiting
            FROM outbox_endpoints e WHERE endpoint = ANY(%(endpoints)s)
                AND (failing_since IS NOT NULL OR disabled_at IS NOT NULL)) AS r) AS receivers,
        (SELECT coalesce(sum(n), 0)::bigint FROM not_live) AS not_live,
        (SELECT min(since) FROM not_live) AS not_live_since,
        (SELECT min(next) + %(not_live)s FROM not_live) AS turns_not_live_at,
        (SELECT coalesce(jsonb_agg(l), '[]') FROM (
            SELECT {as_text()} AS customer,
                subscription_id AS subscription, (facts ->> 'amount')::bigint AS amount,
                facts ->> 'currency' AS currency, at
            FROM actions WHERE kind = 'paid_after_end' AND at > now() - %(recent)s
            ORDER BY at DESC LIMIT %(most)s) AS l) AS late_money,
        (SELECT coalesce(jsonb_agg(d), '[]') FROM (
            SELECT dispute_id AS dispute, customer_id AS customer, amount, currency, due_by, created_at AS opened_at
            FROM disputes WHERE {TO_ANSWER} AND due_by > now()
            ORDER BY due_by, dispute_id LIMIT %(most)s) AS d) AS to_answer,
        {tallies.by_label("to_return")} AS to_return,
        (SELECT count(*) FROM orders WHERE {OVERDUE} AND state = 'paying') AS part_paid,
        (SELECT count(*) FROM orders WHERE {LATE} AND paid_at > now() - %(recent)s) AS paid_late,
        CASE WHEN %(size)s THEN pg_database_size(current_database()) END AS database_bytes,
        n.refused AS mails_refused, n.since AS mails_refused_at
    FROM (SELECT count(*) AS refused, min(ended_at) AS since FROM notices
        WHERE status IN ('refused', 'bounced', 'unsure') AND ended_at > now() - %(recent)s) AS n
"""


def limits(settings: Settings) -> AlertLimits:
    """From when on something calls for a person."""
    allowance = settings.database_allowance_mb
    size = allowance * 2**20 if allowance is not None else None
    return AlertLimits(settings.provisioning_mode, settings.health_max_lag, size)


async def of(db: Database, settings: Settings) -> AlertFacts:
    """Everything that may call for a person."""
    return await db.read(reading(settings))


def reading(settings: Settings) -> Reading[AlertFacts]:
    """The same, to be read together with something else."""
    return Reading(
        _FACTS,
        {
            "ours": due.OURS,
            "late": ON_ITS_WAY,
            "endpoints": [endpoint.id for endpoint in settings.outbox.endpoints],
            "not_live": NOT_LIVE_AFTER,
            "recent": RECENT,
            "most": MOST,
            "size": settings.database_allowance_mb is not None,
            "mails": settings.mail is not None,
        },
        _read,
    )


def _read(rows: Sequence[dict[str, Any]]) -> AlertFacts:
    found = dict(rows[0])
    return AlertFacts(
        parked=tuple(ParkedGroup(**_dated(one)) for one in found.pop("parked")),
        brakes=tuple(Engaged(**_dated(one)) for one in found.pop("brakes")),
        newest=_swept(found.pop("newest")),
        ended=_swept(found.pop("ended")),
        faults=tuple(SideFault(**_dated(one)) for one in found.pop("faults")),
        receivers=tuple(Receiver(**_dated(one)) for one in found.pop("receivers")),
        late_money=_one_each(found.pop("late_money")),
        to_answer=tuple(ToAnswer(**_dated(one)) for one in found.pop("to_answer")),
        **found,
    )


def _one_each(rows: Sequence[dict[str, Any]]) -> tuple[LateMoney, ...]:
    """The newest of each subscription."""
    newest: dict[str, LateMoney] = {}
    for row in rows:
        newest.setdefault(row["subscription"], LateMoney(**_dated(row)))
    return tuple(newest.values())


def _swept(row: dict[str, Any] | None) -> Swept | None:
    return Swept(**_dated(row)) if row is not None else None


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    """A row that came as JSON, with its dates as such."""
    dates = {"at", "since", "due_by"}
    return {
        name: datetime.fromisoformat(value) if value is not None and (name in dates or name.endswith("_at")) else value
        for name, value in row.items()
    }
