"""Money that did not come, and money that did: who pays for what, by the invoices alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from lib.config import Policy
from lib.model import (
    ActionKind,
    Hold,
    Invoice,
    Item,
    Memory,
    PlanMapping,
    PlanRule,
    Question,
    Service,
    ServiceState,
    Subscription,
    Want,
)
from lib.policy import desired, paid_after_end
from lib.policy.invoices import payable
from lib.structs import replace
from tests.policy.worlds import (
    NOW,
    OURS,
    World,
    catalogue,
    customer,
    days,
    invoice,
    line,
    payer,
    service,
    stranger,
    subscription,
    world,
)

SEPA = catalogue(PlanMapping("price_1", plan="2", activate_on="processing"))
HELD = service(
    state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.UNPAID}), unpaid_since=NOW - days(9)
)


def first(status: str) -> Invoice:
    """The first invoice."""
    return invoice(status, "subscription_create", id="in_first")


def open_for(age: float, name: str = "in_open", status: str = "open") -> Invoice:
    """An invoice that was to be paid `age` days ago."""
    due = NOW - days(age)
    paid = due + days(1) if status == "paid" else None
    return invoice(status, id=name, created=due, due=due, paid_at=paid, lines=(line(start=-age),))


def change(status: str, price: str = "price_1", age: float = 1, **more: Any) -> Invoice:
    """The invoice of a change to `price`, as prorations."""
    lines = (line("price_0", -900, proration=True, start=-age), line(price, 1900, proration=True, start=-age))
    made = NOW - days(age)
    return invoice(status, "subscription_update", 1000, *lines, id="in_change", created=made, due=made, **more)


def runs(end: World) -> bool:
    """Whether the panel serves the one service."""
    return any(found.suspended_by is None and not found.deleted for found in end.actual.subscriptions)


def of(said: Subscription, memory: Memory | Service | None = None, **more: Any) -> World:
    """The end of a world with this one subscription."""
    start = customer(memory) if isinstance(memory, Service) else memory or stranger()
    end = world(payer(said), start, **more)
    end.run()
    return end


def told(end: World) -> list[str]:
    """The reasons that a person is shown."""
    return [problem.reason for problem in end.run().problems]


# --- first money ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", [catalogue(), SEPA], ids=["paid", "processing"])
@pytest.mark.parametrize("age", [1, 6])
@pytest.mark.parametrize("status", ["past_due", "unpaid"])
def test_who_never_paid_gets_nothing_by_becoming_overdue(status: str, age: float, mapping: Any) -> None:
    """An unpaid first invoice that falls due (a bank debit that fails, one that was sent) makes no hosting."""
    overdue = replace(open_for(age), billing_reason="subscription_create")
    end = of(subscription(status=status, latest=overdue), sold=mapping)
    assert not end.done
    end.now += days(30)
    end.run()
    assert not end.done


def test_a_failed_renewal_upon_an_unpaid_first_invoice_is_no_money_either() -> None:
    """Whichever invoices are open: as long as none was paid nothing is made."""
    overdue = (open_for(2), replace(open_for(32, "in_first"), billing_reason="subscription_create"))
    assert not of(subscription(status="past_due", latest=overdue[0], older=overdue[1:])).done


def test_who_had_paid_once_is_made_within_their_grace() -> None:
    """First money did come: with a renewal behind, grace is theirs as anybody's; after it nothing is made."""
    for age, made in ((2, True), (8, False)):
        said = subscription(status="past_due", latest=open_for(age), older=(open_for(age + 30, "in_0", "paid"),))
        assert runs(of(said)) is made


def test_what_was_made_stays_in_grace_whoever_paid() -> None:
    """Grace is for what exists: it is not asked again who paid at the beginning."""
    overdue = replace(open_for(3), billing_reason="subscription_create")
    end = of(subscription(status="past_due", latest=overdue), service())
    assert not end.done
    assert end.memory.services[0].unpaid_since == NOW - days(3)


def test_a_proration_is_no_first_money() -> None:
    """The first invoice is open and a change of 3.00 was paid: the period is not."""
    said = subscription(latest=change("paid"), older=(first("open"),))
    assert not of(said).done
    paid = subscription(latest=change("paid"), older=(first("paid"),))
    assert runs(of(paid))


