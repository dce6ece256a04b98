"""One test for each row of the design's table and for each settled reading, to be read beside it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from lib.config import Policy
from lib.model import (
    Action,
    ActionKind,
    CreateSubscription,
    Hold,
    Intent,
    PlanMapping,
    Service,
    ServiceKey,
    ServiceState,
    recalled,
)
from lib.model.reason import Rule
from lib.policy import MAY_STILL_APPEAR, desired, outcome_known_at, seeking_on, sought_domains
from lib.structs import replace
from tests.policy.worlds import (
    CLEAN_NAME,
    CUSTOMER,
    NOW,
    OURS,
    SOMEBODY,
    World,
    catalogue,
    customer,
    days,
    in_panel,
    invoice,
    payer,
    service,
    stranger,
    subscription,
    world,
)

KEY = ServiceKey("sub_1", 1)
LIVE = service()
SUSPENDED = service(state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.UNPAID}))
BOUGHT_OTHERWISE = service(plan="1", price_id="price_0", made_for=(("price_0", 1),))
PAID, OPEN = invoice("paid"), invoice("open")
MOMENT = timedelta(microseconds=1)


def kinds(end: World) -> list[ActionKind]:
    """The changes that were made, in their order."""
    return [action.kind for action in end.done]


def holds(end: World) -> set[Hold]:
    """What holds the service."""
    remembered = end.service(KEY)
    return set(remembered.holds) if remembered else set()


def runs(end: World) -> bool:
    """Whether the panel has it and serves it."""
    found = end.panel(KEY)
    return found is not None and not found.deleted and found.suspended_by is None


def after(status: str, memory: Service | None = LIVE, policy: Policy | None = None, **changes: Any) -> World:
    """The end of a world whose one subscription has this status, for a service that ran until now."""
    start = stranger() if memory is None else customer(memory)
    end = world(payer(subscription(status=status, **changes)), start, policy=policy)
    end.run()
    return end


def told(end: World) -> list[str]:
    """The reasons that a person is shown."""
    return [problem.reason for problem in end.run().problems]


# --- the table, row by row --------------------------------------------------------------------------------------------


def test_incomplete_makes_nothing_yet() -> None:
    """`incomplete`: nothing is made before the first payment, and nothing is touched."""
    assert not after("incomplete", None).done
    assert not after("incomplete").done


def test_incomplete_expired_makes_nothing_and_ends_what_exists() -> None:
    """`incomplete_expired`: nothing; if a service exists, it is held as ended."""
    assert not after("incomplete_expired", None).done
    end = after("incomplete_expired")
    assert (kinds(end), holds(end)) == ([ActionKind.SUSPEND], {Hold.ENDED})


def test_trialing_is_on() -> None:
    """`trialing`: on, whatever its invoice says."""
    assert runs(after("trialing", None))
    assert runs(after("trialing", None, latest=invoice("open", "subscription_create")))


def test_trial_end_is_a_date_to_look_again() -> None:
    """The end of a trial is a deadline on the same queue: the pass asks to be woken then (issue 4, point 2)."""
    trial = replace(subscription(status="trialing"), trial_end=NOW + days(5))
    last = world(payer(trial), customer(LIVE)).run()
    assert last.wait is not None
    assert last.wait.at == NOW + days(5)


def test_active_is_on_once_money_is_settled() -> None:
    """`active`: made when the first money is in, and not while a bank debit is only on its way."""
    assert runs(after("active", None))
    assert runs(after("active", None, latest=invoice("paid", "subscription_create")))
    waiting = after("active", None, latest=invoice("open", "subscription_create"))
    assert not waiting.done
    waiting.payer = payer(subscription(latest=invoice("paid", "subscription_create")))
    waiting.run()
    assert runs(waiting)


def test_activate_on_processing_trusts_the_debit() -> None:
    """A mapping with `activate_on=processing` does not wait for the debit."""
    end = world(
        payer(subscription(latest=invoice("open", "subscription_create"), payment="processing")),
        sold=catalogue(PlanMapping("price_1", plan="2", activate_on="processing")),
    )
    end.run()
    assert runs(end)


@pytest.mark.parametrize("status", ["open", "draft"])
def test_a_renewal_on_its_way_turns_nothing_off(status: str) -> None:
    """An `active` subscription's running service goes on while the renewal's invoice is drafted and paid."""
    assert not after("active", latest=invoice(status)).done


@pytest.mark.parametrize(
    ("grace_days", "mapping_days", "override", "ends"),
    [
        (7, None, None, 7),
        (7, 20, None, 20),
        (7, 0, None, 0),
        (7, None, 3, 3),
        (7, None, 12, 12),
        (7, 20, 25, 25),
        (7, 20, 1, 1),
    ],
)
def test_grace_ends_by_setting_then_mapping_then_one_off_date(
    grace_days: int, mapping_days: int | None, override: float | None, ends: float
) -> None:
    """`past_due`: on until the grace ends, to the moment; a mapping wins over the setting, a one-off date over both."""
    start = NOW - days(2)
    remembered = service(grace_override=None if override is None else start + days(override))
    for now, on in ((start + days(ends) - MOMENT, True), (start + days(ends), False)):
        end = world(
            payer(subscription(status="past_due", unpaid_days=2, latest=OPEN)),
            customer(remembered),
            sold=catalogue(PlanMapping("price_1", plan="2", grace_days=mapping_days)),
            policy=Policy(grace_days=grace_days),
            now=now,
        )
        last = end.run()
        assert runs(end) is on
        assert holds(end) == (set() if on else {Hold.UNPAID})
        if on:
            assert last.wait is not None
            assert last.wait.at == start + days(ends)


def test_grace_counts_from_the_oldest_open_invoice() -> None:
    """A later failed invoice neither lifts nor restarts the grace: the oldest open one has begun it."""
    later = replace(OPEN, id="in_2", created=NOW - days(1))
    assert not runs(after("past_due", unpaid_days=8, latest=later))
    assert not after("past_due", SUSPENDED, unpaid_days=38, latest=later).done


def test_payment_lifts_the_hold_at_once() -> None:
    """Whoever pays runs again, and nothing is made anew."""
    end = after("active", SUSPENDED, latest=PAID)
    assert kinds(end) == [ActionKind.RESUME]
    assert not holds(end)


def test_a_one_off_date_is_used_once() -> None:
    """A date given for one trouble neither lengthens nor shortens the grace of the next one."""
    end = after("active", service(grace_override=NOW - days(30)), latest=PAID)
    end.payer = payer(subscription(status="past_due", unpaid_days=1, latest=OPEN))
    end.run()
    assert runs(end)


def test_unpaid_is_held() -> None:
    """`unpaid`: hold `unpaid`, without any grace."""
    end = after("unpaid", unpaid_days=1)
    assert (kinds(end), holds(end)) == ([ActionKind.SUSPEND], {Hold.UNPAID})


def test_paused_is_held() -> None:
    """`paused`: hold `paused`; it runs again when the pause ends."""
    end = after("paused")
    assert (kinds(end), holds(end)) == ([ActionKind.SUSPEND], {Hold.PAUSED})
    end.payer = payer(subscription(latest=PAID))
    end.run()
    assert runs(end)


def test_pause_collection_keeps_or_suspends() -> None:
    """`pause_collection` set: `keep`, the default, changes nothing; `suspend` holds as paused."""
    assert not after("active", paused=True).done
    end = after("active", paused=True, policy=Policy(pause_collection="suspend"))
    assert (kinds(end), holds(end)) == ([ActionKind.SUSPEND], {Hold.PAUSED})


def test_canceled_is_held_and_without_retention_kept_for_ever() -> None:
    """`canceled`: hold `ended`; nothing is deleted unless a retention is configured."""
    end = after("canceled", ended_days=0)
    assert (kinds(end), holds(end)) == ([ActionKind.SUSPEND], {Hold.ENDED})
    end.now += days(3650)
    last = end.run()
    assert kinds(end) == [ActionKind.SUSPEND]
    assert last.wait is None


def test_canceled_is_soft_deleted_when_its_retention_is_over() -> None:
    """`RETENTION_DAYS` after it ended, to the moment, the hosting subscription is soft-deleted, and that is all."""
    end = after("canceled", ended_days=0, policy=Policy(retention_days=30))
    end.now = NOW + days(30) - MOMENT
    last = end.run()
    assert last.wait is not None
    assert last.wait.at == NOW + days(30)
    assert not (found := end.panel(KEY)) or not found.deleted
    end.now = NOW + days(30)
    end.run()
    assert kinds(end) == [ActionKind.SUSPEND, ActionKind.TERMINATE]
    assert not end.run().problems  # what we deleted ourselves is no surprise
    assert not end.look().action


def test_item_gone_is_held() -> None:
    """An item that is gone takes its service off, and only that one."""
    kept, gone = service(slot=1), service(slot=2, item_id="si_gone")
    end = world(payer(subscription()), customer(kept, gone))
    end.run()
    assert [(action.kind, action.service) for action in end.done] == [(ActionKind.SUSPEND, gone.key)]
    assert end.memory.services[1].holds == {Hold.ENDED}


@pytest.mark.parametrize("status", ["active", "trialing"])
def test_a_paid_plan_change_moves(status: str) -> None:
    """A plan change is made while the status is `active` or `trialing` and the latest invoice is not open."""
    end = after(status, BOUGHT_OTHERWISE, latest=PAID)
    assert kinds(end) == [ActionKind.CHANGE_PLAN]
    assert [found.plan_id for found in end.actual.subscriptions] == [2]


@pytest.mark.parametrize(("status", "unpaid_days"), [("active", None), ("trialing", None), ("past_due", 1)])
def test_a_plan_change_waits_for_its_money(status: str, unpaid_days: float | None) -> None:
    """Until it is paid the present plan stays, shown as `change_waits_for_payment`; then it is moved."""
    end = after(status, BOUGHT_OTHERWISE, latest=OPEN, unpaid_days=unpaid_days)
    assert not end.done
    assert end.memory.services[0].wait_reason == "change_waits_for_payment"
    end.payer = payer(subscription(latest=PAID))
    end.run()
    assert kinds(end) == [ActionKind.CHANGE_PLAN]
    assert end.memory.services[0].wait_reason is None


@pytest.mark.parametrize(("remembered", "mapped"), [("2", "Pro"), ("Pro", "2"), ("2", "2"), ("Pro", "Pro")])
def test_a_plan_is_the_same_by_id_and_by_name(remembered: str, mapped: str) -> None:
    """The integer id and the exact name of one plan are one plan: nothing is moved."""
    end = world(
        payer(subscription(latest=PAID)),
        customer(service(plan=remembered)),
        sold=catalogue(PlanMapping("price_1", plan=mapped)),
    )
    end.run()
    assert not end.done


def test_a_subscription_that_stripe_denies_is_parked() -> None:
    """A subscription unknown to Stripe (404) parks the customer, and nothing of it is touched."""
    end = world(payer(), customer(LIVE), policy=Policy(retention_days=0))
    last = end.run()
    assert not end.done
    assert last.problems
    assert [(remembered.key, remembered.state) for remembered in end.memory.services] == [(KEY, ServiceState.LIVE)]


def test_a_subscription_that_stripe_denies_stops_no_other() -> None:
    """What Stripe denies parks, and the customer's other subscription still gets what it has paid for."""
    end = world(payer(subscription("sub_2")), customer(LIVE))
    last = end.run()
    assert last.problems
    assert len(end.actual.subscriptions) == 2


