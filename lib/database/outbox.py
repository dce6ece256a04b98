"""Outgoing events: written beside the fact they tell of, and what became of each at each endpoint.

An endpoint and a customer together are a *stream*: its events are numbered without a gap and delivered one after
another, by the pass that holds the stream's row of the queue. A row without a customer is the endpoint's own: it wakes
streams again once the endpoint is well, and lets one of them try while it is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from msgspec import Struct

from lib.config import Endpoint, Outlet
from lib.database import due
from lib.database.connection import Connection, Database
from lib.database.leases import insist_held
from lib.model import Lane, Nudge, Priority
from lib.model.outgoing import Attempt, Disabled, Standing, Told, Waiting

KIND = "outbox"
"""The kind of the rows of the queue."""

NOBODY = "-"
"""The stream of what is about no customer."""

TESTS = "-test"
"""The stream of tests, which wait for nothing and hold up nothing."""

MOST_BYTES = 19_500
"""Of a body without its number: below the 20 kB that receivers are promised."""

_KEY = "'outbox', {endpoint} || ':' || {customer}, 'out'"


def key(endpoint: str, customer: str = "") -> Nudge:
    """The row of the queue of a stream, or of an endpoint itself."""
    return Nudge(KIND, f"{endpoint}:{customer}", Lane.OUT)


# --- writing ----------------------------------------------------------------------------------------------------------

_NUMBERED = """
    WITH told AS (
        SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
            AS t (n integer, endpoint text, url text, customer text, event_id text, type text, head text, tail text)
    ), known AS (
        INSERT INTO outbox_endpoints (endpoint, url) SELECT DISTINCT endpoint, url FROM told ORDER BY endpoint
        ON CONFLICT (endpoint) DO NOTHING
    ), fresh AS (
        SELECT * FROM told WHERE NOT EXISTS (
            SELECT FROM outbox o WHERE o.endpoint = told.endpoint AND o.event_id = told.event_id)
    ), streams AS (
        INSERT INTO outbox_streams AS s (endpoint, customer, sequence)
        SELECT endpoint, customer, count(*) FROM fresh GROUP BY endpoint, customer ORDER BY endpoint, customer
        ON CONFLICT (endpoint, customer) DO UPDATE SET sequence = s.sequence + excluded.sequence
        RETURNING endpoint, customer, sequence
    ), numbered AS (
        SELECT endpoint, customer, n, event_id, type, head, tail, s.sequence - count(*) OVER stream
            + row_number() OVER (stream ORDER BY n) AS sequence
        FROM fresh JOIN streams s USING (endpoint, customer)
        WINDOW stream AS (PARTITION BY endpoint, customer)
    ), bodies AS (
        SELECT *, head || ',"sequence":' || sequence || ',"timestamp":"'
            || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"' || tail AS body FROM numbered
    )
"""

_WRITE = f"""
    {_NUMBERED}, written AS (
        INSERT INTO outbox (endpoint, customer, sequence, event_id, type, body)
        SELECT endpoint, customer, sequence, event_id, type, body FROM bodies ORDER BY n
    )
    INSERT INTO due (kind, key, lane, priority)
    SELECT {_KEY.format(endpoint="endpoint", customer="customer")}, {Priority.ASKED.value} FROM streams
    ORDER BY endpoint || ':' || customer
    {due.NUDGE}
"""

_WRITE_ASIDE = f"""
    {_NUMBERED}
    INSERT INTO outbox (endpoint, customer, sequence, event_id, type, body, state, ended_at)
    SELECT endpoint, customer, sequence, event_id, type, body, 'skipped', clock_timestamp() FROM bodies
    RETURNING id, event_id, body
