"""A world that has something to look at: a few hundred customers in every state, equal on both sides.

`populate` fills two simulators and the database between them. Each life of `lives` is lived once by a model, with real
passes, in a world beside this one; whoever takes after them is a copy (`copies`), with other ids, names and days. So
every row and every object is as the product and the simulators make them, and a sweep over both sides finds nothing.
For the demo, and for tests that need many: nothing in it is of this demo's stage.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.demo_world import today
from scripts.demo_world.copies import TABLES, Copy, Target
from scripts.demo_world.lives import AFTER_THE_EDIT, PLANS, SHOP, Life
from scripts.demo_world.models import Lived, live

if TYPE_CHECKING:
    import psycopg

    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.stripe_sim import StripeSim

POLICIES = {"RETENTION_DAYS": "30", "ON_REFUND": "suspend"}
"""Settings that the populated world needs: else nothing is ever deleted, and a refund alone holds nobody."""

_FIRST = (
    "Amber", "Birch", "Cobalt", "Dune", "Ember", "Fern", "Glade", "Harbour", "Ivory", "Juniper", "Kestrel", "Linden",
    "Meadow", "North", "Opal", "Pebble", "Quarry", "River", "Slate", "Thistle", "Umber", "Velvet", "Willow", "Zephyr",
)  # fmt: skip
_SECOND = (
    "Bakery", "Books", "Cycles", "Dental", "Eyewear", "Florist", "Garage", "Hotel", "Interiors", "Joinery", "Kitchens",
    "Law", "Music", "Nursery", "Optics", "Pottery", "Quilts", "Roofing", "Studio", "Tailor", "Vet", "Winery", "Yarns",
)  # fmt: skip
_SEED = 11
SWEEPS = 48
"""Whole sweeps of the past, one an hour."""


@dataclass(frozen=True)
class Populated:
    """What there is now."""

    customers: int
    lives: Mapping[str, int]
    """How many live each kind of life, by its name in `lives`."""
    seconds: float


def populate(
    stripe: StripeSim, panel: EnhanceSim, environ: Mapping[str, str], *, models_url: str, now: datetime | None = None
) -> Populated:
    """Fill both simulators and the database of `environ`; not from within a running event loop.

    Args:
        environ: the settings of the functions, `POLICIES` among them. Its database is migrated, and its user may
            switch triggers off, as the owner of a server of one's own may.
        models_url: the address of another database, empty: it is used, and of no use afterwards.
        now: the moment to which everything leads up.
    """
    return asyncio.run(_populate(stripe, panel, environ, models_url, now or datetime.now(UTC)))


async def _populate(
    stripe: StripeSim, panel: EnhanceSim, environ: Mapping[str, str], models_url: str, now: datetime
) -> Populated:
    import psycopg

    began = time.monotonic()
    _sell(stripe, panel)
    lived = await live(stripe, panel, environ, models_url)
    target = Target(stripe, panel, random.Random(_SEED), now)  # noqa: S311 - ids
    chance = random.Random(_SEED)  # noqa: S311 - the same names and days each time
    counted: Counter[str] = Counter()
    names = _names(chance)
    keep = {panel.org_id, panel.actor_id, panel.staff_id}
    for life, original in zip(lived.lives, lived.originals, strict=True):
        for earlier in _days(life, chance):
            name, domain = next(names)
            Copy(original, target, keep, name=name, domain=domain, earlier=earlier).make()
            counted[life.name] += 1
    _file_events(target)
    with psycopg.connect(environ["DATABASE_URL"], autocommit=True) as database:
        _write(database, target, lived, counted)
        await _remember(environ)
        await today.happen(stripe, environ, database)
    return Populated(counted.total(), counted, time.monotonic() - began)


def _sell(stripe: StripeSim, panel: EnhanceSim) -> None:
    """What is sold, beyond what is sold already."""
    for price, amount in zip((*PLANS, SHOP), (1900, 4900, 7900, 2900), strict=True):
        if price not in stripe.prices:
            stripe.create_price(price, amount=amount)
            for event in stripe.undelivered():
                stripe.mark_delivered(event)
    known = {plan.name for plan in panel.plans.values()}
    for plan, disk in zip(("basic-hosting-plan", "big-hosting-plan"), (10, 50), strict=True):
        if plan not in known:
            panel.add_plan(plan, resources={"websites": disk, "diskspace": disk * 1_000_000_000})


def _names(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Names of shops and their domains, none twice."""
    pairs = [(first, second) for first in _FIRST for second in _SECOND]
    chance.shuffle(pairs)
    for first, second in pairs:
        yield f"{first} {second}", f"{first}-{second}.example".lower()