@pytest.mark.parametrize("written", ["void", "uncollectible"])
@pytest.mark.parametrize("mapping", [catalogue(), SEPA], ids=["paid", "processing"])
def test_a_first_invoice_that_nobody_will_pay_never_settles(written: str, mapping: Any) -> None:
    """`active` at once and never paid: nothing is made and somebody is told; an admin's release makes it."""
    end = of(subscription(latest=first(written)), sold=mapping)
    assert not end.done
    assert told(end) == ["never_paid"]
    remembered = desired(end.payer, end.memory, end.catalogue, end.policy, end.now).goals[0].service
    assert not of(subscription(latest=first(written)), customer(remembered), sold=mapping).done
    assert runs(of(subscription(latest=first(written)), customer(replace(remembered, released=True)), sold=mapping))


@pytest.mark.parametrize("written", ["void", "uncollectible"])
def test_a_renewal_that_is_paid_settles_what_a_written_off_first_invoice_did_not(written: str) -> None:
    """Later money is money; an open renewal, or one in draft, is none."""
    for later, made in (("open", False), ("draft", False), ("paid", True)):
        end = of(subscription(latest=invoice(later), older=(first(written),)))
        assert runs(end) is made, later


@pytest.mark.parametrize("meanwhile", ["paused", "past_due", "unpaid", "incomplete"])
def test_what_was_not_let_in_stays_out_whatever_happens_meanwhile(meanwhile: str) -> None:
    """A row that is remembered for an admin's word is no promise: the way through another status lets nobody in."""
    start = of(subscription(latest=first("void")))
    goal = desired(start.payer, start.memory, start.catalogue, start.policy, start.now).goals[0]
    end = world(payer(subscription(status=meanwhile, latest=first("void"))), customer(goal.service))
    end.run()
    end.payer = payer(subscription(latest=first("void")))
    end.run()
    assert not end.actual.subscriptions


def test_a_trial_that_ends_waits_for_nothing_that_was_made() -> None:
    """A trial's first invoice asks for nothing. Made anew after it was deleted, it waits for no later money."""
    trial = replace(first("paid"), total=0, amount_due=0, amount_paid=0)
    unmade = service(panel_subscription_id=None, website_id=None, state=ServiceState.PENDING, plan=None)
    said = subscription(latest=invoice("open"), older=(trial,))
    assert not of(said).done
    assert runs(of(said, customer(unmade)))


@pytest.mark.parametrize(
    ("payment", "mapping", "made"),
    [
        ("processing", SEPA, True),
        ("processing", catalogue(), False),
        ("requires_payment_method", SEPA, False),
        ("none", SEPA, False),
        ("of_tomorrow", SEPA, False),
    ],
)
def test_a_debit_under_way_counts_while_incomplete(payment: str, mapping: Any, made: bool) -> None:
    """`incomplete` while its first payment is `processing`: on with `activate_on=processing`, and only then."""
    said = subscription(status="incomplete", latest=first("open"), payment=payment)
    assert runs(of(said, sold=mapping)) is made


@pytest.mark.parametrize(("payment", "made"), [("processing", True), ("none", False)])
def test_an_invoice_that_was_only_sent_is_no_debit_under_way(payment: str, made: bool) -> None:
    """`active` at once on an open first invoice: trusted while it is being paid, not because it was sent."""
    assert runs(of(subscription(latest=first("open"), payment=payment), sold=SEPA)) is made


def test_an_active_subscription_is_asked_for_its_debit() -> None:
    """How the first payment stands is read before anything is made on trust."""
    said = replace(subscription(latest=first("open")), first_payment=None)
    wanted = desired(payer(said), Memory("cus_Anna"), SEPA, Policy(), NOW)
    assert wanted.questions == (("sub_1", Question.FIRST_PAYMENT),)


def test_setting_off_what_nobody_paid_is_no_first_money() -> None:
    """A change begins a new period and credits the unpaid one: its bill of nothing is paid at once, by nobody."""
    credit = (line(amount=-2900, proration=True), line(amount=900))
    bill = invoice("paid", "subscription_update", 0, *credit, id="in_change", created=NOW)
    said = subscription(latest=bill, older=(first("open"),))
    assert not of(said).done
    wanted = desired(payer(replace(said, invoices=None)), Memory("cus_Anna"), catalogue(), Policy(), NOW)
    assert wanted.questions == (("sub_1", Question.INVOICES),)


def test_a_debt_behind_a_bill_that_was_put_away_is_one() -> None:
    """Active because the newest is written off: for who owes an older one nothing is made until that is paid."""
    paid = first("paid")
    put_away = invoice("uncollectible", id="in_3")
    for status, made in (("open", False), ("paid", True)):
        older = invoice(status, id="in_2", created=NOW - days(31))
        end = of(subscription(latest=put_away, older=(older, paid)))
        assert bool(end.done) is made