"""


async def write(connection: Connection, outlet: Outlet, told: Sequence[Told]) -> None:
    """Write what happened, in the transaction of the fact itself and at its end; without an endpoint nothing is done.

    One statement for any number of events and endpoints. It makes their deliveries due.
    """
    rows = list(_rows(outlet, told)) if outlet else []
    if rows:
        await connection.execute(_WRITE, {"rows": json.dumps(rows)})


async def write_test(connection: Connection, endpoint: Endpoint, told: Told, *, livemode: bool) -> Waiting:
    """Write a test for one endpoint, whatever types it wants; whoever asked sends it, and no pass does."""
    row = {**_row(0, endpoint, told, _id(told), livemode), "customer": TESTS}
    cursor = await connection.execute(_WRITE_ASIDE, {"rows": json.dumps([row])})
    written = await cursor.fetchone()
    assert written is not None
    return Waiting(written["id"], written["event_id"], written["body"], 0)


def _rows(outlet: Outlet, told: Sequence[Told]) -> Iterator[dict[str, Any]]:
    for n, one in enumerate(told):
        event_id = _id(one)
        for endpoint in outlet.endpoints:
            if one.type in endpoint.types:
                yield _row(n, endpoint, one, event_id, outlet.livemode)


def _id(told: Told) -> str:
    return "evt_" + (uuid5(NAMESPACE_URL, f"outgoing:{told.once}") if told.once else uuid4()).hex


def _row(n: int, endpoint: Endpoint, told: Told, event_id: str, livemode: bool) -> dict[str, Any]:
    from lib.model import payloads  # msgspec, only where there is something to write

    whom = str(told.customer) if told.customer else None
    cause = payloads.Cause(actor=told.actor, rule=told.rule, pass_id=told.pass_id)
    head = payloads.Head(type=told.type.value, id=event_id, livemode=livemode, customer_id=whom, cause=cause)
    begins, ends = payloads.encode(head).removesuffix("}"), ',"data":' + payloads.encode(told.data) + "}"
    if len((begins + ends).encode()) > MOST_BYTES:
        ends = ',"data":null}'
    return {
        "n": n,
        "endpoint": endpoint.id,
        "url": endpoint.shown,
        "customer": whom or NOBODY,
        "event_id": event_id,
        "type": told.type.value,
        "head": begins,
        "tail": ends,
    }


# --- delivering -------------------------------------------------------------------------------------------------------


async def standing(db: Database, endpoint: str, customer: str) -> Standing:
    """How an endpoint does, and the next event of one stream."""
    row = await db.row(
        """
        SELECT clock_timestamp() AS at, e.failing_since, coalesce(e.failures, 0) AS failures, e.last_failed,
            coalesce(e.probing, false) AS probing, e.probe, e.next_try_at, e.disabled_reason,
            o.id, o.event_id, o.body, o.attempts
        FROM (SELECT) AS one LEFT JOIN outbox_endpoints e ON e.endpoint = %(endpoint)s
        LEFT JOIN LATERAL (
            SELECT * FROM outbox WHERE endpoint = %(endpoint)s AND customer = %(customer)s AND state = 'waiting'
            ORDER BY sequence LIMIT 1
        ) AS o ON true
        """,
        {"endpoint": endpoint, "customer": customer},
    )
    assert row is not None
    found = Waiting(row["id"], row["event_id"], row["body"], row["attempts"]) if row["id"] is not None else None
    return Standing(
        at=row["at"],
        next=found,
        failing_since=row["failing_since"],
        failures=row["failures"],
        last_failed=row["last_failed"],
        probing=row["probing"],
        probe=row["probe"],
        next_try_at=row["next_try_at"],
        disabled=Disabled(row["disabled_reason"]) if row["disabled_reason"] else None,
    )


_ATTEMPTED = """
    tried AS (
        INSERT INTO outbox_attempts (outbox_id, status, duration_ms, error)
        SELECT %(id)s, %(status)s, %(ms)s, %(error)s FROM outbox WHERE id = %(id)s
    ), stream AS (
        UPDATE outbox_streams SET tried_at = clock_timestamp() WHERE endpoint = %(endpoint)s AND customer = %(customer)s
    )
"""

_WELL = """
    UPDATE outbox_endpoints SET failing_since = NULL, failures = 0, last_failed = NULL, last_error = NULL,
        probing = false, probe = NULL, next_try_at = NULL
    WHERE endpoint = %(endpoint)s AND (failing_since IS NOT NULL OR probing)
"""

_WAKE_ENDPOINT = f"""
    INSERT INTO due (kind, key, lane, priority)
    SELECT {_KEY.format(endpoint="%(endpoint)s", customer="''")}, {Priority.ASKED.value} {{where}} {due.NUDGE}
"""


class Delivery(Struct, frozen=True):
    """One event on its way to one endpoint, by the pass that holds its stream."""

    endpoint: str
    customer: str
    lease_id: str
    row_id: int


_ARRIVED = f"""
    WITH {_ATTEMPTED}, ended AS (
        UPDATE outbox SET state = 'delivered', attempts = attempts + 1, last_error = NULL, ended_at = clock_timestamp()
        WHERE id = %(id)s AND (state = 'waiting' OR customer = %(tests)s)
    ), well AS ({_WELL} RETURNING 1)
    {_WAKE_ENDPOINT.format(where="FROM well")}
