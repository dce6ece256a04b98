"""What the end of a pass means for its row in the queue: gone, due at a time, or a person's turn."""

from __future__ import annotations

from datetime import timedelta

from lib.model import Claim, Failed, Outcome, Parked, Problem, Settled, Settlement, Waits
from lib.model.reason import Reason
from lib.policy.retry import ENDLESS_ATTEMPTS, retry_at
from lib.structs import replace


def settlement(outcome: Outcome, claim: Claim, noise: float) -> Settlement:
    """What becomes of the row. `noise`: from 0 to 1, the caller's random number."""
    match outcome:
        case Settled():
            return Settlement(due_at=outcome.wake_at, waits_for=outcome.why, answered=True)
        case Parked():
            return Settlement(due_at=outcome.wake_at, problems=outcome.problems, answered=True)
        case Waits():  # no success yet: the failures in a row are not forgotten over it
            return Settlement(
                due_at=outcome.at,
                waits_for=outcome.why,
                problems=outcome.problems,
                keeps_problems=not outcome.problems and not outcome.decided,
                attempts=claim.attempts,
            )
        case Failed():
            return _failed(outcome, claim, noise)


def _failed(outcome: Failed, claim: Claim, noise: float) -> Settlement:
    early = claim.retry_at is not None and claim.claimed_at < claim.retry_at
    attempts = claim.attempts + (not early)
    if not outcome.parks:  # what it failed by itself before still counts, and nothing is added
        attempts = min(attempts, max(claim.attempts, ENDLESS_ATTEMPTS))
    tries = attempts if outcome.parks else min(attempts, ENDLESS_ATTEMPTS)
    again = outcome.at or retry_at(tries, claim.claimed_at, noise=noise, wish=outcome.wish)
    if early and claim.retry_at is not None:  # somebody asked in between; the curve goes on where it was
        again = max(claim.retry_at, claim.claimed_at + (outcome.wish or timedelta()))
    problems = outcome.problems
    if again is None:
        given_up = f"failed {attempts} times in a row, last: {outcome.error}"
        problems = (Problem(Reason.GAVE_UP, given_up, claim.key), *problems)
    return Settlement(
        due_at=min((at for at in (again, outcome.wake_at) if at is not None), default=None),
        waits_for=outcome.why,
        error=outcome.error,
        problems=problems,
        keeps_problems=not problems and not outcome.decided,
        attempts=attempts,
        retry_at=again,
        answered=again is None,
        gave_up=again is None,
    )


def as_settled(outcome: Outcome, settled: Settlement) -> Outcome:
    """The outcome with what became of a failure: when it is tried again, or whose turn it is."""
    match outcome:
        case Failed() if settled.gave_up:
            return Parked(settled.problems, outcome.wake_at)
        case Failed():
            return replace(outcome, at=settled.due_at)
        case _:
            return outcome