def test_a_debit_that_fails_makes_nothing_more_and_ends_what_it_made() -> None:
    """It failed: what was made stays until Stripe gives up, and is held as ended then."""
    end = of(subscription(status="incomplete", latest=first("open"), payment="processing"), sold=SEPA)
    end.payer = payer(subscription(status="incomplete", latest=first("open")))
    end.run()
    assert runs(end)
    end.payer = payer(subscription(status="incomplete_expired", latest=first("void")))
    end.run()
    assert end.memory.services[0].holds == {Hold.ENDED}


# --- grace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["void", "uncollectible"])
def test_writing_the_oldest_off_restarts_no_grace(written: str) -> None:
    """Open for 9 and 2 days, held; the older one is voided or written off: held all the same."""
    older, newer = open_for(9, "in_1"), open_for(2, "in_2")
    end = of(subscription(status="past_due", latest=newer, older=(older,)), service())
    assert end.memory.services[0].holds == {Hold.UNPAID}
    end.payer = payer(subscription(status="past_due", latest=newer, older=(open_for(9, "in_1", written),)))
    end.run()
    assert end.memory.services[0].holds == {Hold.UNPAID}
    end.payer = payer(subscription(status="past_due", latest=newer, older=(open_for(9, "in_1", "paid"),)))
    end.run()  # money did come for it: what is open since is younger
    assert not end.memory.services[0].holds
    assert end.memory.services[0].grace_until == NOW + days(5)


@pytest.mark.parametrize("written", ["void", "uncollectible"])
def test_money_that_nobody_saw_come_begins_a_new_grace(written: str) -> None:
    """The old debt was written off, a newer bill paid, and the next one failed before anybody looked."""
    older = (open_for(20, "in_paid", "paid"), open_for(40, "in_old", written))
    held = replace(HELD, unpaid_since=NOW - days(40))
    assert runs(of(subscription(status="past_due", latest=open_for(1), older=older), held))
    late = replace(older[0], paid_at=NOW - days(0.5))  # when the newest was owed already: it was behind all the time
    assert not runs(of(subscription(status="past_due", latest=open_for(1), older=(late, older[1])), held))


@pytest.mark.parametrize("written", ["void", "uncollectible"])
@pytest.mark.parametrize(("put_away", "on"), [(0, False), (45, True)])
def test_money_beside_what_began_it_begins_no_new_grace(written: str, put_away: float, on: bool) -> None:
    """Another bill was paid while the first was owed, which is put away only now: its grace is long over."""
    paid = replace(open_for(31, "in_2"), status="paid", paid_at=NOW - days(30))
    begun = open_for(60, "in_1")
    said = subscription(status="past_due", latest=open_for(1, "in_3"), older=(paid, begun))
    end = of(said, replace(HELD, unpaid_since=NOW - days(60)))
    assert not runs(end)
    gone = replace(begun, status=written, put_away_at=NOW - days(put_away))
    end.payer = payer(subscription(status="past_due", latest=open_for(1, "in_3"), older=(paid, gone)))
    end.run()
    assert runs(end) is on


def test_a_later_failure_changes_nothing_about_the_grace() -> None:
    """It counts from the oldest open invoice, however many follow."""
    end = of(subscription(status="past_due", latest=open_for(5, "in_1")), service())
    for later in (3, 1):
        said = subscription(status="past_due", latest=open_for(later, "in_2"), older=(open_for(5, "in_1"),))
        end.payer = payer(said)
        last = end.run()
        assert last.wait is not None and last.wait.at == NOW + days(2)


def test_a_due_date_that_is_moved_moves_the_grace() -> None:
    """The same invoice, with another date by which it must be paid: nothing is remembered of the old one."""
    end = of(subscription(status="past_due", latest=open_for(5)), service())
    end.payer = payer(subscription(status="past_due", latest=open_for(1)))
    end.run()
    assert end.memory.services[0].unpaid_since == NOW - days(1)