"""

_FAILED = f"""
    WITH {_ATTEMPTED}, kept AS (
        UPDATE outbox SET attempts = attempts + 1, last_error = %(error)s WHERE id = %(id)s
    )
    UPDATE outbox_endpoints SET failing_since = coalesce(failing_since, clock_timestamp()),
        failures = failures + 1, last_error = %(error)s,
        probing = probing OR coalesce(last_failed <> %(customer)s, false), last_failed = %(customer)s,
        probe = NULL, next_try_at = %(again)s,
        disabled_at = CASE WHEN %(disabled)s::text IS NULL THEN disabled_at
            ELSE coalesce(disabled_at, clock_timestamp()) END,
        disabled_reason = coalesce(disabled_reason, %(disabled)s)
    WHERE endpoint = %(endpoint)s RETURNING probing
"""

_TEST_FAILED = f"WITH {_ATTEMPTED} UPDATE outbox SET attempts = attempts + 1, last_error = %(error)s WHERE id = %(id)s"

_WAKE_LATER = f"""
    INSERT INTO due (kind, key, lane, priority, due_at)
    VALUES ({_KEY.format(endpoint="%(endpoint)s", customer="''")}, {Priority.ASKED.value}, %(again)s)
    {due.NUDGE}
"""


async def delivered(db: Database, delivery: Delivery, attempt: Attempt) -> None:
    """Write down that an event has arrived; with it the endpoint is well, and wakes its streams.

    Raises:
        LeaseLost: somebody else has this stream, and may deliver it again.
    """

    async def write_down(connection: Connection) -> None:
        await insist_held(connection, delivery.lease_id)
        await connection.execute(_ARRIVED, _parameters(delivery, attempt))

    await db.transact(write_down)


async def failed(
    db: Database, delivery: Delivery, attempt: Attempt, *, again_at: datetime, disabled: Disabled | None
) -> bool:
    """Write down that an event did not arrive. Whether one event at a time is tried at this endpoint from now on.

    That is so once events of two customers have failed without one arriving in between: a single event that the
    receiver can't take is no reason to hold back everybody else's.

    Raises:
        LeaseLost: somebody else has this stream.
    """
    parameters = {**_parameters(delivery, attempt), "again": again_at, "disabled": disabled}

    async def write_down(connection: Connection) -> bool:
        await insist_held(connection, delivery.lease_id)
        cursor = await connection.execute(_FAILED, parameters)
        row = await cursor.fetchone()
        probing = bool(row and row["probing"])
        if probing:
            await connection.execute(_WAKE_LATER, parameters)
        return probing

    return await db.transact(write_down)


def _parameters(delivery: Delivery, attempt: Attempt) -> dict[str, Any]:
    return {
        "endpoint": delivery.endpoint,
        "customer": delivery.customer,
        "id": delivery.row_id,
        "status": attempt.status,
        "ms": attempt.duration_ms,
        "error": attempt.error,
        "tests": TESTS,
    }


async def tested(db: Database, endpoint: str, row_id: int, attempt: Attempt) -> None:
    """Write down what came of a test. One that has arrived shows that the endpoint is well; one that has not is none
    of its failures.
    """
    statement = _ARRIVED if attempt.delivered else _TEST_FAILED
    parameters = _parameters(Delivery(endpoint, TESTS, "", row_id), attempt)

    async def write_down(connection: Connection) -> None:
        await connection.execute(statement, parameters)

    await db.transact(write_down)


# --- an endpoint that fails, and one that is well again ---------------------------------------------------------------

_WAITING = """
    SELECT s.endpoint, s.customer, s.tried_at FROM outbox_streams s WHERE s.endpoint = %(endpoint)s AND EXISTS (
        SELECT FROM outbox o WHERE o.endpoint = s.endpoint AND o.customer = s.customer AND o.state = 'waiting')
