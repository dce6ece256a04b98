"""What is told of a service beforehand is what happens to it when time goes on."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config import Policy
from lib.config.window import suspend_window
from lib.model import ActionKind, Subscription
from lib.policy.coming import coming
from lib.structs import replace
from tests.policy.test_rows import KEY, LIVE, OPEN, PAID
from tests.policy.worlds import NOW, World, customer, days, payer, subscription, world

WINDOWS = (None, "Mon-Thu 09:00-16:00 Europe/Berlin", "Tue 22:00-02:00 Europe/Berlin", "Sun 00:00-24:00 UTC")
OFF = {ActionKind.SUSPEND: "suspend", ActionKind.TERMINATE: "delete"}
FAR = NOW + days(200)

POLICIES = st.builds(
    lambda grace, retention, window: Policy(
        grace_days=grace, retention_days=retention, suspend_window=suspend_window(window) if window else None
    ),
    st.sampled_from([0, 3, 7, 30]),
    st.sampled_from([None, 1, 10, 60]),
    st.sampled_from(WINDOWS),
)


@st.composite
def bought(draw: st.DrawFn) -> Subscription:
    """A subscription that is paid, behind or over, and may have been cancelled for a date."""
    status = draw(st.sampled_from(["active", "past_due", "unpaid", "canceled"]))
    behind = draw(st.floats(0, 40)) if status in ("past_due", "unpaid") else None
    over = draw(st.floats(0, 30)) if status == "canceled" else None
    said = subscription(status=status, unpaid_days=behind, latest=OPEN if behind else PAID, ended_days=over)
    cancels = draw(st.none() | st.floats(0.01, 40)) if status != "canceled" else None
    return replace(said, cancel_at=None if cancels is None else NOW + days(cancels))


def later(here: World, at: datetime) -> None:
    """Time has come to this moment: Stripe ends what was cancelled for a date, and tells it by itself."""
    here.now = at
    (said,) = here.payer.subscriptions
    if said.cancel_at is not None and said.status != "canceled" and said.cancel_at <= at:
        here.payer = payer(replace(said, status="canceled", ended_at=said.cancel_at))


def what_happens(here: World) -> tuple[datetime, str] | None:
    """The first change that makes hosting go off, as time goes from one known date to the next."""
    begun = len(here.done)
    while here.now < FAR:
        decision = here.run()
        if off := [OFF[action.kind] for action in here.done[begun:] if action.kind in OFF]:
            return here.now, off[0]
        (said,) = here.payer.subscriptions
        dates = [decision.wait.at] if decision.wait is not None else []
        if said.cancel_at is not None and said.status != "canceled":
            dates.append(said.cancel_at)
        if not dates:
            return None
        later(here, max(min(dates), here.now + timedelta(microseconds=1)))
    return None


@pytest.mark.parametrize("seldom", [None, "2 days"], ids=["each date", "a stop between"])
@settings(max_examples=250)
@given(said=bought(), policy=POLICIES)
def test_what_is_told_beforehand_is_what_happens(seldom: str | None, said: Subscription, policy: Policy) -> None:
    """Suspended or deleted at the moment that was shown, in the operator's hours where they count; or not at all."""
    here = world(payer(said), customer(LIVE), policy=policy)
    here.run()
    remembered = here.service(KEY)
    assert remembered is not None
    told = coming(remembered, policy)
    if seldom and told is not None and told[0] > NOW + days(2):  # somebody looks meanwhile: nothing changes by that
        later(here, NOW + days(2))
        here.run()
    done = what_happens(here)
    if told is None and done is not None and done[1] == "delete":
        return  # what ends only when it is off already is told once it has ended
    assert done == told
