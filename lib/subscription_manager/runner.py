"""One leased row of the queue, from its claim to its settlement: kept alive, run, settled or parked."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from lib import tally
from lib.database import Database, due, erasure, events, leases, ledger
from lib.errors import BridgeError, Conflicted, DatabaseUnavailable, Denied, LeaseLost, NoAnswer, NotFound, Retryable
from lib.log import bound, get_logger
from lib.model import Claim, CustomerKey, Failed, Mandate, Problem, Settled
from lib.policy import as_settled, settlement
from lib.subscription_manager import money_back
from lib.subscription_manager.report import PassReport

if TYPE_CHECKING:
    from lib.stripe_client import StripeClient
    from lib.subscription_manager.customer import Reconciler

log = get_logger()


QUICK_REPEATS = 3
"""How often in a row a pass that another transaction undid is repeated at once, and not on the retry curve."""


MONEY = ("dispute", "refund", "charge")
"""Kinds whose customer is made due by what is written of them (`database.money`)."""


@dataclass(slots=True)
class Lease:
    """Whether the lease of a running pass is still ours."""

    lost: bool = False


class Runner:
    """Runs claimed rows: a customer's pass, or finding the customer that another object leads to."""

    def __init__(self, db: Database, stripe: StripeClient, reconciler: Reconciler) -> None:
        self._db = db
        self._stripe = stripe
        self._reconciler = reconciler

    async def run(self, claim: Claim, *, deadline: float | None = None, actor: str = "bridge") -> PassReport | None:
        """One claimed row, from its lease to its settlement; `None` when the lease was lost on the way."""
        pass_id = str(uuid4())
        began = time.monotonic()
        with bound(pass_id=pass_id, **{"customer" if claim.kind == "customer" else "object": claim.key}):
            try:
                async with self.kept(claim) as lease:
                    try:
                        report = await self._subject(claim, pass_id, deadline, actor)
                    except LeaseLost:
                        log.warning("lease_lost")
                        return None
                    except Conflicted as error:  # the database is there: the place is given back, not left to run out
                        log.warning("pass_undone", error=str(error))
                        at = claim.claimed_at if claim.attempts < QUICK_REPEATS else None
                        report = PassReport(pass_id, claim.key, Failed(str(error), at=at), ())
                    except DatabaseUnavailable:
                        raise
                    except Exception as error:
                        log.exception("pass_crashed")
                        outcome = Failed(f"{type(error).__name__}: {error}"[:300])
                        report = PassReport(pass_id, claim.key, outcome, ())
                    settled = None if lease.lost else await self._settle(claim, report)
                    if settled is None:
                        log.warning("lease_lost")
                        return None
                    report = settled
            except DatabaseUnavailable as error:  # the lease runs out by itself and somebody goes on
                log.error("pass_abandoned", error=str(error))
                return None
            log.info(
                "pass_ended",
                kind=claim.kind,
                outcome=type(report.outcome).__name__.lower(),
                actions=[action.kind for action in report.actions],
                stripe_calls=report.stripe_calls,
                panel_calls=report.panel_calls,
                ms=round((time.monotonic() - began) * 1000),
            )
        return report

    async def _subject(self, claim: Claim, pass_id: str, deadline: float | None, actor: str) -> PassReport:
        if claim.kind == "customer":
            mandate = Mandate(pass_id, claim.claimed_at, claim.lease_id, deadline, actor)
            return await self._reconciler.run(claim.key, mandate)
        if claim.kind == events.POSTPONED:
            return await self._mark_postponed(claim, pass_id)
        calls = tally.begin()
        try:
            if claim.kind in MONEY:
                customer_id = await money_back.learn(self._db, self._stripe, claim.kind, claim.key)
            else:
                customer_id = await self._stripe.customer_of(claim.kind, claim.key)
        except NotFound as error:
            log.warning("object_unknown", kind=claim.kind, error=str(error))
            return PassReport(pass_id, claim.key, Settled(), (), stripe_calls=calls["stripe"])
        except DatabaseUnavailable:
            raise
        except Retryable as error:
            outcome = Failed(str(error), wish=error.after, parks=not isinstance(error, Denied))
            return PassReport(pass_id, claim.key, outcome, (), stripe_calls=calls["stripe"])
        except BridgeError as error:
            return PassReport(pass_id, claim.key, Failed(str(error)), (), stripe_calls=calls["stripe"])
        if customer_id is not None:
            whom = CustomerKey.stripe(customer_id)
            await events.belong(self._db, claim.key, whom)
            await erasure.empty_late(self._db, claim.key, whom)
            if claim.kind not in MONEY:
                await due.mark(self._db, [("customer", customer_id)])
        else:
            log.info("object_without_customer", kind=claim.kind)
        return PassReport(pass_id, customer_id or claim.key, Settled(), (), stripe_calls=calls["stripe"])

    async def _mark_postponed(self, claim: Claim, pass_id: str) -> PassReport:
        """Make due whom an event was about while somebody kept their row locked."""
        kind, _, key = claim.key.partition(":")
        try:
            await due.mark(self._db, [(kind, key)], patience=events.PROMPT)
        except NoAnswer as error:
            return PassReport(pass_id, claim.key, Failed(f"the row of {key} is still locked: {error}"), ())
        return PassReport(pass_id, claim.key, Settled(), ())

    async def _settle(self, claim: Claim, report: PassReport) -> PassReport | None:
        """End the lease; the report with what became of a failure in the queue: when it runs again, or parked.

        `None`: somebody else had the lease by then, and what this pass found is not written.
        """
        noise = random.random()  # noqa: S311 - spreads retries, guards nothing
        settled = settlement(report.outcome, claim, noise)
        parked = _newly_parked(claim, settled.problems)
        notes = [_parked_note(report, settled.problems)] if parked else []
        if not await due.settle(self._db, claim, settled, notes=notes):
            return None
        if parked:
            log.warning("customer_parked", reason=settled.problems[0].reason, detail=settled.problems[0].detail)
        return replace(report, outcome=as_settled(report.outcome, settled))

    @asynccontextmanager
    async def kept(self, claim: Claim) -> AsyncIterator[Lease]:
        """Renew the lease while the pass runs. Once it is lost, the pass fails at its next intent or memory."""
        lease = Lease()

        async def renew() -> None:
            held = time.monotonic()
            while True:
                await asyncio.sleep(leases.RENEW_EVERY.total_seconds())
                try:
                    alive = await due.renew(self._db, claim.lease_id)
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


def _newly_parked(claim: Claim, problems: Sequence[Problem]) -> bool:
    """Whether somebody comes to be parked for another reason than before: told once, in the ledger and loudly."""
    return bool(problems) and claim.parked_reason != problems[0].reason


def _parked_note(report: PassReport, problems: Sequence[Problem]) -> ledger.Fact:
    return ledger.Fact(
        str(uuid4()),
        "noted",
        "parked",
        report.customer_id,
        rule=problems[0].reason,
        facts={"problems": [asdict(problem) for problem in problems]},
        pass_id=report.pass_id,
    )
