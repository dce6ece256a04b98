"""One leased row of the queue, from its claim to its settlement: kept alive, run, settled or parked."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import asdict

from lib import outside_calls
from lib.config import Settings
from lib.database import Database, due, leases, ledger
from lib.errors import BridgeError, Conflicted, DatabaseUnavailable, Denied, LeaseLost, Limited, Retryable
from lib.kinds import KINDS, Context, Ended, Kind, Sides
from lib.log import bound, get_logger
from lib.model import Claim, Failed, Mandate, Problem, Waits
from lib.model.report import PassReport
from lib.policy import as_settled, settlement
from lib.structs import replace
from lib.subscription_manager.news import tell_parked
from lib.subscription_manager.write_ahead import turn_later

log = get_logger()


QUICK_REPEATS = 3
"""How often in a row a pass that another transaction undid is repeated at once, and not on the retry curve."""


class Lease(Struct):
    """Whether the lease of a running pass is still ours."""

    lost: bool = False


class Runner:
    """Runs claimed rows of every kind."""

    def __init__(self, settings: Settings, db: Database, sides: Sides) -> None:
        self._settings = settings
        self._db = db
        self._sides = sides

    async def run(self, claim: Claim, *, deadline: float | None = None, actor: str = "bridge") -> Ended | None:
        """One claimed row, from its lease to its settlement; `None` when the lease was lost on the way."""
        mandate = Mandate(str(uuid4()), claim.claimed_at, claim.lease_id, deadline, actor)
        context = Context(self._settings, self._db, self._sides, mandate)
        kind = KINDS.get(claim.kind)
        began = time.monotonic()
        with bound(pass_id=mandate.pass_id, **{kind.about if kind else "object": claim.key}):
            try:
                async with self.keeping_lease(claim) as lease:
                    calls = outside_calls.begin()
                    ended = await self._ended(kind, claim, context)
                    settled = None if ended is None or lease.lost else await self._end(kind, claim, context, ended)
                    if settled is None:
                        log.warning("lease_lost")
                        return None
            except DatabaseUnavailable as error:  # the lease runs out by itself and somebody goes on
                log.error("pass_abandoned", error=str(error))
                return None
            facts = {"actions": [], "stripe_calls": calls["stripe"], "panel_calls": calls["panel"], **settled.facts}
            log.info(
                "pass_ended",
                kind=claim.kind,
                outcome=type(settled.outcome).__name__.lower(),
                **facts,
                ms=round((time.monotonic() - began) * 1000),
            )
        return settled

    async def _ended(self, kind: Kind | None, claim: Claim, context: Context) -> Ended | None:
        """What came of the pass, whatever happens in it; `None`: its lease was lost."""
        if kind is None:
            return Ended(Failed(f"this version knows no passes of the kind {claim.kind}"))
        seconds, hurried = _time_for(kind, context.mandate)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await kind.run(claim, context)
        except LeaseLost:
            return None
        except Conflicted as error:  # the database is there: the place is given back, not left to run out
            log.warning("pass_undone", error=str(error))
            at = claim.claimed_at if claim.attempts < QUICK_REPEATS else None
            return _failed(kind, claim, context, Failed(str(error), at=at))
        except DatabaseUnavailable:
            raise
        except Limited as error:
            later = turn_later(error)
            return Ended(Waits(claim.claimed_at + later.delay, later.why, str(later)))
        except Retryable as error:
            parks = not isinstance(error, Denied)
            return _failed(kind, claim, context, Failed(str(error), error.after, parks=parks))
        except BridgeError as error:
            return _failed(kind, claim, context, Failed(str(error)))
        except TimeoutError as error:
            if limit.expired():
                at = claim.claimed_at if hurried and claim.attempts < QUICK_REPEATS else None
                return _failed(kind, claim, context, Failed(f"it took longer than {seconds:.0f} s", at=at))
            log.exception("pass_crashed")
            return _failed(kind, claim, context, Failed(f"TimeoutError: {error}"[:300]))
        except Exception as error:
            log.exception("pass_crashed")
            return _failed(kind, claim, context, Failed(f"{type(error).__name__}: {error}"[:300]))

    async def _end(self, kind: Kind | None, claim: Claim, context: Context, ended: Ended) -> Ended | None:
        """End the lease with what the pass left to be written; if the database refuses that, the pass has failed."""
        try:
            return await self._settle(claim, context, ended)
        except BridgeError:
            raise
        except Exception as error:
            if kind is None or not ended.unwritten:
                raise
            log.exception("pass_crashed")
            failed = _failed(kind, claim, context, Failed(f"{type(error).__name__}: {error}"[:300]))
            return await self._settle(claim, context, failed)

    async def _settle(self, claim: Claim, context: Context, ended: Ended) -> Ended | None:
        """End the lease; what came of the pass, with what became of a failure: when it runs again, or parked.

        `None`: somebody else had the lease by then, and what this pass found is not written.
        """
        noise = random.random()  # noqa: S311 - spreads retries, guards nothing
        settled = settlement(ended.outcome, claim, noise)
        parked = bool(settled.problems) and claim.parked_reason != settled.problems[0].reason
        notes = [_parked_note(ended.customer, context, settled.problems)] if parked and ended.customer else []
        beside = tell_parked(self._settings.outbox, ended.customer, context.mandate, settled.problems)
        unwritten, told = ended.unwritten, beside if notes else None
        if not await due.settle(self._db, claim, settled, notes=notes, beside=told, unwritten=unwritten):
            return None
        if parked:  # for another reason than before: told once
            reason, detail = settled.problems[0].reason, settled.problems[0].detail
            log.warning("customer_parked" if ended.customer else "object_parked", reason=reason, detail=detail)
        outcome = as_settled(ended.outcome, settled)
        return replace(ended, outcome=outcome, report=ended.report and replace(ended.report, outcome=outcome))

    @asynccontextmanager
    async def keeping_lease(self, claim: Claim) -> AsyncIterator[Lease]:
        """Renew the lease while the pass runs. Once it is lost, the pass fails at its next intent or memory."""
        lease = Lease()

        async def renew() -> None:
            held = time.monotonic()
            while True:
                await asyncio.sleep(leases.RENEW_EVERY.total_seconds())
                try:
                    alive = await leases.renew(self._db, claim.lease_id)
                except DatabaseUnavailable:
                    alive = time.monotonic() - held < leases.LEASE.total_seconds()
                else:
                    held = time.monotonic()
                if not alive:
                    lease.lost = True
                    return

        task = asyncio.create_task(renew())
        try:
            yield lease
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _time_for(kind: Kind, mandate: Mandate) -> tuple[float | None, bool]:
    """Seconds that a pass may take (`None`: it sees to that itself), and whether they are fewer than its kind's.

    What a process could not settle before its end would keep its place until the lease runs out.
    """
    if kind.longest is None or mandate.deadline is None:
        return kind.longest, False
    left = max(0.0, mandate.deadline - time.monotonic())
    return min(kind.longest, left), left < kind.longest


def _failed(kind: Kind, claim: Claim, context: Context, outcome: Failed) -> Ended:
    if kind.about != "customer":
        return Ended(outcome)
    return Ended(outcome, claim.key, report=PassReport(context.mandate.pass_id, claim.key, outcome, ()))


def _parked_note(customer_id: str, context: Context, problems: Sequence[Problem]) -> ledger.Entry:
    return ledger.Entry(
        str(uuid4()),
        "noted",
        "parked",
        customer_id,
        rule=problems[0].reason,
        facts={"problems": [asdict(problem) for problem in problems]},
        pass_id=context.mandate.pass_id,
    )