@pytest.mark.parametrize("items", [None, ()])
def test_a_status_that_nobody_knows_changes_nothing(items: Any) -> None:
    """A new word of Stripe's changes nothing at all, not even for an item that is gone, and is shown."""
    end = after("on_holiday", items=items, policy=Policy(retention_days=0))
    assert not end.done
    assert told(end)
    assert not after("on_holiday", None).done


# --- holds ------------------------------------------------------------------------------------------------------------


def test_holds_stand_side_by_side_and_each_is_lifted_by_its_own_cause() -> None:
    """Unpaid, paused and an admin's hold at once: it runs only after the last one is lifted."""
    policy = Policy(pause_collection="suspend")
    end = after("unpaid", replace(LIVE, holds=frozenset({Hold.ADMIN})), policy, paused=True, unpaid_days=9)
    assert holds(end) == {Hold.UNPAID, Hold.PAUSED, Hold.ADMIN}
    end.payer = payer(subscription(latest=PAID, paused=True))
    end.run()
    assert holds(end) == {Hold.PAUSED, Hold.ADMIN}
    end.payer = payer(subscription(latest=PAID))
    end.run()
    assert holds(end) == {Hold.ADMIN}
    assert kinds(end) == [ActionKind.SUSPEND]
    lifted = tuple(replace(remembered, holds=frozenset()) for remembered in end.memory.services)
    end.memory = replace(end.memory, services=lifted)
    end.run()
    assert kinds(end) == [ActionKind.SUSPEND, ActionKind.RESUME]


