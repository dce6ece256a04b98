"""The models of the populated world: each life of `lives` lived once, by real passes, in a world of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scripts.demo_world import DemoError
from scripts.demo_world.copies import TABLES, Original, Round, take_rows
from scripts.demo_world.lives import LIVES, PLANS, SHOP, Life, Model, Step

if TYPE_CHECKING:
    import psycopg

    from lib.bridge import Bridge
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.stripe_sim import StripeSim

DAY = 86400
PATIENCE = 120.0
FREE, TIGHT = "100000", "1"
"""`BRAKE_MAX` while lives are lived, and for the steps that are to be braked."""


@dataclass
class Lived:
    """The models as they are in the end, and what belongs to nobody of them."""

    lives: Sequence[Life]
    originals: Sequence[Original]
    brakes: Sequence[Mapping[str, Any]]
    actor_id: str
    """Whom the panel names for what the token did."""


@contextmanager
def _worlds(stripe: StripeSim, panel: EnhanceSim) -> Iterator[tuple[StripeSim, EnhanceSim, dict[str, str]]]:
    """Simulators beside the given ones, with the same goods and plans under the same ids."""
    from scripts import sim
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.server import serve
    from scripts.sim.stripe_sim import StripeSim

    other = StripeSim(stripe.secret_key, stripe.webhook_secret, stripe.livemode)
    for goods in (*stripe.products.values(), *stripe.prices.values()):
        other.put(dict(goods))
    beside = EnhanceSim(panel.token, panel.org_id, panel.state.role)
    beside.actor_id = beside.knobs.actor = panel.actor_id
    beside.staff_id = panel.staff_id
    for plan in panel.plans.values():
        beside.add_plan(plan.name, plan.id, plan.resources)
    with serve(other.app) as stripe_url, serve(beside.app) as panel_url:
        yield other, beside, sim.settings(other, stripe_url, beside, panel_url)


async def live(stripe: StripeSim, panel: EnhanceSim, environ: Mapping[str, str], database_url: str) -> Lived:
    """Let every model live its life.

    Args:
        stripe: the account whose prices are sold.
        environ: the settings under which the copies will be looked after: the policies among them count.
        database_url: an empty database.
    """
    import psycopg

    with (
        _worlds(stripe, panel) as (other, beside, sides),
        psycopg.connect(database_url, autocommit=True) as database,
    ):
        settings = {
            **environ, **sides, "DATABASE_URL": database_url, "DATABASE_URL_UNPOOLED": "", "ORDERS": "on",
            "OUTBOX_URL": "", "OUTBOX_SECRET": "", "MAIL_URL": "", "MAIL_FROM": "", "PANEL_CONCURRENCY": "8",
        }  # fmt: skip
        stage = _Stage(other, beside, database, settings)
        await stage.play()
        return stage.lived()


class _Stage:
    """Where the models live."""

    def __init__(
        self, stripe: StripeSim, panel: EnhanceSim, database: psycopg.Connection[Any], settings: dict[str, str]
    ) -> None:
        self._stripe, self._panel, self._database, self._settings = stripe, panel, database, settings
        self._models = [Model(number, stripe, panel, database) for number in range(len(LIVES))]
        self._originals = [Original(each.name, each.email, each.domain) for each in self._models]
        self._now = time.time()

    async def play(self) -> None:
        """Round for round, every life's next step; those that are to be braked come last."""
        from lib.bridge import Bridge
        from lib.config import Settings

        free = Bridge(Settings.load({**self._settings, "BRAKE_MAX": FREE}))
        tight = Bridge(Settings.load({**self._settings, "BRAKE_MAX": TIGHT}))
        try:
            await free.migrate()
            for price, plan in PLANS.items():
                self._database.execute(
                    "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
                    " VALUES ('stripe', %s, %s)",
                    (price, plan),
                )
            assert SHOP not in PLANS
            longest = max(len(life.steps) for life in LIVES)
            for number in range(longest):
                await self._round(free, number, braked=False)
            for number in range(longest):
                await self._round(tight, number, braked=True)
        finally:
            await free.close()
            await tight.close()

    async def _round(self, bridge: Bridge, number: int, *, braked: bool) -> None:
        playing = [
            (which, life.steps[number])
            for which, life in enumerate(LIVES)
            if number < len(life.steps) and life.steps[number].braked is braked
        ]
        if not playing:
            return
        began = datetime.now(UTC)
        for which, step in playing:
            self._do(which, step)
        self._stripe.clock = time.time  # passes reckon with the hour that Stripe's answers bear
        events = self._stripe.undelivered()
        await bridge.accept([self._stripe.signed(event)[0] for event in events])
        for event in events:
            self._stripe.mark_delivered(event)
        if not braked:
            await bridge.drain(deadline=time.monotonic() + PATIENCE, workers=8)
        for which, step in playing:
            if step.acts is not None:
                await step.acts(bridge, self._models[which])
        await bridge.drain(deadline=time.monotonic() + PATIENCE, workers=8)
        ended = datetime.now(UTC)
        for which, step in playing:
            ago = (step.ago if step.seen is None else step.seen) * DAY
            self._originals[which].rounds.append(Round(began, ended, ago, for_all=braked))

    def _do(self, which: int, step: Step) -> None:
        model, original = self._models[which], self._originals[which]
        model.at = round(self._now - step.ago * DAY)
        self._stripe.clock = lambda: float(model.at)
        before = {kind: set(table) for kind, table in self._stripe.tables.items()}
        events = len(self._stripe.events)
        step.does(model)
        for kind, table in self._stripe.tables.items():
            if kind != "event":
                original.objects += [table[name] for name in table if name not in before[kind]]
        original.events += self._stripe.events[events:]

    def lived(self) -> Lived:
        """What has become of them."""
        tables = {table: self._rows(table) for table in TABLES}
        for original in self._originals:
            self._take_panel(original, tables["customers"])
            for one in original.objects:
                if one["object"] == "checkout.session":
                    original.session_lines[one["id"]] = self._stripe.session_lines[one["id"]]
        take_rows(self._originals, tables)
        return Lived(LIVES, self._originals, self._rows("brake"), self._panel.actor_id)

    def _take_panel(self, original: Original, customers: Sequence[Mapping[str, Any]]) -> None:
        theirs = {one["id"] for one in original.objects if one["object"] == "customer"}
        orgs = {row["org_id"] for row in customers if row["customer_id"] in theirs and row["org_id"]}
        world = self._panel.state
        original.orgs = [world.orgs[org] for org in sorted(orgs)]
        original.members = [one for one in world.members.values() if one.org_id in orgs]
        logins = {one.login_id for one in original.members}
        original.logins = [one for one in world.logins.values() if one.id in logins]
        original.hostings = [one for one in world.subscriptions.values() if one.org_id in orgs]
        original.sites = [one for one in world.websites.values() if one.org_id in orgs]
        original.elsewhere = original.domain in world.elsewhere

    def _rows(self, table: str) -> list[dict[str, Any]]:
        statement: Any = f"SELECT to_jsonb(t) FROM {table} AS t"  # noqa: S608 - names of our own tables
        rows = [row[0] for row in self._database.execute(statement).fetchall()]
        late = [row for row in rows if table == "due" and row.get("last_error")]
        if late:
            raise DemoError(f"the models' passes fail: {late[0]['last_error']}")
        return rows