"""
"""The streams of an endpoint for which something waits."""


async def wake(db: Database, endpoint: str) -> int:
    """Make every stream of an endpoint due for which something waits; how many."""
    rows = await db.rows(
        f"""
        INSERT INTO due (kind, key, lane, priority)
        SELECT {_KEY.format(endpoint="w.endpoint", customer="w.customer")}, {Priority.ROUTINE.value}
        FROM ({_WAITING}) AS w ORDER BY w.endpoint || ':' || w.customer {due.NUDGE} RETURNING 1
        """,
        {"endpoint": endpoint},
    )
    return len(rows)


async def let_one_try(db: Database, endpoint: str, until: timedelta) -> bool:
    """Give the turn to the stream that was tried longest ago, and make it due; False: nothing waits any more.

    Args:
        until: for how long the turn is its own.
    """

    async def give(connection: Connection) -> bool:
        cursor = await connection.execute(
            f"""
            WITH turn AS (
                SELECT customer FROM ({_WAITING}) AS w ORDER BY tried_at NULLS FIRST, customer LIMIT 1
            )
            UPDATE outbox_endpoints SET probe = (SELECT customer FROM turn),
                next_try_at = clock_timestamp() + %(until)s, probing = EXISTS (SELECT FROM turn)
            WHERE endpoint = %(endpoint)s AND probing RETURNING probe
            """,
            {"endpoint": endpoint, "until": until},
        )
        row = await cursor.fetchone()
        if row is None or row["probe"] is None:
            return False
        await connection.execute(
            f"""
            INSERT INTO due (kind, key, lane, priority)
            VALUES ({_KEY.format(endpoint="%(endpoint)s", customer="%(customer)s")}, {Priority.ASKED.value}) {due.NUDGE}
            """,
            {"endpoint": endpoint, "customer": row["probe"]},
        )
        return True

    return await db.transact(give)


async def pass_turn_on(db: Database, endpoint: str, customer: str) -> None:
    """Give back a turn for which nothing waits any more, so that another stream tries."""
    await db.rows(
        f"""
        WITH given AS (
            UPDATE outbox_endpoints SET probe = NULL, next_try_at = clock_timestamp()
            WHERE endpoint = %(endpoint)s AND probing AND probe = %(customer)s RETURNING 1
        )
        {_WAKE_ENDPOINT.format(where="FROM given")}
        """,
        {"endpoint": endpoint, "customer": customer},
    )


async def remind(db: Database, outlet: Outlet) -> int:
    """Make every endpoint due for which something waits, whatever was lost before; how many."""
    rows = await db.rows(
        f"""
        INSERT INTO due (kind, key, lane, priority)
        SELECT {_KEY.format(endpoint="e.endpoint", customer="''")}, {Priority.ROUTINE.value} FROM outbox_endpoints e
        WHERE e.endpoint = ANY(%(endpoints)s) AND e.disabled_at IS NULL
            AND EXISTS (SELECT FROM outbox o WHERE o.endpoint = e.endpoint AND o.state = 'waiting')
        ORDER BY 2 {due.NUDGE} RETURNING 1
        """,
        {"endpoints": [endpoint.id for endpoint in outlet.endpoints]},
    )
    return len(rows)


async def prune(db: Database, outlet: Outlet, days: int, limit: int = 2000) -> int:
    """Delete up to `limit` events that came to their end longer ago than `days`, but what is locked; how many.

    What waits for an endpoint is kept however old it is, as long as the settings have the endpoint.
    """
    row = await db.row(
        """
        WITH ended AS (
            SELECT id FROM outbox WHERE ended_at < now() - make_interval(days => %(days)s)
            ORDER BY ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        ), left_over AS (
            SELECT id FROM outbox WHERE state = 'waiting' AND created_at < now() - make_interval(days => %(days)s)
                AND endpoint <> ALL(%(endpoints)s) ORDER BY created_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        ), old AS (
            SELECT id FROM ended UNION ALL SELECT id FROM left_over
        ), gone AS (
            DELETE FROM outbox o USING old WHERE o.id = old.id
                -- Attempts that are not in the totals yet are counted where they stand.
                AND NOT EXISTS (SELECT FROM outbox_attempts a WHERE a.outbox_id = o.id
                    AND a.id > (SELECT id FROM metric_marks WHERE name = 'attempts'))
            RETURNING 1
        )
        SELECT count(*) AS n FROM gone
        """,
        {"days": days, "limit": limit, "endpoints": [endpoint.id for endpoint in outlet.endpoints]},
    )
    return int(row["n"]) if row else 0


THEIRS = """
    (customer = %(key)s OR customer = '-' AND EXISTS (
        SELECT FROM unnest(%(orders)s::text[]) AS o (id) WHERE strpos(body, o.id) > 0))
"""
"""Events about a person who is to be erased: their own, and of their orders as long as nobody was known."""


async def erase(connection: Connection, theirs: Mapping[str, Any]) -> int:
    """Empty what was written about somebody; what has not been sent is not sent any more. How many that were."""
    cursor = await connection.execute(
        f"""
        UPDATE outbox SET body = '', last_error = NULL, state = CASE state WHEN 'waiting' THEN 'skipped' ELSE state END,
            ended_at = coalesce(ended_at, clock_timestamp())
        WHERE {THEIRS} AND body <> ''
        """,
        theirs,
    )
    return cursor.rowcount