def test_an_admins_hold_is_kept_before_anything_is_made() -> None:
    """A hold set by an admin on what was never made means: make nothing yet."""
    unmade = service(state=ServiceState.PENDING, panel_subscription_id=None, holds=frozenset({Hold.ADMIN}))
    assert not after("active", unmade, latest=PAID).done


@pytest.mark.parametrize("remembered", [LIVE, SUSPENDED])
def test_somebody_elses_suspension_is_never_lifted(remembered: Service) -> None:
    """A suspension that was made in the panel survives any payment, and any trouble that comes and goes."""
    end = world(payer(subscription(latest=PAID)), customer(remembered), in_panel(remembered, suspended_by=SOMEBODY))
    for status, unpaid_days in (("active", None), ("past_due", 30), ("unpaid", 40), ("active", None)):
        end.payer = payer(subscription(status=status, latest=PAID, unpaid_days=unpaid_days))
        end.run()
        assert not end.done
        assert [found.suspended_by for found in end.actual.subscriptions] == [SOMEBODY]


def test_when_somebody_else_lets_go_ours_takes_hold() -> None:
    """A service that is unpaid and was suspended by hand is suspended by us once the hand lets go."""
    end = world(payer(subscription(status="unpaid")), customer(LIVE), in_panel(LIVE, suspended_by=SOMEBODY))
    end.run()
    end.actual = replace(end.actual, subscriptions=(in_panel(LIVE),))
    end.run()
    assert kinds(end) == [ActionKind.SUSPEND]


