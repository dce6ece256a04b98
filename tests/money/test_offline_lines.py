"""Offline orders under the rules that hold for Stripe's subscriptions: on, in grace, held, moved, ended."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from lib.config import Policy
from lib.model import Catalogue, Goal, Hold, Memory, Payer, PlanMapping, Service, ServiceState, Want
from lib.model.money import Order, OrderState, Origin
from lib.policy.desired import desired
from lib.policy.naming import mark, marks
from lib.policy.offline import RENEW_BEFORE, standing
from lib.policy.offline_lines import as_subscription
from lib.structs import replace
from tests.money.goods import NOW, offline, terms

DAY = timedelta(days=1)
END = NOW + 30 * DAY
BASIC, BIG = "price_basic_monthly", "price_big_monthly"
CATALOGUE = Catalogue({BASIC: PlanMapping(BASIC, plan="1"), BIG: PlanMapping(BIG, plan="2")})


def first(**others: Any) -> Order:
    """A first order, paid for thirty days."""
    made = offline(state=OrderState.PAID, paid_at=NOW, period_start=NOW, period_end=END, collected=1900)
    return replace(made, **others)


def renewal(of: Order, **others: Any) -> Order:
    """What is asked for two weeks before a period ends."""
    made = offline(
        origin=Origin.RENEWAL,
        renews=of.id,
        line_id=of.line_id,
        created_at=(of.period_end or END) - RENEW_BEFORE,
        due_at=of.period_end,
    )
    return replace(made, **others)


class Shop:
    """One customer whose line of orders is decided about again and again, as passes do."""

    def __init__(self, **policy: Any) -> None:
        self.policy = Policy(**policy)
        self.service: Service | None = None

    def goal(self, line: list[Order], now: datetime) -> Goal:
        """What is decided; then it is remembered and made, as a pass would."""
        payer = Payer("off_ada", "ada@example.com", "Ada", (as_subscription(line, now),))
        memory = Memory("off_ada", services=(self.service,) if self.service else ())
        wanted = desired(payer, memory, CATALOGUE, self.policy, now)
        assert wanted.problems == ()
        (goal,) = wanted.goals
        assert goal.asks is None, "nothing of it is at Stripe to be read"
        if goal.want in (Want.ON, Want.OFF):
            state = ServiceState.LIVE if goal.want is Want.ON else ServiceState.SUSPENDED
            plan = goal.plan or goal.service.plan
            made = goal.service.panel_subscription_id or 7
            since = now if plan != goal.service.plan else goal.service.plan_since
            self.service = replace(goal.service, state=state, plan=plan, panel_subscription_id=made, plan_since=since)
        return goal


def told(goal: Goal) -> tuple[Want, str]:
    """What and why."""
    return goal.want, goal.rule


def test_it_is_made_when_all_of_the_money_is_there() -> None:
    """Neither an order nor a part of its money makes hosting; the rest does."""
    shop = Shop()
    order = offline(due_at=NOW + 14 * DAY)
    assert told(shop.goal([order], NOW)) == (Want.NOTHING, "incomplete")
    part = replace(order, state=OrderState.PAYING, collected=900)
    assert told(shop.goal([part], NOW)) == (Want.NOTHING, "incomplete")
    goal = shop.goal([first(id=order.id, line_id=order.line_id)], NOW)
    assert (told(goal), goal.plan, goal.service.domain) == ((Want.ON, "active"), "1", "shop.example")


@pytest.mark.parametrize("asked", [True, False])
def test_the_end_of_a_period_is_followed_by_grace_then_by_a_hold(asked: bool) -> None:
    """Grace begins at the period's end, whether or not the next period has been asked for by then."""
    shop, order = Shop(), first()
    assert told(shop.goal([order], NOW)) == (Want.ON, "active")
    line = [order, renewal(order)] if asked else [order]
    assert told(shop.goal(line, END - timedelta(seconds=1))) == (Want.ON, "active")
    goal = shop.goal(line, END)
    assert (told(goal), goal.wake_at) == ((Want.ON, "in_grace"), END + 7 * DAY)
    assert told(shop.goal(line, END + 7 * DAY - timedelta(seconds=1))) == (Want.ON, "in_grace")
    held = shop.goal(line, END + 7 * DAY)
    assert (told(held), held.service.holds) == ((Want.OFF, "grace_over"), frozenset({Hold.UNPAID}))
    if not asked:
        assert told(shop.goal([order, renewal(order)], END + 8 * DAY)) == (Want.OFF, "grace_over")


def test_a_renewal_lets_it_run_again() -> None:
    """Paid in the grace or after the hold, it is on, and the next end counts anew."""
    for late in (3, 20):
        shop, order = Shop(), first()
        shop.goal([order], NOW)
        unpaid = renewal(order)
        shop.goal([order, unpaid], END + late * DAY)
        start = END if late == 3 else END + late * DAY
        came: dict[str, Any] = {
            "paid_at": END + late * DAY,
            "period_start": start,
            "period_end": start + 30 * DAY,
            "collected": 1900,
        }
        line = [order, replace(unpaid, state=OrderState.PAID, **came)]
        goal = shop.goal(line, END + late * DAY)
        assert (told(goal), goal.service.holds) == ((Want.ON, "active"), frozenset())
        again = shop.goal(line, start + 30 * DAY)
        assert (told(again), again.wake_at) == ((Want.ON, "in_grace"), start + 37 * DAY)


def test_a_line_that_ends_is_kept_for_its_retention() -> None:
    """A cancelled renewal runs out with its period, is held as ended, and goes after the retention."""
    shop, order = Shop(retention_days=10), first()
    line = [order, renewal(order, state=OrderState.EXPIRED, cancelled=True)]
    goal = shop.goal(line, NOW)
    assert (told(goal), goal.wake_at) == ((Want.ON, "active"), END)
    ended = shop.goal(line, END)
    assert (told(ended), ended.service.holds, ended.wake_at) == (
        (Want.OFF, "canceled"),
        frozenset({Hold.ENDED}),
        END + 10 * DAY,
    )
    assert told(shop.goal(line, END + 10 * DAY)) == (Want.GONE, "retention_over")


def test_a_larger_plan_begins_with_its_own_period() -> None:
    """A renewal for another plan that is paid early changes nothing before its time."""
    shop, order = Shop(), first()
    shop.goal([order], NOW)
    bigger = renewal(
        order,
        terms=terms(billing_plan_id=BIG),
        state=OrderState.PAID,
        paid_at=END - DAY,
        period_start=END,
        period_end=END + 30 * DAY,
        collected=1900,
    )
    assert shop.goal([order, bigger], END - DAY).plan == "1"
    assert standing([order, bigger], END - DAY).order == order
    assert shop.goal([order, bigger], END).plan == "2"


def test_returned_money_is_the_operators_choice() -> None:
    """A refund of the running period holds it only where that is chosen, and only for that period."""
    for choice, want in (("ignore", Want.ON), ("suspend", Want.OFF)):
        shop, order = Shop(on_refund=choice), first()
        shop.goal([order], NOW)
        assert shop.goal([replace(order, state=OrderState.REFUNDED)], NOW + DAY).want is want


def test_its_name_carries_a_mark() -> None:
    """The panel's own record of it is found again as any other."""
    shop = Shop()
    key = shop.goal([first()], NOW).key
    assert marks(mark(key)) == [(key.subscription_id, 1)]
    assert key.subscription_id.startswith("off_")