@pytest.mark.parametrize("written", ["void", "uncollectible"])
@pytest.mark.parametrize("before", ["past_due", "unpaid"])
def test_held_stays_held_when_the_debt_is_written_off(written: str, before: str) -> None:
    """Stripe says `active` and nobody paid: still held, by the rule `written_off`, until money comes."""
    end = of(subscription(status=before, latest=open_for(9)), service())
    assert end.memory.services[0].holds == {Hold.UNPAID}
    end.payer = payer(subscription(latest=open_for(9, status=written)))
    end.run()
    goal = desired(end.payer, end.memory, end.catalogue, end.policy, end.now).goals[0]
    assert (goal.want, goal.rule) == (Want.OFF, "written_off")
    for later, on in (("draft", False), ("open", False), ("void", False), ("paid", True)):
        renewed = invoice(later, id="in_later", created=NOW, due=NOW, paid_at=NOW if later == "paid" else None)
        end.payer = payer(subscription(latest=renewed, older=(open_for(9, status=written),)))
        end.run()
        assert runs(end) is on, later
    assert end.memory.services[0].unpaid_since is None


@pytest.mark.parametrize("written", ["void", "uncollectible"])
def test_an_older_debt_lets_no_earlier_money_pay_the_one_that_was_written_off(written: str) -> None:
    """Spring's invoice stayed open, summer's was paid, autumn's is written off: nobody paid for autumn."""
    older = (open_for(40, "in_summer", "paid"), open_for(70, "in_spring"))
    sent = NOW - days(50)  # before summer's was paid, and owed long after
    end = of(subscription(status="past_due", latest=replace(open_for(9), created=sent), older=older), HELD)
    assert not runs(end)
    end.payer = payer(subscription(latest=replace(open_for(9, status=written), created=sent), older=older))
    end.run()
    assert not runs(end)


@pytest.mark.parametrize("written", ["void", "uncollectible"])
def test_what_is_written_off_before_it_is_owed_takes_no_money_away(written: str) -> None:
    """The older debt is paid, and a newer invoice is written off before its date: nothing is owed any more."""
    early = replace(open_for(-5, "in_sent", written), created=NOW - days(3))
    said = subscription(latest=early, older=(replace(open_for(40, status="paid"), paid_at=NOW - days(1)),))
    assert runs(of(said, HELD))


def test_setting_off_what_nobody_paid_pays_no_debt() -> None:
    """Held, written off, and a change whose bill asks for nothing: still nobody paid."""
    credit = (line(amount=-2900, proration=True), line(amount=900))
    bill = invoice("paid", "subscription_update", 0, *credit, id="in_change", created=NOW)
    said = subscription(latest=bill, older=(open_for(9, status="uncollectible"),))
    assert not runs(of(said, HELD))


@pytest.mark.parametrize("written", ["void", "uncollectible"])
def test_a_running_grace_runs_to_its_old_end_when_the_debt_is_written_off(written: str) -> None:
    """It ends when it would have ended, at a date in the queue, and holds then."""
    end = of(subscription(status="past_due", latest=open_for(3)), service())
    end.payer = payer(subscription(latest=open_for(3, status=written)))
    last = end.run()
    assert runs(end)
    assert last.wait is not None and last.wait.at == NOW + days(4)
    end.now = NOW + days(4)
    end.run()
    assert end.memory.services[0].holds == {Hold.UNPAID}


def test_a_change_that_is_written_off_holds_nobody_who_paid_the_period() -> None:
    """The upgrade's 3.00 failed and was voided; the 29.00 of the running period had been paid."""
    paid = replace(first("paid"), paid_at=NOW - days(20), created=NOW - days(20), lines=(line(start=-20),))
    end = of(subscription(status="past_due", latest=change("open"), older=(paid,)), service())
    end.now += days(9)
    end.payer = payer(subscription(latest=change("void"), older=(paid,)))
    end.run()
    assert runs(end)
    assert end.memory.services[0].unpaid_since is None


@pytest.mark.parametrize("hold", [frozenset({Hold.UNPAID}), frozenset[Hold]()])
def test_an_admins_date_wins_over_what_was_written_off(hold: frozenset[Hold]) -> None:
    """A promise of more time is kept to its end."""
    promised = service(unpaid_since=NOW - days(9), holds=hold, grace_override=NOW + days(3))
    end = of(subscription(latest=open_for(9, status="void")), promised)
    assert runs(end)
    end.now += days(3)
    end.run()
    assert not runs(end)


def test_a_pause_forgets_no_debt() -> None:
    """Behind, then paused, then `active` without any money: held as before."""
    end = of(subscription(status="past_due", latest=open_for(9)), service())
    end.payer = payer(subscription(status="paused", latest=open_for(9, status="void")))
    end.run()
    end.payer = payer(subscription(latest=open_for(9, status="void")))
    end.run()
    assert end.memory.services[0].holds == {Hold.UNPAID}


