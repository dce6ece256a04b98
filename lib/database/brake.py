"""The brake: counts over all processes, stops what there is too much of, and waits for a person to release it.

It counts suspensions and terminations together, and apart from them the moves to another plan that no change at Stripe
asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from msgspec import Struct

from lib.database import ledger
from lib.database.connection import Connection, Database, Reading, Write
from lib.database.keys import as_text, id_in, whose
from lib.database.leases import held
from lib.database.previews import digest_of
from lib.errors import Declined
from lib.model import ActionKind
from lib.model.reason import Rule
from lib.policy import UNASKED_MOVES
from lib.structs import replace

Counts = Literal["suspensions", "moves"]

WINDOW = timedelta(hours=1)
"""Within which suspensions, or moves, are counted together."""

LIVE_FOR_PERCENT = 100
"""Fewer live services than this make no meaningful percentage."""

LET_PASS_FOR = timedelta(days=1)
"""How long a release holds for what it let pass: longer than any number of passes and their repetitions take."""

SHOWN = 50
"""How many of those who wait are named."""

_LOCK = 0x5B1D6E03
"""Arbitrary, but ours: makes counting and adding one a single step."""


class Brake(Struct, frozen=True):
    """Whether the brake is engaged, since when and why; who released it last, and who waits for the next release."""

    engaged_at: datetime | None
    reason: str | None
    released_at: datetime | None
    released_by: str | None
    waiting: int
    """Services."""
    digest: str
    """Of these, and of what is to be done to each."""
    services: list[dict[str, Any]]
    """The first of these: customer_id, subscription_id, slot, kind, plan."""


_NAMES: dict[Counts, str] = {
    "suspensions": "suspensions or terminations",
    "moves": "moves to another plan that no change at Stripe asked for",
}


def counted(entry: ledger.Entry) -> Counts | None:
    """Under which count an action is braked; `None`: never."""
    if entry.kind in (ActionKind.SUSPEND, ActionKind.TERMINATE):
        return "suspensions"
    return "moves" if entry.kind == ActionKind.CHANGE_PLAN and entry.rule in UNASKED_MOVES else None


_INTEND = f"""
    WITH verdict AS MATERIALIZED (
        SELECT * FROM brake_verdict(%(counts)s, %(action)s, %(provider)s, %(customer)s, %(subscription)s, %(slot)s,
            %(kind)s, %(plan)s, %(most)s, %(percent)s, %(window)s, %(let_pass_for)s, %(meaningful)s, %(enough)s,
            %(lock)s, %(words)s)
    ), written AS ({ledger.insert_of("CASE WHEN let_pass THEN %(let_pass)s::jsonb ELSE %(rows)s::jsonb END", "verdict")}
        WHERE passes AND {held(begins=True)}
        ON CONFLICT (action_id, state) DO NOTHING RETURNING 1
    )
    SELECT passes, engaged, EXISTS (SELECT FROM written) OR EXISTS (
        SELECT FROM actions WHERE action_id = %(action)s AND state = 'intent') AS written
    FROM verdict
"""


def intending_braked(entry: ledger.Entry, lease_id: str, counts: Counts, *, most: int, percent: int) -> Write:
    """Write the intent of what is counted, unless the brake is engaged or engages by it.

    What a release has shown as waiting passes, and is not counted. A row: `passes`; `engaged`, why, by the very call
    that engaged the brake; `written`, false where it passes and another process may hold this customer now.
    """
    assert entry.service is not None
    return Write(
        _INTEND,
        {
            **whose(entry.customer),
            "subscription": entry.service.subscription_id,
            "slot": entry.service.slot,
            "kind": str(entry.kind),
            "plan": str((entry.facts or {}).get("plan") or ""),
            "counts": counts,
            "action": entry.action_id,
            "most": most,
            "percent": percent,
            "window": WINDOW,
            "let_pass_for": LET_PASS_FOR,
            "meaningful": LIVE_FOR_PERCENT,
            # As many live services as make the percentage reach `most`: how many more there are changes nothing.
            "enough": max(LIVE_FOR_PERCENT, -(-most * 100 // percent) if percent else 0),
            "lock": _LOCK,
            "words": _NAMES[counts],
            "rows": ledger.rows_of([entry]),
            "let_pass": ledger.rows_of([replace(entry, facts={**(entry.facts or {}), "brake": "let_pass"})]),
            "lease": lease_id,
        },
    )


async def let_pass(connection: Connection, provider: str, moves: Sequence[Mapping[str, Any]]) -> None:
    """Let these moves pass, which somebody was shown and has asked for: customer_id, subscription_id, slot and plan."""
    await connection.execute(
        f"""
        INSERT INTO braked (provider, customer_id, subscription_id, slot, counts, kind, plan, released_at)
        SELECT %(provider)s, {id_in("customer_id")}, subscription_id, slot, 'moves', 'change_plan', plan,
            clock_timestamp()
        FROM jsonb_to_recordset(%(moves)s::jsonb)
            AS m (customer_id text, subscription_id text, slot integer, plan text)
        ORDER BY subscription_id, slot
        ON CONFLICT (provider, subscription_id, slot, kind) DO UPDATE SET plan = excluded.plan,
            released_at = excluded.released_at
        """,
        {"provider": provider, "moves": json.dumps(list(moves))},
    )


_WAITING = f"""
    SELECT b.* FROM braked b JOIN due d ON d.kind = 'customer' AND d.key = {as_text("b.")}
    WHERE b.released_at IS NULL AND d.waits_for = 'brake'
