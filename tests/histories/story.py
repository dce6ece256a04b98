"""Histories: drawn by hypothesis, played step by step, told as a readable story."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from lib.config import Policy
from lib.model import PanelSubscription, PlanMapping
from lib.structs import replace
from tests.histories.account import Account, Quirks
from tests.histories.books import DAY, ENDED, HOUR, PRICES, Change, Invoice, Payment, Subscription
from tests.histories.panel import Panel
from tests.histories.product import Product, Restless

PLAN_OF = {"price_small": "1", "price_medium": "medium", "price_large": "3"}
SPANS = (2 * HOUR, DAY, 3 * DAY, 8 * DAY, 30 * DAY)
MOMENT = timedelta(minutes=1)
"""Between two steps."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a history begins with."""

    policy: Policy = Policy()
    quirks: Quirks = Quirks()
    activate_on: Any = "paid"
    grace_days: int | None = None
    """Of the mapping for the small price."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a history: which of the things that may happen now does, and how the product hears of it."""

    verb: int
    how: int
    hearing: str = "told"
    """`told` at once; `late`, by the next sweep; `deaf`: the product sleeps, until a step that it does not sleep in."""


@dataclass(slots=True)
class World:
    """One history while it is being played."""

    setting: Setting
    lie: Callable[[dict[str, Any]], object] | None = None
    account: Account = field(init=False)
    product: Product = field(init=False)
    missed: list[tuple[str, str]] = field(default_factory=list)
    asleep: bool = False
    told: bool = True
    sweep_at: datetime | None = None
    remapped: bool = False
    """A mapping was edited while the product slept."""
    plans_before: dict[tuple[str, int], dict[int, int | None]] = field(default_factory=dict)
    """(subscription, how many changes it had had) -> the panel plan of each slot just before that change."""
    kept: dict[tuple[str, int], str] = field(default_factory=dict)
    """(subscription, slot) -> `on` or `off` when the mapping of its price began to mean nothing."""
    edited: dict[str, datetime] = field(default_factory=dict)
    """When the mapping of a price began to mean nothing last."""
    held: set[str] = field(default_factory=set)
    """Subscriptions whose services an admin holds."""
    by_hand: set[int] = field(default_factory=set)
    """Hosting subscriptions that somebody suspended in the panel."""

    def __post_init__(self) -> None:
        self.account = Account(self.setting.quirks)
        mappings = {price: self._mapping(price) for price in PLAN_OF}
        self.product = Product(self.account, self.setting.policy, mappings, self.lie)

    @property
    def panel(self) -> Panel:
        """The panel that the product acts on."""
        return self.product.panel

    # --- playing ---

    def play(self, step: Step) -> None:
        """One step, and everything that follows of it by itself."""
        self.asleep, self.told = step.hearing == "deaf", step.hearing == "told"
        self.let_pass(MOMENT)
        self._choose(step.verb)(step.how)
        self._noticed()

    def happens(self, *acts: Callable[[], object]) -> None:
        """Somebody does these things, a moment apart, and the product hears of each."""
        for act in acts:
            self.let_pass(MOMENT)
            act()
            self._noticed()

    def _choose(self, number: int) -> Callable[[int], None]:
        """One of the things that may happen now, the likelier ones more often."""
        options = list(self._options())
        place = number % sum(weight for weight, _ in options)
        for weight, act in options:
            place -= weight
            if place < 0:
                return act
        raise AssertionError("unreachable")

    def let_pass(self, span: timedelta) -> None:
        """Time passes; what Stripe does by itself, wakes and sweeps happen at their times."""
        end = self.account.now + span
        for _ in range(400):
            dates = [end, self.account.next_moment()]
            if not self.asleep:
                dates += [self.product.wake_at, self.sweep_at]
            self.account.now = max(self.account.now, min(date for date in dates if date is not None))
            self.account.let_happen()
            self._noticed()
            if self.account.now >= end:
                return
        raise Restless("four hundred things happen by themselves within one span of time")

    def _noticed(self) -> None:
        """What the product does about what has happened."""
        events = self.account.take_events()
        if events:
            self.sweep_at = self.sweep_at or self.account.now + HOUR
        if self.asleep or not self.told:
            self.missed += events
        if self.asleep:
            return
        if self.told:
            self.product.hear(events)
        for _ in range(3):
            wake = self.product.wake_at
            if wake is None or wake > self.account.now:
                break
            self.product.look()
        else:
            raise Restless(f"it wants to be woken at {self.product.wake_at}, again and again")
        if self.sweep_at is not None and self.sweep_at <= self.account.now:
            self.sweep_at = None
            missed, self.missed = self.missed, []
            self.product.sweep(missed)
            if self.remapped:
                self.remapped = False
                self.product.look()

    def rest(self) -> None:
        """Wake the product if it slept, and let it find what it missed."""
        self.asleep, self.told = False, True
        self.let_pass(2 * HOUR)
        self.product.look_again()
        if self.product.asked > 1 and all(map(_is_plain, self.account.subscriptions)):
            raise Restless(f"{self.product.asked} calls to Stripe for a customer who pays and changed nothing")
        looks = len(self.product.looks)
        self.product.sweep([])
        if len(self.product.looks) != looks:
            raise Restless("a sweep marks a customer of whom nothing has changed since the last")

    @property
    def knows_all(self) -> bool:
        """Whether the product has heard of everything so far."""
        return not self.asleep and not self.missed and not self.remapped

    # --- what may happen ---

    def _options(self) -> Iterator[tuple[int, Callable[[int], None]]]:
        account = self.account
        live = [sub for sub in account.subscriptions if sub.status not in ENDED]
        if len(account.subscriptions) < 3 and not account.deleted:
            yield (2 if account.subscriptions else 400), self._buy
        if not account.subscriptions:
            return
        yield 20, lambda how: self.let_pass(SPANS[how % len(SPANS)])
        for sub in live:
            yield from self._options_of(sub)
        yield from self._options_by_hand()
        for sub in account.subscriptions:
            for invoice in sub.invoices[-4:]:
                yield from self._options_with(sub, invoice)
        if live and not account.deleted and sum(len(sub.invoices) for sub in account.subscriptions) > 4:
            yield 1, lambda _: account.delete_customer()

    def _options_of(self, sub: Subscription) -> Iterator[tuple[int, Callable[[int], None]]]:
        account, status = self.account, sub.status
        yield 3, lambda how: account.change_card(sub, ("good", "bad", "bad", "slow")[how % 4])
        if status in ("active", "trialing", "past_due"):
            yield 3, lambda how: self._change(sub, how)
            shelves = (None,) if sub.collection else ("keep_as_draft", "mark_uncollectible", "void")
            yield 1, lambda how: account.pause_collection(sub, shelves[how % len(shelves)])
        if status == "past_due":
            yield 2, lambda _: account.give_up(sub)
        if status in ("active", "past_due", "unpaid") and sub.method == "charge_automatically":
            yield 1, lambda _: account.pause(sub)
        if status == "paused" and not sub.open:
            yield 3, lambda how: account.resume(sub, unchanged=how % 2 == 1)
        if status != "incomplete":
            yield 1, lambda _: account.cancel(sub)
        if status in ("active", "trialing", "past_due") and sub.cancel_at is None:
            yield 1, lambda how: account.cancel_later(sub, portal=bool(how % 2))
        elif sub.cancel_at is not None:
            yield 2, lambda _: account.keep_going(sub)

    def _options_by_hand(self) -> Iterator[tuple[int, Callable[[int], None]]]:
        there = [found for found in self.panel.subscriptions.values() if not found.deleted]
        made = [sub for sub in self.account.subscriptions if self.panel.of(sub.id)]
        if made:
            yield 1, lambda how: self._hold(made[how % len(made)].id)
        if there and not self.asleep:
            yield 1, lambda how: self._suspend_by_hand(there[how % len(there)])
        prices = {sub.items[0].price for sub in self.account.subscriptions}
        yield 1, lambda how: self.edit_mapping(sorted(prices)[how % len(prices)], how // 3)

    def _options_with(self, sub: Subscription, invoice: Invoice) -> Iterator[tuple[int, Callable[[int], None]]]:
        account = self.account
        if invoice.status in ("open", "uncollectible"):
            yield 3, lambda how: account.pay(invoice, outside=how % 4 == 3)
            yield 2, lambda _: account.void(invoice)
        if invoice.status == "open":
            yield 2, lambda _: account.write_off(invoice)
        if invoice.status == "draft" and sub.status not in ENDED:
            yield 1, lambda _: account.void(invoice)
            if sub.collection is None:
                yield 1, lambda _: account.finalize(invoice)
        for payment in invoice.payments:
            if payment.status == "succeeded":
                yield from self._options_about(payment)

    def _options_about(self, payment: Payment) -> Iterator[tuple[int, Callable[[int], None]]]:
        account = self.account
        left = payment.amount - payment.refunded
        if left > 0:
            whole = left
            yield 1, lambda how: account.refund(payment, whole if how % 2 else max(1, whole // 3), "succeeded")
        for refund in payment.refunds:
            if refund.status != "failed":
                yield 1, lambda _, refund=refund: account.fail_refund(refund)  # type: ignore[misc]
        if not payment.disputes:
            statuses = ("needs_response", "warning_needs_response")
            yield 1, lambda how: account.dispute(payment, statuses[how % 2])
        for dispute in payment.disputes:
            if dispute.status not in ("won", "lost", "warning_closed"):
                ends = ("warning_closed",) if dispute.status.startswith("warning") else ("won", "lost", "under_review")
                yield 2, lambda how, d=dispute, ends=ends: account.decide(d, ends[how % len(ends)])  # type: ignore[misc]

    def _buy(self, how: int) -> None:
        account, n = self.account, len(self.account.subscriptions) + 1
        price = list(PRICES)[how % 3]
        kind = how // 3 % 8
        account.subscribe(
            price,
            method="send_invoice" if kind in (1, 5) else "charge_automatically",
            card=("good", "good", "bad", "slow")[how // 24 % 4],
            trial=kind in (2, 5),
            quantity=2 if kind == 3 else 1,
            free=kind == 4,
            net_days=(7, 14, 30)[how // 96 % 3],
            domain=f"shop{n if how % 5 or n == 1 else 1}.example",  # some come back with the domain of their first
        )

    def _change(self, sub: Subscription, how: int) -> None:
        item = sub.items[0]
        billed = ("unbilled", "billed", "billed", "later", "anew")[how % 5]
        self._remember_plans(sub)
        if how // 5 % 4 >= 2:
            quantity = (how // 20 % 3) if item.quantity else 1
            self.account.change(sub, billed, quantity=quantity)  # type: ignore[arg-type]
        else:
            others = [price for price in PRICES if price != item.price]
            replaced = how // 40 % 4 == 3
            self.account.change(sub, billed, price=others[how // 20 % 2], anew=replaced)  # type: ignore[arg-type]

    def upgrade(self, sub: Subscription, price: str, billed: Change) -> None:
        """The customer changes to another price, and the product hears of it."""
        self._remember_plans(sub)
        self.happens(lambda: self.account.change(sub, billed, price=price))

    def _remember_plans(self, sub: Subscription) -> None:
        key = (sub.id, len(sub.items[0].changes))
        self.plans_before[key] = {slot: self.plan_of(sub.id, slot) for slot in range(1, 5)}

    # --- the operator's hand ---

    def _hold(self, sub_id: str) -> None:
        self.account.say(f"an admin {'lifts their hold of' if sub_id in self.held else 'holds'} {sub_id}")
        self.product.hold(sub_id, lift=sub_id in self.held)
        self.held ^= {sub_id}

    def _suspend_by_hand(self, found: PanelSubscription) -> None:
        if found.id in self.by_hand:
            self.account.say(f"somebody lifts their suspension of {found.friendly_name} in the panel")
            self.panel.suspend_by_hand(found, lift=True)
        elif found.suspended_by is None:
            self.account.say(f"somebody suspends {found.friendly_name} in the panel")
            self.panel.suspend_by_hand(found)
        else:
            return
        self.by_hand ^= {found.id}
        self.product.look()

    def edit_mapping(self, price: str, how: int) -> None:
        """An operator makes a mapping mean nothing, in one of three ways, or puts it back."""
        mappings = self.product.mappings
        meant = price in mappings and mappings[price].kind == "service"
        if not meant:
            self.account.say(f"the mapping of {price} is as before")
            mappings[price] = self._mapping(price)
        else:
            kind = ("ignore", "addon", None)[how % 3]
            self.account.say(f"the mapping of {price} is {kind or 'gone'}")
            for sub in self.account.subscriptions:
                if sub.items[0].price == price:
                    for slot in range(1, 5):
                        if state := self.state(sub.id, slot):
                            self.kept[sub.id, slot] = state
            self.edited[price] = self.account.now
            if kind is None:
                del mappings[price]
            else:
                mappings[price] = replace(mappings[price], kind=kind, plan=None)  # type: ignore[arg-type]
        if self.asleep:
            self.sweep_at = self.sweep_at or self.account.now + HOUR
            self.remapped = True
        else:  # a trigger of the table marks who has the price
            self.product.look()

    def _mapping(self, price: str) -> PlanMapping:
        days = self.setting.grace_days if price == "price_small" else None
        return PlanMapping(price, plan=PLAN_OF[price], activate_on=self.setting.activate_on, grace_days=days)

    # --- looking ---

    def plan_of(self, sub_id: str, slot: int) -> int | None:
        """The plan that a service has in the panel; `None` when there is none."""
        found = self.hosting(sub_id, slot)
        return found.plan_id if found and not found.deleted else None

    def hosting(self, sub_id: str, number: int) -> PanelSubscription | None:
        """The hosting of this number, those that are still there before those that were deleted."""
        found = self.panel.of(sub_id)
        found.sort(key=lambda each: each.deleted)
        return found[number - 1] if number <= len(found) else None

    def state(self, sub_id: str, number: int) -> str | None:
        """`on`, `off`, `gone`, or `None` for what was never made."""
        found = self.hosting(sub_id, number)
        if found is None:
            return None
        return "gone" if found.deleted else "off" if found.suspended_by else "on"

    def tell(self) -> str:
        """The whole history, one line each."""
        lines = [f"policy {self.setting.policy}", f"{self.setting.quirks}", f"mapping {self.setting.activate_on}"]
        return "\n".join([*lines, *self.account.story])


def _is_plain(sub: Subscription) -> bool:
    """Whether nothing unusual is to be known of a subscription: it was bought, and its latest invoice is paid."""
    paid = sub.invoices[-1].status == "paid" and not sub.free
    return sub.status in ("active", "trialing") and paid and len(sub.items[0].changes) == 1


SETTINGS = st.builds(
    Setting,
    policy=st.builds(
        Policy,
        retention_days=st.sampled_from([None, 20]),
        pause_collection=st.sampled_from(["keep", "suspend"]),
        on_dispute=st.sampled_from(["suspend", "ignore"]),
        on_dispute_lost=st.sampled_from(["suspend", "ignore"]),
        on_refund=st.sampled_from(["suspend", "ignore"]),
        on_double_purchase=st.sampled_from(["provision", "provision", "hold"]),
    ),
    quirks=st.builds(
        Quirks,
        voiding_forgives=st.booleans(),
        debit_waits=st.booleans(),
        after_retries=st.sampled_from(["unpaid", "canceled", "past_due", "paused"]),
    ),
    activate_on=st.sampled_from(["paid", "paid", "processing"]),
    grace_days=st.sampled_from([None, 2]),
)
STEPS = st.lists(
    st.builds(
        Step,
        verb=st.integers(0, 5039),
        how=st.integers(0, 287),
        hearing=st.sampled_from(["told", "told", "told", "late", "deaf"]),
    ),
    min_size=1,
    max_size=24,
)