@pytest.mark.parametrize("since", [None, NOW - days(1)])
@pytest.mark.parametrize("written", ["void", "uncollectible"])
def test_what_was_held_before_a_pause_is_held_after_it(written: str, since: datetime | None) -> None:
    """Stripe gave up within the grace, or nobody knows since when it is owed; a pause changes nothing about either."""
    end = of(subscription(status="paused", latest=open_for(1)), replace(HELD, unpaid_since=since))
    assert end.memory.services[0].holds == {Hold.PAUSED, Hold.UNPAID}
    end.payer = payer(subscription(status="paused", latest=open_for(1, status=written)))
    end.run()
    end.payer = payer(subscription(latest=open_for(1, status=written)))
    end.run()
    assert end.memory.services[0].holds == {Hold.UNPAID}
    end.payer = payer(subscription(latest=open_for(1, status="paid")))
    end.run()
    assert runs(end)


def test_since_when_is_remembered_though_the_invoices_can_not_be_read() -> None:
    """Stripe gave up and does not show its invoices: since when is told by the latest, until all of them are read."""
    unread = replace(subscription(status="unpaid", latest=open_for(3, "in_2")), invoices=None)
    end = of(unread, service())
    assert end.memory.services[0].unpaid_since == NOW - days(3)
    end.payer = payer(subscription(status="unpaid", latest=open_for(3, "in_2"), older=(open_for(9),)))
    end.run()
    assert end.memory.services[0].unpaid_since == NOW - days(9)


def test_what_falls_due_while_all_is_held_moves_no_beginning() -> None:
    """Stripe gave up, the old bill is paid at last, and a draft is sent, of which no event tells."""
    held = replace(HELD, unpaid_since=NOW - days(60))
    old = replace(open_for(60, "in_1", status="paid"), paid_at=NOW - days(30))
    end = of(subscription(status="unpaid", latest=open_for(-10, "in_2"), older=(old,)), held)
    assert end.memory.services[0].unpaid_since == NOW - days(60)


def test_only_drafts_left_says_so() -> None:
    """`unpaid` although everything that could be paid is paid: held, and the reason names the remedy."""
    paid = open_for(20, "in_1", "paid")
    drafts = invoice("draft", id="in_2")
    assert told(of(subscription(status="unpaid", latest=drafts, older=(paid,)), service())) == ["only_drafts_left"]
    for latest, older in ((drafts, open_for(20)), (paid, open_for(50, "in_0", "paid")), (open_for(2), paid)):
        assert not told(of(subscription(status="unpaid", latest=latest, older=(older,)), service()))


# --- plan changes -----------------------------------------------------------------------------------------------------

MOVED = service(plan="1", price_id="price_0", made_for=(("price_0", 1),), plan_since=NOW - days(10))


def delivers(*invoices: Invoice, memory: Service = MOVED, **more: Any) -> bool:
    """Whether the service is moved to what its price buys now."""
    end = of(subscription(latest=invoices[0] if invoices else None, older=invoices[1:], **more), memory)
    waits = end.memory.services[0].wait_reason == "change_waits_for_payment"
    moved = [action.kind for action in end.done] == [ActionKind.CHANGE_PLAN]
    assert moved is not waits
    return moved


def renewal(status: str, price: str = "price_1", age: float = 0) -> Invoice:
    """The invoice of a whole period at `price`."""
    made = NOW - days(age)
    return invoice(status, "subscription_cycle", 1900, line(price, start=-age), id="in_renewal", created=made, due=made)


@pytest.mark.parametrize(
    ("invoices", "expected"),
    [
        ((change("paid"),), True),
        ((change("open"),), False),
        ((change("void"),), False),
        ((change("uncollectible"),), False),
        ((change("draft"),), False),
        ((renewal("draft"), change("open")), False),
        ((renewal("draft"), change("void")), False),
        ((renewal("draft"), change("paid")), True),
        ((renewal("open"), change("paid")), True),
        ((renewal("open"), change("void")), False),
        ((renewal("open"), change("open")), False),
        ((renewal("paid"), change("void")), True),
        ((renewal("paid"), change("uncollectible")), True),
        ((renewal("paid"), change("open")), False),
        ((renewal("void"), change("void")), False),
        ((renewal("paid", age=2), change("void", age=5)), True),
        ((change("void", age=1), renewal("paid", age=5)), False),
        ((renewal("void"), change("paid", age=5)), True),
        ((renewal("uncollectible"), change("paid", age=5)), True),
        ((renewal("paid"), change("draft", age=5)), True),
        ((change("draft"), renewal("paid", age=5)), False),
    ],
)
def test_a_change_is_delivered_when_it_is_itself_paid(invoices: tuple[Invoice, ...], expected: bool) -> None:
    """The newest final invoice that bills the present price must be paid, and no change may be open.

    A renewal that nobody will pay takes no paid change away, and a draft says nothing once a later bill is paid.
    """
    assert delivers(*invoices) is expected


