"""What hard looks at the decisions found, told as histories: the same oracle judges them as judges the random ones."""

from collections.abc import Callable

import pytest

from lib.config import Policy
from tests.histories.account import Quirks
from tests.histories.books import DAY, HOUR, MONTH, Invoice, Subscription
from tests.histories.story import Setting, World
from tests.histories.test_histories import check

Tale = Callable[[World], None]


def buy(world: World, price: str = "price_small", **how: object) -> Subscription:
    """The customer buys something, and the product hears of it."""
    number = len(world.account.subscriptions) + 1
    world.happens(lambda: world.account.subscribe(price, domain=f"shop{number}.example", **how))  # type: ignore[arg-type]
    return world.account.subscriptions[-1]


def latest(sub: Subscription, number: int = -1) -> Invoice:
    """Its newest invoice."""
    return sub.invoices[number]


def let(world: World, days: float) -> None:
    """Days pass, and all is as it must be afterwards."""
    world.let_pass(days * DAY)
    check(world)


def first_invoice_overdue(world: World) -> None:
    """Bought on an invoice that is never paid: it falls overdue, the next too, and both are written off or voided."""
    sub = buy(world, method="send_invoice", net_days=14)
    for _ in range(4):
        let(world, 15)
    world.happens(lambda: world.account.void(latest(sub, 0)))
    let(world, 1)
    world.happens(lambda: world.account.write_off(latest(sub, 1)))
    let(world, 1)


def first_debit_fails(world: World) -> None:
    """The first bank debit fails after days in which the subscription was active, and the renewal fails on top."""
    sub = buy(world, card="slow")
    world.happens(lambda: world.account.change_card(sub, "bad"))
    for _ in range(5):
        let(world, 8)


def first_invoice_voided(world: World) -> None:
    """Active at once on an invoice that is then voided: nobody ever pays."""
    sub = buy(world, method="send_invoice")
    let(world, 1)
    world.happens(lambda: world.account.void(latest(sub)))
    let(world, 1)


def first_invoice_written_off(world: World) -> None:
    """Active at once on an invoice that is then written off."""
    sub = buy(world, method="send_invoice")
    let(world, 1)
    world.happens(lambda: world.account.write_off(latest(sub)))
    let(world, 1)


def debit_on_its_way(world: World) -> None:
    """A first debit is on its way: enough where the mapping says so, else it waits for the money."""
    buy(world, card="slow")
    let(world, 1)
    let(world, 5)


def behind_twice(world: World) -> Subscription:
    """Two renewals fail; it is held since the grace of the first ended."""
    sub = buy(world)
    world.happens(lambda: world.account.change_card(sub, "bad"))
    world.let_pass(2 * MONTH + 2 * DAY)
    assert len(sub.open) == 2
    check(world)
    return sub


def older_debt_voided(world: World) -> None:
    """The older of two open invoices is voided: that is no new grace."""
    sub = behind_twice(world)
    world.happens(lambda: world.account.void(sub.open[0]))
    let(world, 1)


def older_debt_written_off(world: World) -> None:
    """The older of two open invoices is written off: that is no new grace."""
    sub = behind_twice(world)
    world.happens(lambda: world.account.write_off(sub.open[0]))
    let(world, 1)


def debt_written_off(world: World) -> None:
    """Held, and its invoice is written off: Stripe says active, and nobody paid; the next renewal is paid."""
    sub = buy(world)
    world.happens(lambda: world.account.change_card(sub, "bad"))
    let(world, 40)
    world.happens(lambda: world.account.write_off(latest(sub)), lambda: world.account.change_card(sub, "good"))
    let(world, 1)
    assert world.state(sub.id, 1) == "off"
    let(world, 30)
    assert world.state(sub.id, 1) == "on"


def debt_written_off_within_grace(world: World) -> None:
    """In its grace the invoice is written off: the grace runs to its old end, and then it is off."""
    sub = buy(world)
    world.happens(lambda: world.account.change_card(sub, "bad"))
    let(world, 32)
    world.happens(lambda: world.account.write_off(latest(sub)))
    let(world, 1)
    let(world, 10)
    assert world.state(sub.id, 1) == "off"