# --- the panel's own changes ------------------------------------------------------------------------------------------


def test_what_was_resumed_by_hand_is_suspended_again() -> None:
    """An unpaid service that somebody resumed in the panel is put right."""
    end = world(payer(subscription(status="unpaid")), customer(SUSPENDED), in_panel(SUSPENDED, suspended_by=None))
    end.run()
    assert kinds(end) == [ActionKind.SUSPEND]


def test_what_was_moved_by_hand_is_moved_back() -> None:
    """A paid service that somebody moved in the panel goes back to the plan that is paid for."""
    end = world(payer(subscription(latest=PAID)), customer(LIVE), in_panel(LIVE, plan_id=3, plan_name="Max"))
    end.run()
    assert [dict(action.details) for action in end.done] == [{"plan": "2", "from": "Max"}]


@pytest.mark.parametrize("gone", ["marked as deleted", "not listed", "with its organisation"])
@pytest.mark.parametrize("status", ["active", "unpaid"])
def test_what_was_deleted_by_hand_is_parked_and_not_made_again(status: str, gone: str) -> None:
    """Something deleted in the panel is parked as `panel_deleted` with a remedy, and no payment makes it anew."""
    end = world(payer(subscription(status=status)), customer(LIVE), in_panel(LIVE, deleted=True))
    if gone != "marked as deleted":
        end.actual = replace(end.actual, subscriptions=(), org_gone=gone == "with its organisation")
    for later in ("active", status):
        end.payer = payer(subscription(status=later, latest=PAID))
        last = end.run()
        assert not end.done
        assert [problem.reason for problem in last.problems] == ["panel_deleted"]
        assert last.problems[0].detail