@pytest.mark.parametrize(
    ("invoices", "expected"),
    [
        ((), True),
        ((renewal("paid", "price_0", 5),), True),
        ((renewal("open", "price_0", 5),), False),
        ((renewal("draft", "price_0"),), True),
        ((renewal("draft", "price_1"),), True),
        ((renewal("void", "price_0", 5),), True),
        ((renewal("open", "price_0", 45),), True),
        ((renewal("open", "price_1"),), False),
    ],
)
def test_a_change_that_no_invoice_bills(invoices: tuple[Invoice, ...], expected: bool) -> None:
    """Without proration it is delivered at once, unless something of the present period is open."""
    assert delivers(*invoices) is expected


def test_what_is_given_back_for_a_price_does_not_bill_it() -> None:
    """Basic to pro to basic again without proration: the credit for basic in the first change pays no basic."""
    back = invoice("void", "subscription_update", 1000, line("price_1", -900), line("price_2"), created=NOW - days(1))
    assert delivers(back)


def test_only_what_came_after_the_present_plan_is_about_the_change() -> None:
    """An upgrade that was paid in spring pays for none in autumn; without a date everything counts."""
    older = renewal("paid", "price_1", 20)
    assert not delivers(renewal("open", "price_0", 1), older)
    assert delivers(renewal("open", "price_0", 1), older, memory=replace(MOVED, plan_since=None))


@pytest.mark.parametrize("status", ["paid", "open", "void"])
def test_an_addon_is_paid_for_by_its_own_invoice(status: str) -> None:
    """What base and add-on buy together waits for the invoice of the add-on, though the base was paid long ago."""
    items = (Item("si_1", "price_1", 1), Item("si_2", "price_more", 1))
    sold = catalogue(
        PlanMapping("price_1", plan="2"),
        PlanMapping("price_more", kind="addon"),
        rules=(PlanRule("price_1", "price_more", 1, "3"),),
    )
    bought = invoice(status, "subscription_update", 500, line("price_more", 500, proration=True), created=NOW)
    said = subscription(items=items, latest=bought, older=(renewal("paid", age=5),))
    end = of(said, service(plan_since=NOW - days(20)), sold=sold)
    assert [found.plan_id for found in end.actual.subscriptions] == [3 if status == "paid" else 2]


@pytest.mark.parametrize(("status", "number"), [("paid", 3), ("open", 1), ("void", 1), ("uncollectible", 1)])
def test_what_is_added_waits_for_the_invoice_that_bills_it(status: str, number: int) -> None:
    """Two more of the same: made when their own invoice is paid, however well the first one was."""
    added = invoice(status, "subscription_update", 3800, line("price_1", 3800, proration=True))
    said = subscription(items=(Item("si_1", "price_1", 3),), latest=added, older=(renewal("paid", age=5),))
    assert len(of(said, service()).actual.subscriptions) == number


def test_what_an_operator_edits_asks_for_nobodys_money() -> None:
    """Another plan for the same price is no purchase: an open renewal holds nothing back, nothing is read for it."""
    said = replace(subscription(latest=renewal("open")), invoices=None)
    end = of(said, service(plan="1", plan_since=NOW - days(10)))
    assert [found.plan_id for found in end.actual.subscriptions] == [2]


def test_a_plan_moved_by_hand_goes_back_whatever_is_open() -> None:
    """Nothing was bought: what was paid for before is put right without asking for money."""
    moved = world(payer(subscription(latest=renewal("open"))), customer(service()))
    moved.actual = replace(
        moved.actual, subscriptions=tuple(replace(s, plan_id=3, plan_name="Max") for s in moved.actual.subscriptions)
    )
    moved.run()
    assert [found.plan_id for found in moved.actual.subscriptions] == [2]


