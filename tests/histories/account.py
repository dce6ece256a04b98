"""A tiny Stripe: what people and time do to one customer's subscriptions, written into the books.

Every verb writes its line into the story and says which events Stripe would send. Where Stripe's own behaviour is not
settled (`quirks`), a history draws one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.histories.books import (
    BEGIN,
    DAY,
    ENDED,
    HOUR,
    MONTH,
    PRICES,
    Card,
    Change,
    Dispute,
    Invoice,
    Item,
    Line,
    Method,
    Payment,
    Refund,
    Subscription,
)


@dataclass(frozen=True, slots=True)
class Quirks:
    """What different accounts and versions of Stripe do differently."""

    voiding_forgives: bool = True
    """Voiding the latest invoice of a `past_due` subscription makes it `active`."""
    debit_waits: bool = True
    """A first payment that is processing leaves the subscription `incomplete`; else it is `active` at once."""
    after_retries: str = "unpaid"
    """What a `past_due` one becomes when the retries are used up: `unpaid`, `canceled`, `paused`, or still that."""


@dataclass(slots=True)
class Account:
    """One customer's side of a Stripe account."""

    quirks: Quirks = field(default_factory=Quirks)
    now: datetime = BEGIN
    subscriptions: list[Subscription] = field(default_factory=list)
    deleted: bool = False
    events: list[tuple[str, str]] = field(default_factory=list)
    """(type, id of what it is about) since somebody last took them."""
    story: list[str] = field(default_factory=list)
    _numbers: int = 0

    # --- telling ---

    def say(self, line: str) -> None:
        """Write a line into the story."""
        self.story.append(f"day {(self.now - BEGIN) / DAY:7.2f}  {line}")

    def take_events(self) -> list[tuple[str, str]]:
        """The events since the last time."""
        taken, self.events = self.events, []
        return taken

    def _tell(self, kind: str, about: str) -> None:
        self.events.append((kind, about))

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _become(self, sub: Subscription, status: str) -> None:
        if sub.status == status:
            return
        sub.statuses.append((self.now, status))
        self.say(f"    {sub.id} is {status}")
        self._tell("customer.subscription." + ("deleted" if status == "canceled" else "updated"), sub.id)

    # --- looking ---

    def invoice(self, invoice_id: str) -> Invoice:
        """An invoice by its id."""
        return next(i for sub in self.subscriptions for i in sub.invoices if i.id == invoice_id)

    def sub(self, sub_id: str) -> Subscription:
        """A subscription by its id."""
        return next(sub for sub in self.subscriptions if sub.id == sub_id)

    # --- buying ---

    def subscribe(
        self,
        price: str,
        *,
        method: Method = "charge_automatically",
        card: Card = "good",
        trial: bool = False,
        quantity: int = 1,
        net_days: int = 14,
        free: bool = False,
        domain: str | None = None,
    ) -> Subscription:
        """Buy something."""
        n = len(self.subscriptions) + 1
        trial_end = self.now + 10 * DAY if trial else None
        item = Item(f"si_{n}", price, quantity, self.now, trial_end or self.now + MONTH)
        item.changes.append((self.now, price, quantity, None))
        sub = Subscription(
            f"sub_{n}", self.now, method, card, domain, [item], net_days=net_days, free=free, trial_end=trial_end
        )
        sub.statuses.append((self.now, "trialing" if trial else "active"))
        self.subscriptions.append(sub)
        times = f"{quantity} x {price}"
        how = {"send_invoice": f"on an invoice of {net_days} days"}.get(method, f"with a {card} card")
        self.say(f"buys {sub.id}: {times} {how}{' on trial' if trial else ''}{' for nothing' if free else ''}")
        self._tell("customer.subscription.created", sub.id)
        self._bill(
            sub, "subscription_create", self._regular(sub, free=trial), at_once=method != "send_invoice" or trial
        )
        return sub

    def _regular(self, sub: Subscription, *, free: bool = False) -> list[Line]:
        free = free or sub.free
        return [
            Line(i.id, i.price, i.quantity, 0 if free else PRICES[i.price] * i.quantity, i.begins, i.ends)
            for i in sub.items
        ]

    def _bill(self, sub: Subscription, reason: str, lines: Sequence[Line], *, at_once: bool) -> Invoice:
        amount = max(0, sum(line.amount for line in lines))
        invoice = Invoice(f"in_{self._number()}", sub.id, reason, self.now, list(lines), sub.method, amount)
        sub.invoices.append(invoice)
        self.say(f"    {invoice.id} is drafted: {reason}, {amount / 100:.2f}")
        self._tell("invoice.created", invoice.id)
        if sub.status == "unpaid":
            return invoice  # stays a draft
        if at_once:
            self.finalize(invoice)
        else:
            invoice.finalizes_at = self.now + HOUR
        return invoice

    def finalize(self, invoice: Invoice) -> None:
        """A draft becomes final: paid, owed, or put away."""
        sub = self.sub(invoice.subscription)
        if sub.collection is not None and invoice.amount > 0:
            self._shelve(sub, invoice)
            return
        invoice.status, invoice.finalized_at, invoice.finalizes_at = "open", self.now, None
        self._tell("invoice.finalized", invoice.id)
        if invoice.amount == 0:
            self._paid(invoice)
        elif invoice.method == "send_invoice":
            invoice.due_at = self.now + sub.net_days * DAY
            self.say(f"    {invoice.id} is sent")
        else:
            self._attempt(sub, invoice)

    def _shelve(self, sub: Subscription, invoice: Invoice) -> None:
        invoice.finalizes_at, invoice.shelved = None, True
        self.say(f"    {invoice.id} is put away: {sub.collection}")
        if sub.collection == "keep_as_draft":
            return
        invoice.finalized_at = self.now
        if sub.collection == "void":
            invoice.status, invoice.voided_at = "void", self.now
            self._tell("invoice.voided", invoice.id)
        else:
            invoice.status, invoice.written_off_at = "uncollectible", self.now
            self._tell("invoice.marked_uncollectible", invoice.id)

    def _attempt(self, sub: Subscription, invoice: Invoice) -> None:
        payment = Payment(str(self._number()), invoice.id, invoice.amount, self.now, "succeeded")
        invoice.payments.append(payment)
        if sub.card == "good":
            self._paid(invoice)
        elif sub.card == "bad":
            payment.status = "failed"
            self._failed(sub, invoice)
        else:
            payment.status, payment.decides_at, payment.debit = "processing", self.now + 5 * DAY, True
            self.say(f"    the debit of {invoice.id} is under way")
            if invoice.reason == "subscription_create" and self.quirks.debit_waits:
                self._become(sub, "incomplete")

    def _failed(self, sub: Subscription, invoice: Invoice) -> None:
        self.say(f"    paying {invoice.id} fails")
        invoice.failed_at = invoice.failed_at or self.now
        self._tell("invoice.payment_failed", invoice.id)
        if invoice.reason == "subscription_create" and sub.created + HOUR > self.now:
            self._become(sub, "incomplete")
        elif sub.status == "active":
            self._become(sub, "past_due")

    def _paid(self, invoice: Invoice) -> None:
        invoice.status, invoice.paid_at = "paid", self.now
        self.say(f"    {invoice.id} is paid")
        self._tell("invoice.paid", invoice.id)
        sub = self.sub(invoice.subscription)
        resumed = sub.status == "paused" and invoice.reason == "subscription_update"
        if resumed or (sub.status == "incomplete" and invoice.reason == "subscription_create"):
            self._become(sub, "active")
        self._judge(sub)

    def _judge(self, sub: Subscription) -> None:
        """Stripe's status follows the latest final invoice."""
        if sub.status not in ("active", "past_due", "unpaid"):
            return
        final = [i for i in sub.invoices if i.finalized_at is not None]  # a voided draft never was owed
        if not self.quirks.voiding_forgives:
            final = [i for i in final if i.status != "void"] or final
        if not final:
            return
        latest = final[-1]
        if latest.status == "open":
            if sub.status == "active" and (latest.failed_at or (latest.due_at and latest.due_at <= self.now)):
                self._become(sub, "past_due")
        elif sub.status != "unpaid" or sub.invoices[-1].status != "draft":
            self._become(sub, "active")

    # --- money by hand ---

    def pay(self, invoice: Invoice, *, outside: bool = False) -> None:
        """The customer pays an open or written-off invoice; `outside` Stripe there is no payment to give back."""
        self.say(
            f"{invoice.id} of {invoice.subscription} is paid{' outside Stripe' if outside else ' by the customer'}"
        )
        for payment in invoice.payments:
            if payment.status == "processing":
                payment.status, payment.decides_at = "failed", None
        if not outside:
            invoice.payments.append(Payment(str(self._number()), invoice.id, invoice.amount, self.now, "succeeded"))
        self._paid(invoice)

    def void(self, invoice: Invoice) -> None:
        """Somebody voids an open or written-off invoice, or a draft."""
        self.say(f"{invoice.id} of {invoice.subscription} is voided")
        invoice.status, invoice.voided_at, invoice.finalizes_at = "void", self.now, None
        self._drop_debits(invoice)
        self._tell("invoice.voided", invoice.id)
        sub = self.sub(invoice.subscription)
        if sub.status == "incomplete":
            self._end(sub, "incomplete_expired")
        self._judge(sub)

    def write_off(self, invoice: Invoice) -> None:
        """Somebody marks an open invoice uncollectible."""
        self.say(f"{invoice.id} of {invoice.subscription} is written off")
        invoice.status, invoice.written_off_at = "uncollectible", self.now
        self._drop_debits(invoice)
        self._tell("invoice.marked_uncollectible", invoice.id)
        sub = self.sub(invoice.subscription)
        if sub.status == "incomplete" or (sub.status == "paused" and invoice.reason == "subscription_update"):
            self._become(sub, "active")
        self._judge(sub)

    @staticmethod
    def _drop_debits(invoice: Invoice) -> None:
        for payment in invoice.payments:
            if payment.status == "processing":
                payment.status, payment.decides_at = "failed", None

    def change_card(self, sub: Subscription, card: Card) -> None:
        """From now on payments of this subscription go otherwise."""
        self.say(f"the card of {sub.id} is {card}")
        sub.card = card

    def give_up(self, sub: Subscription) -> None:
        """Stripe's retries are used up."""
        self.say(f"Stripe gives up on {sub.id}")
        if self.quirks.after_retries == "canceled":
            self.cancel(sub)
        elif self.quirks.after_retries == "paused":
            self.pause(sub)
        else:
            self._become(sub, self.quirks.after_retries)

    def refund(self, payment: Payment, amount: int, status: str = "succeeded") -> None:
        """Money goes back."""
        self.say(f"{amount / 100:.2f} of {payment.invoice} ({payment.amount / 100:.2f}) goes back: {status}")
        payment.refunds.append(Refund(f"re_{self._number()}", amount, status, self.now))
        self._tell("charge.refunded", f"ch_{payment.id}")
        self._tell("refund.created", payment.refunds[-1].id)

    def fail_refund(self, refund: Refund) -> None:
        """A refund fails later: the money is ours again."""
        self.say(f"{refund.id} fails")
        refund.status = "failed"
        self._tell("refund.failed", refund.id)

    def dispute(self, payment: Payment, status: str) -> None:
        """The buyer's bank asks for the money of a payment."""
        dispute = Dispute(f"dp_{self._number()}", status, self.now)
        self.say(f"{dispute.id}: {payment.invoice} is disputed ({status})")
        payment.disputes.append(dispute)
        self._tell("charge.dispute.created", dispute.id)

    def decide(self, dispute: Dispute, status: str) -> None:
        """A dispute goes on."""
        self.say(f"{dispute.id} is {status}")
        dispute.status = status
        self._tell(
            "charge.dispute." + ("closed" if status in ("won", "lost", "warning_closed") else "updated"), dispute.id
        )

    # --- changing ---

    def change(
        self,
        sub: Subscription,
        how: Change,
        *,
        price: str | None = None,
        quantity: int | None = None,
        anew: bool = False,
    ) -> None:
        """Another price or quantity of its item; `anew`: as another item in its place, with another id."""
        item = sub.items[0]
        price, quantity = price or item.price, item.quantity if quantity is None else quantity
        self.say(f"{sub.id} becomes {quantity} x {price} ({how})")
        if sub.status == "trialing":
            how = "unbilled"
        rest = (item.ends - self.now) / (item.ends - item.begins) if item.ends > item.begins else 0
        old = Line(
            item.id, item.price, item.quantity, -self._part(sub, item, rest), self.now, item.ends, proration=True
        )
        item.price, item.quantity = price, quantity
        item.changes.append((self.now, price, quantity, how))
        if anew:
            item.id = f"si_{self._number()}"
        new = Line(item.id, price, quantity, self._part(sub, item, rest), self.now, item.ends, proration=True)
        self._tell("customer.subscription.updated", sub.id)
        if how == "billed":
            self._bill(sub, "subscription_update", [old, new], at_once=sub.method != "send_invoice")
        elif how == "later":
            sub.pending += [old, new]
        elif how == "anew":
            item.begins, item.ends = self.now, self.now + MONTH
            lines = [old, *self._regular(sub)]
            self._bill(sub, "subscription_update", lines, at_once=sub.method != "send_invoice")

    @staticmethod
    def _part(sub: Subscription, item: Item, rest: float) -> int:
        return 0 if sub.free else round(PRICES[item.price] * item.quantity * rest)

    def pause(self, sub: Subscription) -> None:
        """The status becomes `paused`."""
        self.say(f"{sub.id} is paused")
        for item in sub.items:
            item.ends = self.now
        self._become(sub, "paused")

    def resume(self, sub: Subscription, *, unchanged: bool = False) -> None:
        """Resume with an invoice from now on; it stays paused until that is paid.

        Args:
            unchanged: with the period that ran before the pause, if it runs still: then there is nothing to bill.
        """
        self.say(f"{sub.id} is to go on{' as before' if unchanged else ''}")
        if unchanged and all(self.now < item.begins + MONTH for item in sub.items):
            for item in sub.items:
                item.ends = item.begins + MONTH
            self._become(sub, "active")
            return
        for item in sub.items:
            item.begins, item.ends = self.now, self.now + MONTH
        self._bill(sub, "subscription_update", self._regular(sub), at_once=True)

    def pause_collection(self, sub: Subscription, behavior: str | None) -> None:
        """Pause collection, or take that back with `None`."""
        self.say(f"collection of {sub.id}: {behavior or 'again'}")
        sub.collection = behavior  # type: ignore[assignment]
        self._tell("customer.subscription.updated", sub.id)

    # --- ending ---

    def cancel(self, sub: Subscription) -> None:
        """End it now."""
        self.say(f"{sub.id} is cancelled")
        self._end(sub, "canceled")

    def cancel_later(self, sub: Subscription, *, portal: bool) -> None:
        """End it when its period does."""
        sub.cancel_at, sub.at_period_end = max(i.ends for i in sub.items), not portal
        self.say(f"{sub.id} will end on day {(sub.cancel_at - BEGIN) / DAY:.2f}")
        self._tell("customer.subscription.updated", sub.id)

    def keep_going(self, sub: Subscription) -> None:
        """Take a planned end back."""
        self.say(f"{sub.id} will go on after all")
        sub.cancel_at, sub.at_period_end = None, False
        self._tell("customer.subscription.updated", sub.id)

    def delete_customer(self) -> None:
        """The customer is deleted, which ends everything."""
        self.say("the customer is deleted at Stripe")
        for sub in self.subscriptions:
            if sub.status not in ENDED:
                self._end(sub, "canceled")
        self.deleted = True
        self._tell("customer.deleted", "")

    def _end(self, sub: Subscription, status: str) -> None:
        sub.ended_at = self.now
        self._become(sub, status)
        for invoice in sub.invoices:
            invoice.finalizes_at = None
            if invoice.status == "open" and status == "incomplete_expired":
                self._drop_debits(invoice)
                invoice.status, invoice.voided_at = "void", self.now
                self._tell("invoice.voided", invoice.id)

    # --- time ---

    def next_moment(self) -> datetime | None:
        """When something happens by itself next."""
        return min((at for sub in self.subscriptions for at, _ in self._moments(sub)), default=None)

    def let_happen(self) -> None:
        """Whatever is due at this very time."""
        while due := [(at, act) for sub in self.subscriptions for at, act in self._moments(sub) if at <= self.now]:
            min(due, key=lambda moment: moment[0])[1]()

    def _moments(self, sub: Subscription) -> list[tuple[datetime, Callable[[], None]]]:
        moments: list[tuple[datetime, Callable[[], None]]] = []
        for invoice in sub.invoices:
            if invoice.finalizes_at is not None and invoice.status == "draft":
                moments.append((invoice.finalizes_at, lambda invoice=invoice: self.finalize(invoice)))  # type: ignore[misc]
            for payment in invoice.payments:
                if payment.decides_at is not None:
                    moments.append((payment.decides_at, lambda p=payment: self._debited(sub, p)))  # type: ignore[misc]
            if invoice.status == "open" and invoice.due_at and sub.status == "active" and invoice.failed_at is None:
                moments.append((invoice.due_at, lambda invoice=invoice: self._overdue(sub, invoice)))  # type: ignore[misc]
        if sub.status == "incomplete" and not self._under_way(sub):
            moments.append((sub.created + 23 * HOUR, lambda: self._end(sub, "incomplete_expired")))
        if sub.status in ("active", "trialing", "past_due", "unpaid"):
            if sub.cancel_at is not None:
                moments.append((sub.cancel_at, lambda: self.cancel(sub)))
            moments.append((max(i.ends for i in sub.items), lambda: self._renew(sub)))
        return moments

    @staticmethod
    def _under_way(sub: Subscription) -> bool:
        return any(p.status == "processing" for i in sub.invoices for p in i.payments)

    def _debited(self, sub: Subscription, payment: Payment) -> None:
        payment.decides_at = None
        invoice = self.invoice(payment.invoice)
        if sub.card == "bad":
            payment.status = "failed"
            self._failed(sub, invoice)
        else:
            payment.status = "succeeded"
            self._paid(invoice)

    def _overdue(self, sub: Subscription, invoice: Invoice) -> None:
        self.say(f"    {invoice.id} is overdue")
        invoice.failed_at = self.now
        self._tell("invoice.overdue", invoice.id)
        self._judge(sub)

    def _renew(self, sub: Subscription) -> None:
        self.say(f"{sub.id} begins a new period")
        for item in sub.items:
            item.begins, item.ends = item.ends, item.ends + MONTH
        if sub.status == "trialing":
            self._become(sub, "active")
        self._tell("customer.subscription.updated", sub.id)
        lines = [*sub.pending, *self._regular(sub)]
        sub.pending = []
        self._bill(sub, "subscription_cycle", lines, at_once=False)