def test_one_deleted_by_hand_stops_no_other() -> None:
    """A service that was deleted in the panel is parked; another subscription of the customer is still suspended."""
    other = service("sub_2")
    end = world(
        payer(subscription(), subscription("sub_2", "unpaid")),
        customer(LIVE, other),
        in_panel(LIVE, deleted=True),
        in_panel(other),
    )
    assert [problem.reason for problem in end.run().problems] == ["panel_deleted"]
    assert [(action.kind, action.service) for action in end.done] == [(ActionKind.SUSPEND, other.key)]


# --- making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("incomplete", {}),
        ("incomplete_expired", {}),
        ("unpaid", {"unpaid_days": 1}),
        ("paused", {}),
        ("canceled", {"ended_days": 1}),
        ("canceled", {"ended_days": 100}),
        ("past_due", {"unpaid_days": 8}),
        ("active", {"paused": True}),
    ],
)
def test_off_states_of_something_never_made_make_nothing(status: str, changes: dict[str, Any]) -> None:
    """What is off from the first look on is never made, neither organisation nor login, and nobody is bothered."""
    end = after(status, None, Policy(retention_days=30, pause_collection="suspend"), **changes)
    assert not end.done
    assert not told(end)


def test_everything_is_made_in_its_order() -> None:
    """Organisation with our mark, login, owner, subscription, website; then the clean name and the mail."""
    end = after("active", None, latest=PAID)
    assert kinds(end)[:4] == [
        ActionKind.CREATE_ORG,
        ActionKind.CREATE_LOGIN,
        ActionKind.ADD_OWNER,
        ActionKind.CREATE_SUBSCRIPTION,
    ]
    assert set(kinds(end)[4:]) == {ActionKind.CREATE_WEBSITE, ActionKind.RENAME_ORG, ActionKind.SEND_WELCOME}
    assert len(end.done) == 7
    assert end.done[0].details["name"] == f"{CLEAN_NAME} [{CUSTOMER}]"
    assert end.memory.org_name == CLEAN_NAME


@pytest.mark.parametrize("made", range(8))
def test_a_pass_that_dies_anywhere_is_resumed(made: int) -> None:
    """Whatever was done before the pass died is not done again, and the rest is."""
    whole = after("active", None, latest=PAID)
    begun = world(payer(subscription(latest=PAID)))
    for _ in range(min(made, len(whole.done))):
        decision = begun.look()
        assert decision.action is not None
        begun.apply(decision.action)
    resumed = replace(begun, done=[])
    resumed.run()
    assert [*begun.done, *resumed.done] == whole.done


def test_no_subscription_without_an_owner() -> None:
    """Login and owner come before the subscription, also when the panel has refused one of them in this pass."""
    start = world(payer(subscription(latest=PAID)), replace(stranger(), org_id="org-1", org_name=CLEAN_NAME))
    blocked: set[tuple[ActionKind, ServiceKey | None]] = {(ActionKind.CREATE_LOGIN, None)}
    decision = start.look(blocked)
    assert decision.action is None or decision.action.kind is not ActionKind.CREATE_SUBSCRIPTION


@pytest.mark.parametrize("policy", [Policy(), Policy(welcome="none")])
def test_one_welcome_for_each_customer(policy: Policy) -> None:
    """One set-password mail per customer, not per subscription, and none when the operator wants none."""
    end = world(payer(subscription(), subscription("sub_2")), policy=policy)
    end.run()
    end.payer = payer(subscription(), subscription("sub_2"), subscription("sub_3"))
    end.run()
    assert end.welcomes == (1 if policy.welcome == "panel_recovery" else 0)