# --- refunds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refunded", "latest", "older", "held"),
    [
        ("in_renewal", renewal("paid"), (), True),
        ("in_change", change("paid"), (renewal("paid", age=3),), False),
        ("in_renewal", change("paid"), (renewal("paid", age=3),), True),
        ("in_renewal", replace(renewal("draft"), id="in_next"), (renewal("paid", age=3),), True),
        ("in_old", renewal("paid"), (open_for(31, "in_old", "paid"),), False),
        ("in_old", renewal("open"), (open_for(31, "in_old", "paid"),), False),
        ("in_other", renewal("paid"), (), False),
    ],
)
def test_only_the_refund_of_the_running_period_holds(
    refunded: str, latest: Invoice, older: tuple[Invoice, ...], held: bool
) -> None:
    """Not that of a proration or of a period gone by, and also while a later proration or draft is the latest."""
    said = replace(subscription(latest=latest, older=older), refunded=frozenset({refunded}))
    end = of(said, service(), policy=Policy(on_refund="suspend"))
    assert (end.memory.services[0].holds == {Hold.REFUND}) is held
    assert not of(said, service()).done


def test_a_refund_holds_for_its_period() -> None:
    """The next one is another matter: the pass is woken when it begins."""
    said = replace(subscription(latest=renewal("paid", age=3)), refunded=frozenset({"in_renewal"}))
    end = world(payer(said), customer(service()), policy=Policy(on_refund="suspend"))
    last = end.run()
    assert last.wait is not None and last.wait.at == NOW + days(27)
    end.now = NOW + days(27)
    end.run()
    assert runs(end)


# --- after the end ----------------------------------------------------------------------------------------------------


def test_money_after_the_end_changes_nothing_and_is_seen() -> None:
    """Whichever invoice it was for; what was paid before, or asked for nothing, is not among them."""
    late = open_for(5, "in_late", "paid")  # paid 4 days ago
    said = subscription(status="canceled", ended_days=4.5, latest=open_for(1, "in_2"), older=(late,))
    assert paid_after_end(said) == (late,)
    assert paid_after_end(replace(said, ended_at=NOW - days(3))) == ()
    assert paid_after_end(replace(said, status="active")) == ()
    assert [a.kind for a in of(said, service()).done] == [ActionKind.SUSPEND]


def test_nothing_is_left_to_pay() -> None:
    """Open, written off and drafted invoices of an ended subscription may still be paid; paid and void ones not."""
    for status, left in (("open", True), ("uncollectible", True), ("draft", True), ("paid", False), ("void", False)):
        assert payable(subscription(status="canceled", latest=open_for(1, status=status))) is left
    assert payable(replace(subscription(status="canceled"), invoices=None))


# --- what is not known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "memory", "question"),
    [
        (subscription(latest=renewal("open")), None, Question.INVOICES),
        (subscription(latest=change("paid")), None, Question.INVOICES),
        (subscription(status="past_due", latest=open_for(2)), None, Question.INVOICES),
        (subscription(status="past_due", latest=open_for(2)), service(), Question.INVOICES),
        (subscription(status="past_due", latest=open_for(20)), HELD, Question.INVOICES),
        (subscription(latest=open_for(9, status="void")), HELD, Question.INVOICES),
        (subscription(latest=change("paid")), MOVED, Question.INVOICES),
        (
            replace(subscription(latest=change("paid")), refunded=frozenset({"in_1"})),
            service(),
            Question.INVOICES,
        ),
        (subscription(status="incomplete", latest=first("open")), None, Question.FIRST_PAYMENT),
    ],
)
def test_what_was_not_read_is_asked_for_and_nothing_is_done_without_it(
    said: Subscription, memory: Service | None, question: Question
) -> None:
    """The decision says what it needs to know; until then nothing is made, moved, suspended or lifted."""
    unread = replace(said, invoices=None, first_payment=None)
    start = world(
        payer(unread),
        customer(memory) if memory else stranger(),
        sold=SEPA if said.status == "incomplete" else None,
        policy=Policy(on_refund="suspend"),
    )
    wanted = desired(start.payer, start.memory, start.catalogue, start.policy, start.now)
    assert wanted.questions == (("sub_1", question),)
    start.run()
    assert not start.done


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        (subscription(latest=first("paid")), None),
        (subscription(latest=first("open")), None),
        (subscription(latest=first("void")), None),
        (subscription(latest=renewal("paid")), None),
        (subscription(), None),
        (subscription(latest=renewal("paid")), service()),
        (subscription(latest=renewal("open")), service()),
        (subscription(latest=renewal("draft")), service()),
        (subscription(latest=change("void")), service()),
        (subscription(status="trialing", latest=first("paid")), service()),
        (subscription(status="incomplete", latest=first("open")), None),
        (subscription(status="paused", latest=renewal("paid")), service()),
        (subscription(latest=renewal("paid")), HELD),
        (subscription(status="canceled", latest=renewal("paid"), ended_days=1), None),
        (replace(subscription(latest=renewal("paid")), refunded=frozenset({"in_0"})), service()),
    ],
)
def test_where_the_latest_invoice_tells_nothing_more_is_asked(said: Subscription, memory: Service | None) -> None:
    """The list of subscriptions is the one call of a customer for whom nothing is in doubt."""
    start = world(
        payer(replace(said, invoices=None, first_payment=None)),
        customer(memory) if memory else stranger(),
        policy=Policy(on_refund="suspend"),
    )
    assert desired(start.payer, start.memory, start.catalogue, start.policy, start.now).questions == ()