"""
"""Services that are shown as waiting."""

_DIGEST = digest_of("concat_ws(' ', w.provider, w.subscription_id, w.slot, w.kind, w.plan)")


async def read(db: Database) -> dict[Counts, Brake]:
    """How the brake stands, by what it counts."""
    return await db.read(reading())


def reading() -> Reading[dict[Counts, Brake]]:
    """The same, to be read together with something else. All who wait are read for the digest of them, once."""
    return Reading(
        f"""
        WITH waiting AS MATERIALIZED ({_WAITING}),
            summed AS (SELECT counts, count(*) AS waiting, {_DIGEST} AS digest FROM waiting w GROUP BY 1),
            nobody AS (SELECT {_DIGEST} AS digest FROM braked w WHERE false)
        SELECT counts, engaged_at, reason, released_at, released_by, coalesce(summed.waiting, 0) AS waiting,
            coalesce(summed.digest, nobody.digest) AS digest,
            (SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', {as_text()},
                'subscription_id', subscription_id, 'slot', slot, 'kind', kind, 'plan', nullif(plan, ''))), '[]') FROM (
                SELECT * FROM waiting w WHERE w.counts = brake.counts
                ORDER BY stopped_at, subscription_id, slot LIMIT %(shown)s) AS s) AS services
        FROM brake LEFT JOIN summed USING (counts) CROSS JOIN nobody
        """,
        {"shown": SHOWN},
        lambda rows: {row.pop("counts"): Brake(**row) for row in rows},
    )


class Shown(Struct, frozen=True):
    """What somebody was shown as waiting before they said to let it go on."""

    counts: Counts | None = None
    """Only the brake that counts these; `None`: each one that is engaged."""
    expected: int | None = None
    """How many services."""
    digest: str | None = None
    """Of these; it goes with `counts`."""


async def release(db: Database, actor: str, shown: Shown, *, reason: str | None = None) -> int:
    """Release the brake, let pass whom it has shown as waiting, and make those due; how many. Nothing, when it is off.

    Whoever has a pass just now may have met the brake a moment ago, and is made due as well. For everybody else it
    counts anew. Who released what and why is a line of the ledger, under `brake`: it is about no one customer.

    Args:
        reason: the person's own words.

    Raises:
        Declined: others wait by now than were shown; nothing is released.
    """
    async with db.transaction() as connection:
        # What was stopped a moment ago is written by then, and what comes after finds the brake released.
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        counts = shown.counts
        waiting, digest = await _waiting(connection, counts)
        if shown.expected not in (None, waiting):
            detail = f"{waiting} wait for it by now, not {shown.expected}: look at them again"
            raise Declined("changed_meanwhile", detail, field="expected")
        if shown.digest not in (None, digest):
            detail = f"{waiting} wait for it as before, but others than were shown: look at them again"
            raise Declined("changed_meanwhile", detail, field="digest")
        cursor = await connection.execute(_RELEASE, {"actor": actor, "counts": counts, "for": LET_PASS_FOR})
        row = await cursor.fetchone()
        assert row is not None
        if row["released"]:
            facts = {"reason": reason, "counts": row["released"], "services": waiting, "customers": row["marked"]}
            note = ledger.Entry(
                str(uuid4()), "noted", "release_brake", "brake", rule=Rule.BY_HAND, facts=facts, actor=actor
            )
            await ledger.add(connection, [note])
        return int(row["marked"])


async def _waiting(connection: Connection, counts: Counts | None) -> tuple[int, str]:
    """Services that are shown as waiting for one of the brakes, or for any: how many, and their digest."""
    cursor = await connection.execute(
        f"SELECT count(*) AS services, {_DIGEST} AS digest FROM ({_WAITING}) AS w"
        " WHERE %(counts)s::text IS NULL OR counts = %(counts)s",
        {"counts": counts},
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["services"]), str(row["digest"])


_RELEASE = f"""
    WITH released AS (
        UPDATE brake SET engaged_at = NULL, reason = NULL, released_at = clock_timestamp(), released_by = %(actor)s
        WHERE engaged_at IS NOT NULL AND (%(counts)s::text IS NULL OR counts = %(counts)s) RETURNING counts
    ), waiting AS (
        SELECT kind, key FROM due
        WHERE (waits_for = 'brake' OR lease_id IS NOT NULL) AND EXISTS (SELECT FROM released)
            -- Who waits for the other brake alone goes on waiting.
            AND (%(counts)s::text IS NULL OR kind = 'customer' AND EXISTS (SELECT FROM braked
                WHERE braked.released_at IS NULL AND braked.counts = %(counts)s AND {as_text("braked.")} = due.key))
        ORDER BY kind, key FOR UPDATE
    ), forgotten AS (
        DELETE FROM braked WHERE released_at < clock_timestamp() - %(for)s
    ), shown AS (
        UPDATE braked SET released_at = clock_timestamp() FROM waiting, released
        WHERE braked.released_at IS NULL AND braked.counts = released.counts
            AND waiting.kind = 'customer' AND waiting.key = {as_text("braked.")}
    ), marked AS (
        UPDATE due SET due_at = least(due_at, now()), generation = generation + 1, updated_at = now()
        FROM waiting WHERE (due.kind, due.key) = (waiting.kind, waiting.key) RETURNING 1
    )
    SELECT (SELECT count(*) FROM marked) AS marked,
        (SELECT coalesce(jsonb_agg(counts ORDER BY counts), '[]') FROM released) AS released
"""