def test_nobody_is_welcomed_to_nothing() -> None:
    """The mail waits until something runs."""
    end = world(payer(subscription(status="unpaid")), customer(SUSPENDED, welcomed=False))
    end.run()
    assert not end.done


@pytest.mark.parametrize("email", [None, ""])
@pytest.mark.parametrize("begun", [False, True])
def test_without_an_address_nothing_is_made_and_somebody_is_told(email: str | None, begun: bool) -> None:
    """A customer without an e-mail address can't have a login: nothing new is made, whatever was begun; it is shown."""
    memory = replace(stranger(), org_id="org-1", org_name=CLEAN_NAME) if begun else stranger()
    end = world(payer(subscription(latest=PAID), email=email), memory)
    last = end.run()
    assert not end.done
    assert [problem.reason for problem in last.problems] == ["no_email"]


def test_an_address_that_is_gone_later_takes_nothing_away() -> None:
    """A customer who has everything and loses the address at Stripe is left alone, and still suspended when unpaid."""
    end = world(payer(subscription(latest=PAID), email=None), customer(LIVE))
    assert not end.run().problems
    end.payer = payer(subscription(status="unpaid"), email=None)
    end.run()
    assert kinds(end) == [ActionKind.SUSPEND]


def test_the_name_follows_stripe() -> None:
    """A customer who is renamed at Stripe is renamed in the panel, once."""
    end = world(payer(subscription(latest=PAID), name="Anna Sample"), customer(LIVE))
    end.run()
    assert [dict(action.details) for action in end.done] == [{"name": "Anna Sample"}]


def test_a_deleted_customers_subscriptions_are_cancelled_ones() -> None:
    """A customer deleted at Stripe: whatever status their subscriptions still show, they are held as ended."""
    for status in ("active", "trialing", "past_due", "canceled"):
        end = world(payer(subscription(status=status), deleted=True, name=None, email=None), customer(LIVE))
        end.run()
        assert (kinds(end), holds(end)) == ([ActionKind.SUSPEND], {Hold.ENDED})


def test_an_unmapped_price_is_parked_and_runs_by_itself_once_mapped() -> None:
    """A price without a mapping parks as `unmapped_price`; with a row in `plan_mappings` the next pass makes it all."""
    end = world(payer(subscription(latest=PAID)), sold=catalogue(PlanMapping("price_other", plan="1")))
    last = end.run()
    assert not end.done
    assert [problem.reason for problem in last.problems] == ["unmapped_price"]
    end.catalogue = catalogue()
    assert not end.run().problems
    assert runs(end)


def test_an_unmapped_price_still_pays_and_still_ends() -> None:
    """A running service whose mapping was deleted keeps its plan, is lifted when paid and held when it ends."""
    sold = catalogue(PlanMapping("price_other", plan="1"))
    for status, remembered, expected in (
        ("active", SUSPENDED, [ActionKind.RESUME]),
        ("active", LIVE, []),
        ("canceled", LIVE, [ActionKind.SUSPEND]),
    ):
        end = world(payer(subscription(status=status, latest=PAID)), customer(remembered), sold=sold)
        end.run()
        assert kinds(end) == expected


def test_an_ignored_price_means_nothing() -> None:
    """A price mapped as `ignore` makes nothing and bothers nobody."""
    end = world(payer(subscription(latest=PAID)), sold=catalogue(PlanMapping("price_1", kind="ignore")))
    assert not end.run().problems
    assert not end.done


# --- domains and websites ---------------------------------------------------------------------------------------------


def test_no_domain_no_website_until_one_appears() -> None:
    """Without a domain everything but the website is made; when a domain appears, the website is."""
    end = after("active", None, domain="", latest=PAID)
    assert runs(end)
    assert ActionKind.CREATE_WEBSITE not in kinds(end)
    end.payer = payer(subscription(domain="www.Shop.Example", latest=PAID))
    end.run()
    assert end.done[-1].details["domain"] == "shop.example"