def upgrade_open_then_void(world: World) -> None:
    """An upgrade's invoice is open, then void: nobody paid for more, until a renewal at its price is paid."""
    sub = buy(world, method="send_invoice", net_days=7)
    world.let_pass(2 * HOUR)
    world.happens(lambda: world.account.pay(latest(sub)))
    world.upgrade(sub, "price_large", "billed")
    let(world, 1)
    world.happens(lambda: world.account.void(latest(sub)))
    let(world, 1)
    assert world.plan_of(sub.id, 1) == 1
    world.let_pass(MONTH)
    world.happens(lambda: world.account.pay(latest(sub)))
    let(world, 1)
    assert world.plan_of(sub.id, 1) == 3


def upgrade_open_behind_a_draft(world: World) -> None:
    """An upgrade's invoice is open, and a newer renewal is a draft: the draft hides nothing."""
    sub = buy(world, method="send_invoice", net_days=30)
    world.let_pass(2 * HOUR)
    world.happens(lambda: world.account.pay(latest(sub)))
    let(world, 29)
    world.upgrade(sub, "price_large", "billed")
    world.let_pass(DAY - 2 * HOUR + 30 * DAY / 1440)
    check(world)
    let(world, 1)


def upgrade_paid_renewal_open(world: World) -> None:
    """An upgrade is paid after the next renewal was sent: what is paid is delivered, though a renewal is open."""
    sub = buy(world, method="send_invoice", net_days=30)
    world.let_pass(2 * HOUR)
    world.happens(lambda: world.account.pay(latest(sub)))
    let(world, 29)
    world.upgrade(sub, "price_large", "billed")
    let(world, 2)
    world.happens(lambda: world.account.pay(next(i for i in sub.open if i.reason == "subscription_update")))
    let(world, 1)
    assert world.plan_of(sub.id, 1) == 3


def proration_refunded(world: World) -> None:
    """The small bill of an upgrade goes back: who paid for the period stays on."""
    sub = buy(world)
    world.upgrade(sub, "price_medium", "billed")
    payment = latest(sub).payments[-1]
    world.happens(lambda: world.account.refund(payment, payment.amount))
    let(world, 1)
    assert world.state(sub.id, 1) == "on"


def period_refunded_behind_a_proration(world: World) -> None:
    """The period's money goes back while a later proration is the newest invoice: that holds."""
    sub = buy(world)
    world.upgrade(sub, "price_medium", "billed")
    payment = sub.invoices[0].payments[-1]
    world.happens(lambda: world.account.refund(payment, payment.amount))
    let(world, 1)
    assert world.state(sub.id, 1) == {"suspend": "off", "ignore": "on"}[world.setting.policy.on_refund]


def unpaid_with_drafts(world: World) -> None:
    """The old invoice of an unpaid subscription is paid while later ones are drafts: it stays unpaid, and off."""
    sub = buy(world)
    world.happens(lambda: world.account.change_card(sub, "bad"))
    let(world, 40)
    world.happens(lambda: world.account.give_up(sub))
    let(world, 30)
    world.happens(lambda: world.account.pay(sub.open[0]))
    let(world, 1)
    assert (sub.status, world.state(sub.id, 1)) == ("unpaid", "off")
    world.happens(lambda: world.account.void(latest(sub)))
    let(world, 1)
    assert world.state(sub.id, 1) == "on"


def pause_over_a_debt(world: World) -> None:
    """Held since Stripe gave up, then paused; the debt is written off, and it goes on as before: nobody paid."""
    sub = buy(world)
    world.happens(lambda: world.account.change_card(sub, "bad"))
    let(world, 31)
    world.happens(lambda: world.account._become(sub, "unpaid"))
    check(world)
    assert world.state(sub.id, 1) == "off"
    world.happens(lambda: world.account.pause(sub))
    world.happens(lambda: world.account.write_off(latest(sub)))
    world.happens(lambda: world.account.change_card(sub, "good"))
    world.happens(lambda: world.account.resume(sub, unchanged=True))
    let(world, 1)
    assert world.state(sub.id, 1) == "off"
    let(world, 30)
    assert world.state(sub.id, 1) == "on"


