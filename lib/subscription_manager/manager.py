"""The verbs: accept, drain, reconcile, sweep. Claims and settles passes; what a pass does stands in `customer`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lib import database, runtime_cache
from lib.config import Settings
from lib.database import Database, events
from lib.errors import BridgeError, Conflicted, DatabaseUnavailable, Declined, LeaseLost, SchemaOutdated
from lib.kinds import Ended, Sides, nudge, other_shard, places
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Lane, Mandate, ReceivedEvent
from lib.stripe_events import read_event
from lib.structs import replace
from lib.subscription_manager.inbox import Inbox

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.model import Catalogue
    from lib.model.report import PassReport
    from lib.policy.quiet import Rest
    from lib.stripe_client import StripeClient
    from lib.subscription_manager.customer import Reconciler
    from lib.subscription_manager.drain import Drain, Drained
    from lib.subscription_manager.lookout import Lookout
    from lib.subscription_manager.pulse_reporter import PulseReporter
    from lib.subscription_manager.runner import Runner
    from lib.subscription_manager.shared_drain import SharedDrain
    from lib.subscription_manager.sweep import Progress, SweepReport

log = get_logger()

SWEEP_EVERY = timedelta(hours=1)
"""As often as the cron of vercel.json."""

EVERYBODY_AT_ONCE = 1000
EVERYBODY_SPACING = timedelta(seconds=0.2)
"""When everybody is made due: so many now, the others at this distance, so that a purchase need not wait for them."""

WAIT_FOR_CLAIM = 20.0
"""Seconds that a pass asked for by a person waits for its turn."""

NO_PLACE = (
    f"no place was free within {WAIT_FOR_CLAIM:.0f} s: another pass works on this customer, or PANEL_CONCURRENCY passes"
    " run already; it is due and runs by itself"
)


class SubscriptionManager:
    """The verbs, over what whoever makes this provides (`lib.bridge`).

    Acknowledgements alone use `inbox`, the same database over connections of its own.
    """

    def __init__(self, settings: Settings, db: Database, inbox: Database, sides: Sides) -> None:
        self.settings = settings
        self.db = db
        self.inbox = inbox
        self._read = partial(read_event, livemode=settings.livemode, orders=settings.keeps_orders)
        self._deliveries = Inbox(partial(events.accept, inbox, nudge=nudge))
        self._sides = sides
        self._schema_checked = False
        self._went_live = False
        self._look_follows = 0.0
        """Until then, on the steady clock, a look for causes of alerts is to come that sees whatever is done now."""

    @property
    def stripe(self) -> StripeClient:
        """The billing side."""
        return self._sides.stripe

    @property
    def enhance(self) -> EnhanceClient:
        """The panel's side."""
        return self._sides.enhance

    @cached_property
    def reconciler(self) -> Reconciler:
        """Runs the passes."""
        from lib.subscription_manager.customer import Reconciler

        return Reconciler(self.settings, self.db, self.stripe, self.enhance)

    @cached_property
    def runner(self) -> Runner:
        """Runs what was claimed."""
        from lib.subscription_manager.runner import Runner

        return Runner(self.settings, self.db, self._sides)

    @cached_property
    def _shared_drain(self) -> SharedDrain:
        """The one drain that follows this process's answers."""
        from lib.subscription_manager.shared_drain import SharedDrain

        return SharedDrain(lambda: database.due.openings(self.db, places(self.settings)))

    @cached_property
    def pulse_reporter(self) -> PulseReporter:
        """Tells all processes how the last calls of this one went."""
        from lib.subscription_manager.pulse_reporter import PulseReporter

        return PulseReporter(self.db, lambda: {"stripe": self.stripe.pulse, "enhance": self.enhance.pulse})

    @cached_property
    def lookout(self) -> Lookout:
        """Knows whether the database need be asked."""
        from lib.subscription_manager.lookout import Lookout

        return Lookout(self.settings, self.db)

    async def rests(self) -> Rest | None:
        """Until when nothing can be due, as Vercel's functions have told each other; `None`: ask the database."""
        return await self.lookout.rests() if runtime_cache.current() is not None else None

    async def stir(self) -> None:
        """Tell the cron, wherever it runs, that something may have become due, or is about to.

        A webhook says so after its answer, all others before they write too: whoever dies in between is met at once.
        """
        if runtime_cache.current() is not None:
            await self.lookout.stir()

    # --- accept ---

    async def accept(self, bodies: Sequence[bytes], *, source: str = "webhook") -> list[ReceivedEvent]:
        """Store signed event bodies and mark their customers due; the events that were new.

        In one statement for all of them; what others deliver to this process at the same time goes along.

        Raises:
            Unavailable: nothing was stored; the sender must send again.
        """
        received = {event.event_id: event for event in map(self._read, bodies) if self._is_ours(event)}
        if not received:
            return []
        if source == "webhook":
            new = set(await self._deliveries.accept(list(received.values())))
        else:
            new = set(await events.accept(self.db, list(received.values()), nudge, source=source))
        for event in received.values():
            if event.outcome == "unreadable" and event.event_id in new:
                log.error("event_unreadable", event_id=event.event_id, error=event.error, source=source)
            elif event.event_id in new or source == "webhook":  # a sweep meets what it knows all the time
                log.info(
                    "event_accepted" if event.event_id in new else "event_repeated",
                    event_id=event.event_id,
                    type=event.type,
                    customer=event.customer_id,
                    outcome=event.outcome,
                )
        return [event for event in received.values() if event.event_id in new]

    def _is_ours(self, event: ReceivedEvent) -> bool:
        """Whether it is for this shard: its customer's, or nobody's so far; others are sent it too, and keep it."""
        if self.settings.shard is None or (event.customer_id is None and event.nudges):
            return True
        return self.settings.holds(event.customer_id)

    # --- drain ---

    async def drain(
        self,
        *,
        deadline: float,
        workers: int = 1,
        first: Sequence[tuple[str, str]] = (),
        lanes: Sequence[Lane] = tuple(Lane),
        migrates: bool = False,
    ) -> Drained:
        """Run passes for what is due until nothing is, or until `deadline` on the steady clock is near.

        Args:
            workers: passes at one time in this process and each lane; all processes together keep to `kinds.places`.
            first: rows to begin with, before those that have waited longest.
            migrates: bring the schema up to date before, if it is behind.
        """
        if not await self._may_drain(migrates=migrates):
            return await self._watch(deadline, lanes)
        drain = self._new_drain(deadline, workers, lanes)
        return await drain.to_the_end([nudge(kind, key) for kind, key in first])

    async def _may_drain(self, *, migrates: bool) -> bool:
        """Whether passes run in this mode; the first who ask in live mode see to what was only planned before."""
        await self.ensure_schema(migrates=migrates)
        if self.settings.provisioning_mode == "paused":
            return False
        if self.settings.provisioning_mode == "live" and not self._went_live:
            if planned := await database.shadow.go_live(self.db):
                log.info("went_live", customers=planned)
            self._went_live = True
        return True

    def _new_drain(self, deadline: float, workers: int, lanes: Sequence[Lane]) -> Drain:
        from lib.subscription_manager.drain import Drain

        free = {lane: most for lane, most in places(self.settings).items() if lane in lanes}
        return Drain(self.db, partial(self._run, deadline=deadline), free, workers=workers, deadline=deadline)

    async def _watch(self, deadline: float, lanes: Sequence[Lane]) -> Drained:
        """Look for causes of alerts and tell them, and nothing else: a pause stops passes, and nobody's watch."""
        from lib.subscription_manager.drain import Drained

        drained, most = Drained(), places(self.settings)
        while self.settings.alarm is not None:
            passes = drained.passes
            for subject in await database.due.due_of(self.db, (database.alerts.LOOK.kind, database.alerts.KIND)):
                if time.monotonic() > deadline:
                    drained.out_of_time = True
                    return drained
                if subject.lane not in lanes:
                    continue
                claim = await database.due.claim_this(self.db, subject, concurrency=most[subject.lane])
                if claim is not None:
                    ended = await self._run(claim, deadline=deadline)
                    drained.passes += 1
                    drained.outcomes[type(ended.outcome).__name__.lower() if ended else "lost"] += 1
            if drained.passes == passes:
                break
        return drained

    async def _run(self, claim: Claim, **how: Any) -> Ended | None:
        began = time.monotonic()
        ended = await self.runner.run(claim, **how)
        if ended is not None:
            await self.pulse_reporter.pass_ended(began)
            if claim.kind not in (database.alerts.KIND, database.alerts.LOOK.kind):
                await self._ask_for_look()
        return ended

    async def _ask_for_look(self) -> None:
        """See to it that what was done just now is looked at for causes of alerts; nothing where nobody is told."""
        if self.settings.alarm is None or time.monotonic() < self._look_follows:
            return
        try:
            follows_in = await database.alerts.ask_for_look(self.db)
        except DatabaseUnavailable as error:
            log.warning("look_not_asked_for", error=str(error))
            return
        self._look_follows = time.monotonic() + follows_in.total_seconds()

    async def drain_quietly(self, *, deadline: float, first: Sequence[tuple[str, str]] = ()) -> None:
        """`drain` for after a response: what fails stays due, so the failure is only logged."""
        # Beside it: should this process die now, the cron goes on.
        stirs = runtime_cache.current() is not None and self.lookout.needs_stir()
        told = asyncio.create_task(self.stir()) if stirs else None
        try:
            if await self._may_drain(migrates=False):
                workers = max(places(self.settings).values())
                await self._shared_drain.until_nothing_is_due(
                    lambda: self._new_drain(deadline, workers, tuple(Lane)),
                    [nudge(kind, key) for kind, key in first],
                    deadline,
                )
        except BridgeError as error:
            log.warning("drain_failed", error=str(error))
        finally:
            if told is not None:
                await told

    async def ensure_schema(self, *, migrates: bool) -> None:
        """Check once per process that the schema is as new as this code, and that the database is this shard's.

        Raises:
            SchemaOutdated: it is not, and this caller does not migrate.
            DatabaseUnfit: it is another shard's.
        """
        if self._schema_checked:
            return
        if await database.schema_version(self.db) < database.latest_version():
            if not migrates:
                raise SchemaOutdated("the database waits for its migrations; the next drain cron applies them")
            await self.migrate()
        await database.shards.insist(self.db, self.settings.shard)
        self._schema_checked = True

    async def migrate(self) -> list[str]:
        """Apply missing migrations, over the direct address when there is one; their names."""
        direct = self.settings.database_url_unpooled
        db = Database(direct) if direct else self.db
        try:
            applied = await database.migrate(db)
        finally:
            if db is not self.db:
                await db.close()
        names = [f"{m.version:04d}_{m.name}" for m in applied]
        if names:
            log.info("schema_migrated", migrations=names)
        return names

    # --- reconcile on demand ---

    async def reconcile(
        self,
        customer_id: str,
        *,
        actor: str = "bridge",
        dry_run: bool = False,
        edit: Callable[[str], Awaitable[None]] | None = None,
    ) -> PassReport:
        """Run the pass of one customer now, whenever it would have been due; what it did.

        Args:
            edit: a change of memory that a person asked for; made before the pass under the lease whose id it is given
                (`leases.holding`). Called again, should that lease be lost on the way.

        Raises:
            Declined: `other_shard` where this deployment does not serve them,
                `busy` when another process is working on this customer and does not come to an end,
                `paused` when PROVISIONING_MODE lets no pass run; the customer stays due.
        """
        await self.ensure_schema(migrates=False)
        self._insist_ours(customer_id)
        if dry_run:
            return await self.reconciler.foresee(customer_id, Mandate(str(uuid4()), await self.db.now(), actor=actor))
        await self.stir()  # should this process die in between, the cron goes on
        try:
            return await self._reconcile_now(customer_id, actor, edit)
        finally:
            await self.stir()

    async def _reconcile_now(
        self, customer_id: str, actor: str, edit: Callable[[str], Awaitable[None]] | None
    ) -> PassReport:
        subject = nudge("customer", customer_id)
        end = time.monotonic() + WAIT_FOR_CLAIM
        await database.due.mark(self.db, [subject])
        if self.settings.provisioning_mode == "paused" and edit is None:
            raise Declined("paused", "PROVISIONING_MODE is paused; the customer is due and runs afterwards")
        while True:
            claim = await database.due.claim_this(
                self.db, subject, concurrency=self.settings.panel_concurrency, force=True
            )
            if claim is not None and edit is not None:
                if await self._edit(claim, edit):
                    edit, claim = None, replace(claim, memory=None)  # it was read before
                else:
                    claim = None
            report = await self._run_now(claim, actor) if claim is not None else None
            if report is not None:
                return report
            if time.monotonic() > end:
                raise Declined("busy", NO_PLACE)
            await asyncio.sleep(0.25)
            await database.due.keep(self.db, subject)

    def _insist_ours(self, customer_id: str) -> None:
        if not self.settings.holds(customer_id):
            raise Declined("other_shard", other_shard(customer_id, self.settings), field="customerId")

    async def _run_now(self, claim: Claim, actor: str) -> PassReport | None:
        """Run a claimed pass that a person asked for; `None`: its lease was lost."""
        if self.settings.provisioning_mode == "paused":
            await database.due.give_back(self.db, claim)
            raise Declined("paused", "it is noted; PROVISIONING_MODE is paused, so the pass runs later")
        ended = await self._run(claim, actor=actor)
        return ended.report if ended is not None else None

    async def foresee(self, customer_id: str, edit: Callable[[Catalogue], Catalogue]) -> PassReport:
        """What the next pass of a customer would do if something else were sold; nothing is changed or written."""
        await self.ensure_schema(migrates=False)
        self._insist_ours(customer_id)
        return await self.reconciler.foresee(customer_id, Mandate(str(uuid4()), await self.db.now()), edit)

    async def _edit(self, claim: Claim, edit: Callable[[str], Awaitable[None]]) -> bool:
        """Make a change under a lease; one that is refused gives the lease back and leaves the customer due.

        False: the lease was lost or the change undone, and it is to be made again.
        """
        try:
            async with self.runner.keeping_lease(claim):
                await edit(claim.lease_id)
            return True
        except LeaseLost:
            log.warning("lease_lost", customer=claim.key)
            return False
        except Conflicted as error:
            log.warning("edit_undone", customer=claim.key, error=str(error))
            await database.due.give_back(self.db, claim)
            return False
        except BaseException:
            await database.due.give_back(self.db, claim)
            raise

    async def customer_of_subscription(self, subscription_id: str) -> str | None:
        """Whose subscription it is, from memory, our own orders or Stripe; `None` when nobody knows it."""
        from lib.database import orders
        from lib.policy.offline_lines import line_of

        line = line_of(subscription_id)
        remembered = await database.services.owner_of(self.db, subscription_id)
        owner = remembered or (line and await orders.customer_of_line(self.db, line))
        if owner or line:
            return str(owner) if owner else None
        return await self.stripe.customer_of("subscription", subscription_id)

    async def knows_customer(self, customer_id: str) -> bool:
        """Whether we remember this customer, or Stripe, or our own orders, have or had them."""
        whom = CustomerKey.read(customer_id)
        if await database.customers.knows(self.db, whom):
            return True
        if not whom.provider.offline:
            return await self.stripe.knows(whom.id)
        from lib.database import orders

        return bool(await orders.of_customer(self.db, whom))

    # --- sweep ---

    async def sweep(self, *, deadline: float, progress: Progress | None = None) -> SweepReport:
        """Compare both sides in bulk and make due what differs; goes on with a sweep that is under way."""
        from lib.subscription_manager.sweep import Sweeper

        await self.ensure_schema(migrates=True)
        sweeper = Sweeper(self.settings, self.db, self.stripe, self.enhance, self.accept)
        report = await sweeper.run(deadline=deadline, progress=progress)
        await self.pulse_reporter.report()
        if not report.elsewhere:
            await self._ask_for_look()
        return report

    async def sweep_if_due(self, *, deadline: float) -> SweepReport | None:
        """Sweep when the last one began longer than `SWEEP_EVERY` ago or is unfinished; for those without a cron."""
        return None if await database.sweeps.fresh(self.db, SWEEP_EVERY) else await self.sweep(deadline=deadline)

    async def continue_sweep(self, *, deadline: float) -> SweepReport | None:
        """Go on with a sweep that a time limit or a crash interrupted; `None` when there is none."""
        return await self.sweep(deadline=deadline) if await database.sweeps.unfinished(self.db) else None

    async def begin_everything(self, actor: str) -> dict[str, Any]:
        """Write down that everybody whom we remember gets a pass, and a whole sweep finds the others; what was written.

        Raises:
            DatabaseUnavailable, SchemaOutdated: it was not.
        """
        await self.ensure_schema(migrates=False)
        sweep, follows = await database.sweeps.request(self.db, actor)
        customers = await database.customers.nudge_everybody(self.db, EVERYBODY_AT_ONCE, EVERYBODY_SPACING)
        return {"sweep": sweep, "follows": follows, "customers": customers}

    async def sweep_quietly(self, *, deadline: float) -> None:
        """Sweeps that are under way and then `drain`, for after a response: what fails is done by the next one."""
        await self.stir()
        try:
            swept: SweepReport | None = await self.sweep(deadline=deadline)
            while swept is not None and swept.finished:
                swept = await self.continue_sweep(deadline=deadline)
        except BridgeError as error:
            log.warning("sweep_failed", error=str(error))
        await self.drain_quietly(deadline=deadline)