def test_another_domain_makes_no_second_website() -> None:
    """A website that exists is never made again, whatever domain is written later, and keeps its own in our memory."""
    end = after("active", domain="other.example", latest=PAID)
    assert not end.done
    assert end.memory.services[0].domain == LIVE.domain


def test_a_domain_that_is_none_is_shown_and_stops_nothing_else() -> None:
    """What nobody can read as a domain is shown to a person; the hosting is there meanwhile."""
    end = after("active", None, domain="not a domain!", latest=PAID)
    assert told(end)
    assert runs(end)
    assert ActionKind.CREATE_WEBSITE not in kinds(end)


def test_no_website_where_the_mapping_wants_none() -> None:
    """A mapping with `create_website` false buys hosting without a website."""
    end = world(payer(subscription()), sold=catalogue(PlanMapping("price_1", plan="2", create_website=False)))
    end.run()
    assert runs(end)
    assert ActionKind.CREATE_WEBSITE not in kinds(end)


def test_the_checkout_session_is_asked_once_and_again_after_its_event() -> None:
    """A domain that is not in the metadata is sought in the Checkout session: once, and after each Checkout event."""
    end = world(payer(subscription(domain="")))

    def sought(now: datetime = NOW) -> tuple[str, ...]:
        return sought_domains(desired(end.payer, end.memory, end.catalogue, end.policy, end.now), end.memory, now)

    assert sought() == ("sub_1",)
    end.run()
    end._remember(end.memory.services[0], domain_sought_at=NOW)
    assert sought() == ()
    end.memory = replace(end.memory, session_event_at=NOW + days(1))
    assert sought(NOW + days(1)) == ("sub_1",)
    end.payer = payer(subscription(domain="", status="unpaid"))
    assert sought(NOW + days(1)) == ()


def test_a_session_that_the_list_lacks_is_asked_for_a_few_times() -> None:
    """Stripe's list may lag behind its event: asked again at set times after it, and then no more."""
    end = world(payer(subscription(domain="")))
    end.run()
    end.memory = replace(end.memory, session_event_at=NOW)
    asked, now = [], NOW
    while True:
        wanted = desired(end.payer, end.memory, end.catalogue, end.policy, end.now)
        if sought_domains(wanted, end.memory, now):
            asked.append(now - NOW)
            end._remember(end.memory.services[0], domain_sought_at=now)
            wanted = desired(end.payer, end.memory, end.catalogue, end.policy, end.now)
            assert sought_domains(wanted, end.memory, now) == ()
        (goal,) = seeking_on(wanted, end.memory, now).goals
        if goal.wake_at is None:
            break
        now = goal.wake_at
    assert [when.total_seconds() for when in asked] == [0, 30, 120, 600]
    end._remember(end.memory.services[0], domain="shop.example")
    wanted = desired(end.payer, end.memory, end.catalogue, end.policy, end.now)
    assert seeking_on(wanted, end.memory, NOW).goals[0].wake_at is None


# --- changes that are not paid ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["open", "draft", "uncollectible"])
def test_a_change_whose_invoice_is_not_paid_waits(status: str) -> None:
    """An invoice for the change itself must be paid: not be open, still a draft, or written off."""
    unpaid = invoice(status, "subscription_update")
    end = world(payer(subscription(latest=unpaid)), customer(BOUGHT_OTHERWISE))
    end.run()
    assert not end.done
    assert end.memory.services[0].wait_reason == "change_waits_for_payment"
    end.payer = payer(subscription(latest=replace(unpaid, status="paid")))
    end.run()
    assert [action.kind for action in end.done] == [ActionKind.CHANGE_PLAN]


def test_a_renewal_being_drafted_delays_no_change() -> None:
    """The next period's draft says nothing against a change that was made before."""
    end = world(payer(subscription(latest=invoice("draft"))), customer(BOUGHT_OTHERWISE))
    end.run()
    assert [action.kind for action in end.done] == [ActionKind.CHANGE_PLAN]