def fewer_and_more_again(world: World) -> None:
    """Two, then one, then two again: the second one waits for the bill of that, or comes at once without one."""
    sub = buy(world, quantity=2)
    for how in ("billed", "unbilled"):
        world.happens(lambda: world.account.change(sub, "later", quantity=1))
        let(world, 12)
        world.happens(lambda: world.account.change_card(sub, "bad"))
        world.happens(lambda how=how: world.account.change(sub, how, quantity=2))  # type: ignore[misc]
        let(world, 1)
        assert (world.state(sub.id, 2) == "off") is (how == "billed")
        world.happens(lambda: world.account.change_card(sub, "good"))
        for invoice in sub.open:
            world.happens(lambda invoice=invoice: world.account.pay(invoice))  # type: ignore[misc]
        let(world, 1)
        assert world.state(sub.id, 2) == "on"


def seen_after_an_upgrade(world: World) -> None:
    """The product sleeps through a purchase and an upgrade that is not paid: it makes what was paid for."""
    world.asleep = True
    sub = buy(world)
    world.happens(lambda: world.account.change_card(sub, "bad"))
    world.upgrade(sub, "price_large", "billed")
    world.happens(lambda: world.account.change(sub, "billed", quantity=2))
    world.asleep = False
    let(world, 1)
    assert (world.plan_of(sub.id, 1), world.plan_of(sub.id, 2)) == (1, None)
    for invoice in sub.open:
        world.happens(lambda invoice=invoice: world.account.pay(invoice))  # type: ignore[misc]
    let(world, 1)
    assert (world.plan_of(sub.id, 1), world.plan_of(sub.id, 2)) == (3, 3)


def seen_after_the_newest_was_written_off(world: World) -> None:
    """Months of renewals that fail are slept through; the newest is put away, so Stripe says active: no hosting."""
    world.asleep = True
    sub = buy(world)
    world.happens(lambda: world.account.change_card(sub, "bad"))
    world.let_pass(3 * MONTH + 3 * DAY)
    world.happens(lambda: world.account.write_off(latest(sub)))
    world.asleep = False
    let(world, 1)
    assert world.state(sub.id, 1) is None
    for invoice in sub.open:
        world.happens(lambda invoice=invoice: world.account.pay(invoice))  # type: ignore[misc]
    let(world, 1)


def given_up_before_its_money(world: World) -> None:
    """Bought by a debit, given up and bought again before that arrives: that waits for its own money."""
    sub = buy(world, card="slow")
    world.asleep = True
    world.happens(lambda: world.account.change(sub, "billed", quantity=0))
    world.happens(lambda: world.account.change(sub, "billed", quantity=1))
    world.asleep = False
    world.happens(lambda: world.account.pay(sub.invoices[0]))
    check(world)
    for invoice in sub.open:
        world.happens(lambda invoice=invoice: world.account.pay(invoice))  # type: ignore[misc]
    let(world, 1)
    assert world.state(sub.id, 1) == "on"


def mapping_switched(world: World) -> None:
    """One word in a mapping: who pays stays on, and nothing is ever deleted over it."""
    buy(world)
    world.edit_mapping("price_small", 0)
    let(world, 1)
    let(world, 30)


TALES: tuple[Tale, ...] = (
    first_invoice_overdue,
    first_debit_fails,
    first_invoice_voided,
    first_invoice_written_off,
    debit_on_its_way,
    older_debt_voided,
    older_debt_written_off,
    debt_written_off,
    debt_written_off_within_grace,
    upgrade_open_then_void,
    upgrade_open_behind_a_draft,
    upgrade_paid_renewal_open,
    proration_refunded,
    period_refunded_behind_a_proration,
    unpaid_with_drafts,
    pause_over_a_debt,
    fewer_and_more_again,
    seen_after_an_upgrade,
    seen_after_the_newest_was_written_off,
    given_up_before_its_money,
    mapping_switched,
)

SETTINGS = {
    "plain": Setting(),
    "strict": Setting(
        policy=Policy(on_refund="suspend", retention_days=20),
        quirks=Quirks(voiding_forgives=False),
        activate_on="processing",
    ),
    "debits are active": Setting(
        policy=Policy(on_refund="suspend", retention_days=20),
        quirks=Quirks(debit_waits=False, after_retries="unpaid"),
    ),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
@pytest.mark.parametrize("tale", TALES, ids=lambda tale: tale.__name__)
def test_the_oracle_agrees_with_what_was_once_decided_wrongly(tale: Tale, setting: Setting) -> None:
    """Each once ended with hosting that nobody had paid for, or without what somebody had paid for."""
    world = World(setting)
    tale(world)
    world.rest()
    check(world)