def test_the_beginning_of_a_debt_is_one_for_all_services_of_a_subscription() -> None:
    """What was remembered for one of them counts for the others as well."""
    two = (service(slot=1, unpaid_since=NOW - days(9)), service(slot=2))
    said = subscription(status="past_due", items=(Item("si_1", "price_1", 2),), latest=open_for(2))
    end = world(payer(replace(said, invoices=(open_for(2), open_for(9, "in_0", "void")))), customer(*two))
    end.run()
    since: set[datetime | None] = {remembered.unpaid_since for remembered in end.memory.services}
    assert since == {NOW - timedelta(days=9)}
    assert all(remembered.holds == {Hold.UNPAID} for remembered in end.memory.services)


# --- what is not bought any more --------------------------------------------------------------------------------------


def test_an_old_debt_of_what_is_surplus_shortens_no_later_grace() -> None:
    """Of a quantity lowered while behind nothing counts once all was settled: a later debt has a grace of its own."""
    long_ago = NOW - days(200)
    voided = invoice("void", id="in_voided", created=long_ago, due=long_ago, lines=(line(start=-200),))
    surplus = service(
        slot=2,
        domain="two.example",
        unpaid_since=long_ago,
        state=ServiceState.SUSPENDED,
        suspended_by=OURS,
        holds=frozenset({Hold.ENDED}),
        ended_at=long_ago,
    )
    said = subscription(status="past_due", latest=open_for(1), older=(open_for(40, "in_paid", "paid"), voided))
    end = of(said, customer(service(), surplus))
    one, two = end.memory.services
    assert not one.holds
    assert [one.unpaid_since, two.unpaid_since] == [NOW - days(1), None]
    assert two.holds == {Hold.ENDED}
    assert [found.suspended_by for found in end.actual.subscriptions] == [None, OURS]


@pytest.mark.parametrize("since", [None, NOW - days(1)])
def test_what_was_held_before_nothing_was_bought_is_held_after_it(since: datetime | None) -> None:
    """Stripe gave up, the quantity goes to 0 and back meanwhile, and the debt is written off: still nobody paid."""
    end = of(subscription(status="unpaid", latest=open_for(1)), replace(HELD, unpaid_since=since))
    end.payer = payer(subscription(status="unpaid", items=(Item("si_1", "price_1", 0),), latest=open_for(1)))
    end.run()
    assert Hold.ENDED in end.memory.services[0].holds
    end.payer = payer(subscription(latest=open_for(1, status="uncollectible")))
    end.run()
    assert Hold.UNPAID in end.memory.services[0].holds
    assert not runs(end)


def test_an_old_debt_goes_with_what_is_bought_again() -> None:
    """Quantity 0 and back begins no new grace: what the service itself was behind with stays remembered."""
    begun = NOW - days(9)
    held = service(
        unpaid_since=begun,
        state=ServiceState.SUSPENDED,
        suspended_by=OURS,
        holds=frozenset({Hold.ENDED}),
        ended_at=NOW - days(2),
    )
    voided = invoice("void", id="in_voided", created=begun, due=begun, lines=(line(start=-9),))
    none = subscription(status="past_due", items=(Item("si_1", "price_1", 0),), latest=open_for(2), older=(voided,))
    end = of(none, customer(held))
    assert end.memory.services[0].unpaid_since == begun
    end.payer = payer(subscription(status="past_due", latest=open_for(2), older=(voided,)))
    end.run()
    assert end.memory.services[0].holds == {Hold.UNPAID, Hold.ENDED}