def _days(life: Life, chance: random.Random) -> Iterator[timedelta]:
    """How much earlier each copy's life was: spread over the span, by no even steps."""
    low, high = life.spread
    for number in range(life.copies):
        place = (number + chance.random()) / life.copies
        yield timedelta(days=low + (high - low) * place)


def _file_events(target: Target) -> None:
    with target.stripe.lock:
        target.events.sort(key=lambda event: event["created"])
        for event in target.events:
            target.stripe.put(event)
        target.stripe.events[:] = sorted(
            [*target.stripe.events, *target.events], key=lambda event: int(event["created"])
        )


# --- the database -----------------------------------------------------------------------------------------------------


def _write(database: psycopg.Connection[Any], target: Target, lived: Lived, counted: Mapping[str, int]) -> None:
    """All rows at once, as they are: no trigger takes a step that the passes of the models have taken."""
    with database.transaction():
        database.execute("SET LOCAL session_replication_role = replica")
        for price, plan in (PLANS | AFTER_THE_EDIT).items():
            database.execute(
                "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
                " VALUES ('stripe', %s, %s) ON CONFLICT DO NOTHING",
                (price, plan),
            )
        for table in TABLES:
            rows = target.rows[table]
            if table in ("actions", "order_steps"):
                rows = sorted(rows, key=lambda row: (row["at"], row["id"]))
            _insert(database, table, rows)
        _engage(database, lived, counted["moved"])
        _sweep_before(database)
        database.execute("INSERT INTO tallies SELECT * FROM tallies_lack()")  # no trigger has counted them


def _engage(database: psycopg.Connection[Any], lived: Lived, moved: int) -> None:
    """The brake that stopped a model, as it would stand after the moves of so many."""
    for brake in lived.brakes:
        if brake["engaged_at"] is not None:
            said = re.sub(r"^\d+|\d+(?= services live)", "%s", brake["reason"])
            (live,) = database.execute("SELECT count(*) FROM services WHERE state = 'live'").fetchone() or (0,)
            database.execute(
                "UPDATE brake SET engaged_at = now() - interval '2 hours', reason = %s, released_at = NULL"
                " WHERE counts = %s",
                (said % (moved, live), brake["counts"]),
            )


def _insert(database: psycopg.Connection[Any], table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    found = database.execute(
        "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND is_identity = 'NO' AND is_generated = 'NEVER'",
        (table,),
    ).fetchone()
    assert found is not None
    statement: Any = (
        f"INSERT INTO {table} ({found[0]}) SELECT {found[0]}"  # noqa: S608 - names of our own tables
        f" FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    )
    database.execute(statement, (json.dumps(rows),))


def _sweep_before(database: psycopg.Connection[Any]) -> None:
    """Sweeps of the last two days, as hourly ones are: mostly nothing, an event here and there, one in part."""
    database.execute(
        """
        INSERT INTO sweeps (started_at, finished_at, phase, updated_at, counts, errors)
        SELECT at, at + interval '9 seconds', 'done', at + interval '9 seconds',
            jsonb_build_object('events', 20 + mod(n, 7), 'eventsMissed', CASE WHEN mod(n, 17) = 5 THEN 2 ELSE 0 END,
                'subscriptions', 380, 'orgs', 350, 'websites', 340, 'marked', CASE mod(n, 11) WHEN 3 THEN 1 ELSE 0 END),
            CASE WHEN n = 30 THEN '{"websites": "the panel did not answer within 20 s"}' ELSE '{}' END::jsonb
        FROM generate_series(%s, 1, -1) AS n, LATERAL (SELECT now() - n * interval '1 hour' AS at) AS t
        """,
        (SWEEPS,),
    )


async def _remember(environ: Mapping[str, str]) -> None:
    """What Stripe says of each subscription, as the pass of its customer would have remembered it."""
    from lib.bridge import Bridge
    from lib.config import Settings
    from lib.policy.fingerprint import fingerprint

    bridge = Bridge(Settings.load(environ))
    try:
        after: str | None = None
        while True:
            page, _, after = await bridge.stripe.subscriptions_page(after)
            prints = [(sub.id, fingerprint(sub, bridge.settings.policy)) for _, sub in page]
            await bridge.db.rows(
                "UPDATE subscriptions s SET fingerprint = p.print FROM unnest(%(ids)s::text[], %(prints)s::text[])"
                " AS p (id, print) WHERE s.provider = 'stripe' AND s.subscription_id = p.id",
                {"ids": [one for one, _ in prints], "prints": [one for _, one in prints]},
            )
            if after is None:
                return
    finally:
        await bridge.close()