def test_an_admins_hold_needs_no_status_that_is_known() -> None:
    """A status that is new to us changes nothing, but an admin's word still holds."""
    held = service(holds=frozenset({Hold.ADMIN}))
    end = world(payer(subscription(status="hibernating")), customer(held))
    end.run()
    assert [action.kind for action in end.done] == [ActionKind.SUSPEND]


# --- creations that may still take effect -----------------------------------------------------------------------------

CREATIONS = {
    ActionKind.CREATE_ORG: stranger(),
    ActionKind.CREATE_SUBSCRIPTION: customer(),
    ActionKind.CREATE_WEBSITE: customer(service(website_id=None)),
}


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("kind", CREATIONS)
def test_a_lost_creation_is_waited_for_before_it_is_repeated(kind: ActionKind, answered: bool) -> None:
    """After a lost answer nothing is created again until the first one can no longer appear: "again at T"."""
    key = None if kind is ActionKind.CREATE_ORG else KEY
    intent = Intent("action-1", recalled(kind, key, {}), NOW - timedelta(seconds=1), answered)
    start = world(payer(subscription(latest=PAID)), replace(CREATIONS[kind], intents=(intent,)))
    settled = intent.at + MAY_STILL_APPEAR[kind][0 if answered else 1]
    while start.now < settled:  # it is looked for again and again, and not made
        decision = start.look()
        assert decision.action is None
        assert decision.wait is not None
        assert start.now < decision.wait.at <= settled
        start.now = decision.wait.at
    repeated = start.look().action
    assert repeated is not None
    assert repeated.subject == (kind, key)


def test_a_lost_creation_delays_only_its_own_service() -> None:
    """While one subscription's creation may still appear, another one is made, and a third is suspended."""
    intent = Intent("action-1", CreateSubscription(Rule.ACTIVE, KEY, "2", f"Hosting [{KEY}]"), NOW)
    end = world(
        payer(subscription(), subscription("sub_2"), subscription("sub_3", "unpaid")),
        customer(service("sub_3"), intents=(intent,)),
    )
    last = end.run()
    assert [(action.kind, str(action.service)) for action in end.done] == [
        (ActionKind.CREATE_SUBSCRIPTION, "sub_2"),
        (ActionKind.CREATE_WEBSITE, "sub_2"),
        (ActionKind.SUSPEND, "sub_3"),
    ]
    assert last.wait is not None
    assert NOW < last.wait.at <= outcome_known_at(intent)


# --- explanations -----------------------------------------------------------------------------------------------------


def test_every_action_names_the_rule_that_led_to_it() -> None:
    """What is done for the customer as a whole is explained by a subscription that is on, never by one that is off."""
    begun = replace(customer(service("sub_2"), service()), login_id=None, member_id=None)
    end = world(payer(subscription("sub_1", "canceled", ended_days=3), subscription("sub_2", latest=PAID)), begun)
    end.run()
    rules = {action.kind: action.rule for action in end.done}
    assert rules[ActionKind.CREATE_LOGIN] == rules[ActionKind.ADD_OWNER] == "active"
    assert rules[ActionKind.SUSPEND] == "canceled"


@pytest.mark.parametrize(
    ("status", "changes", "rule"),
    [
        ("past_due", {"unpaid_days": 30}, "grace_over"),
        ("unpaid", {}, "unpaid"),
        ("paused", {}, "paused"),
        ("canceled", {}, "canceled"),
        ("incomplete_expired", {}, "incomplete_expired"),
        ("active", {"items": ()}, "item_gone"),
        ("active", {"paused": True}, "collection_paused"),
    ],
)
def test_every_suspension_says_why(status: str, changes: dict[str, Any], rule: str) -> None:
    """Each cause of a suspension has a name of its own."""
    end = after(status, policy=Policy(pause_collection="suspend"), **changes)
    suspended: list[Action] = [action for action in end.done if action.kind is ActionKind.SUSPEND]
    assert [action.rule for action in suspended] == [rule]
