"""What the books say of one service in the words that the sentences use: who paid what, and what is owed since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.histories.books import ENDED, Change, Invoice, Item, Subscription
from tests.histories.panel import plan_id
from tests.histories.story import World

BEHIND = ("past_due", "unpaid")


@dataclass(frozen=True, slots=True)
class Facts:
    """One subscription at one time, as its books stand."""

    world: World
    sub: Subscription

    @property
    def now(self) -> datetime:
        """The present."""
        return self.world.account.now

    @property
    def item(self) -> Item:
        """Its one item."""
        return self.sub.items[0]

    @property
    def status(self) -> str:
        """Stripe's word."""
        return self.sub.status

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self.status in ENDED

    @property
    def means_something(self) -> bool:
        """Whether the mapping of its price says that it is a service."""
        mapping = self.world.product.mappings.get(self.item.price)
        return mapping is not None and mapping.kind == "service"

    def looked(self, since: datetime, until: datetime) -> bool:
        """Whether the product looked within this span."""
        return any(since <= at < until for at in self.world.product.looks)

    # --- who paid ---

    def billing(self, *, price: str | None = None, least: int = 1, since: datetime | None = None) -> list[Invoice]:
        """The invoices that bill its item: this price, at least so many, made since then; oldest first."""
        return [
            invoice
            for invoice in self.sub.invoices
            if (since is None or invoice.created >= since)
            and any(
                line.amount >= 0 and line.quantity >= least and price in (None, line.price) for line in invoice.lines
            )
        ]

    def paid_for(self, slot: int) -> bool:
        """Whether money ever came that bought the service of this number (nothing to pay is paid, too)."""
        return any(i.status == "paid" and i.buys for i in self.billing(least=slot)) or self.given(slot)

    def paid_a_period(self, slot: int) -> bool:
        """Whether it was for a period as such, and more than nothing; or for more of what was paid so."""
        periods = [
            i for i in self.billing()
            if i.status == "paid" and i.amount > 0 and any(not line.proration for line in i.lines)
        ]  # fmt: skip
        return bool(periods) and any(i.status == "paid" and i.amount > 0 for i in self.billing(least=slot))

    def given(self, slot: int) -> bool:
        """Whether so many were agreed on without a bill of their own, by somebody who had paid before."""
        agreed = any(quantity >= slot and how in ("unbilled", "later") for _, _, quantity, how in self.item.changes[1:])
        return slot > 1 and agreed

    def on_trust(self) -> bool:
        """Whether it may be on before its first money: a trial, or a debit that was on its way where that is enough."""
        return self.sub.trial_end is not None or (self._trusted and any(p.debit for p in self.sub.invoices[0].payments))

    def on_its_way(self, slot: int) -> bool:
        """Whether the first payment, which buys so many, is on its way where that is enough."""
        first = self.sub.invoices[0]
        enough = any(line.quantity >= slot for line in first.lines)
        return self._trusted and enough and any(p.status == "processing" for p in first.payments)

    @property
    def _trusted(self) -> bool:
        return bool(self.world.setting.activate_on == "processing")

    def was_made_before(self, slot: int) -> bool:
        """Whether anything of it was there before so many were bought."""
        raised = min(at for at, _, quantity, _ in self.item.changes if quantity >= slot)
        panel = self.world.panel
        return any(panel.made_at[found.id] < raised for found in panel.of(self.sub.id))

    def was_deleted(self) -> bool:
        """Whether hosting of it was deleted: more than once was bought then, and each time is paid for by itself."""
        return any(found.deleted for found in self.world.panel.of(self.sub.id))

    def paid_since(self, since: datetime) -> bool:
        """Whether any money came since then."""
        return self._paid_between(since, None)

    # --- who owes ---

    def behind_since(self, *, kindly: bool) -> datetime | None:
        """When it fell behind, if no money has come since; `None` when it is not behind.

        Args:
            kindly: it is behind no more, too, once Stripe calls it active because its last debt was voided, or because
                a bill that asked for nothing was the latest.
        """
        since: datetime | None = None
        for number, (at, status) in enumerate(self.sub.statuses):
            before = self.sub.statuses[number - 1][1] if number else ""
            if status in BEHIND:
                since = since or at
            elif since is not None and kindly and status == "active" and not self._was_written_off(since, at, before):
                since = None
            if since is not None and status not in BEHIND:
                until = self.sub.statuses[number + 1][0] if number + 1 < len(self.sub.statuses) else None
                if self._paid_between(at, until):
                    since = None
        return since

    def _was_written_off(self, since: datetime, at: datetime, before: str) -> bool:
        """Whether it became active then because something was written off: just then, or while it was paused."""
        if before == "paused":
            return any(i.written_off_at is not None and since <= i.written_off_at <= at for i in self.sub.invoices)
        return self._written_off_at(at)

    def _written_off_at(self, at: datetime) -> bool:
        written = any(i.written_off_at == at for i in self.sub.invoices)
        return written and not any(i.paid_at == at for i in self.sub.invoices)

    def was_seen_behind(self, since: datetime) -> bool:
        """Whether the product looked while it was behind."""
        until = [*(at for at, _ in self.sub.statuses[1:]), self.now]
        spans = zip(self.sub.statuses, until, strict=True)
        return any(self.looked(at, end) for (at, status), end in spans if status in BEHIND and at >= since)

    def _paid_between(self, since: datetime, until: datetime | None) -> bool:
        return any(
            i.paid_at is not None and i.buys and since <= i.paid_at and (until is None or i.paid_at < until)
            for i in self.sub.invoices
        )

    def owes_changes_only(self, behind: datetime) -> bool:
        """Whether all that was not paid since then were the bills of changes, and the period itself is paid."""
        owed = [
            i for i in self.sub.invoices if i.status in ("void", "uncollectible") and (i.failed_at or behind) >= behind
        ]
        return all(i.reason == "subscription_update" for i in owed if i.failed_at)

    def owed_from(self, behind: datetime, *, certain: bool = False) -> datetime | None:
        """Since when is owed the oldest of what was open while it was behind, and has not been paid.

        Args:
            certain: leave out what was put away if other money came, if it was the bill of a change, or if nobody saw
                it owed.
        """
        paid = [i.paid_at for i in self.sub.invoices if i.paid_at is not None and i.buys and i.paid_at >= behind]
        owed = [
            invoice.owed_from
            for invoice in self.sub.invoices
            if invoice.amount > 0 and invoice.status != "paid" and not invoice.shelved
            and invoice.owed_from is not None and invoice.owed_from <= self.now
            and (invoice.closed_at or self.now) >= behind
            and (not certain or invoice.status == "open" or (not paid and self._was_seen_owed(invoice)))
        ]  # fmt: skip
        return min(owed, default=None)

    def _was_seen_owed(self, invoice: Invoice) -> bool:
        closed, owed = invoice.closed_at, invoice.owed_from
        if closed is None or owed is None or invoice.reason == "subscription_update":
            return False
        panel = self.world.panel
        made = any(panel.made_at[found.id] < closed for found in panel.of(self.sub.id))
        return made and self.looked(owed, closed)

    def graces(self) -> tuple[timedelta, timedelta]:
        """How long something may be owed, at least and at most: a grace promised for another price may still run."""
        setting = self.world.setting
        usual = setting.policy.grace_days
        short = usual if setting.grace_days is None else setting.grace_days
        days = {short if price == "price_small" else usual for _, price, _, _ in self.item.changes}
        return timedelta(days=min(days)), timedelta(days=max(days))

    def resumed_unpaid(self) -> bool:
        """Whether it went on after a pause because a bill was written off, and nothing was paid since."""
        for number in range(len(self.sub.statuses) - 1, 0, -1):
            at, status = self.sub.statuses[number]
            if status == "active" and self.sub.statuses[number - 1][1] == "paused":
                return self._written_off_at(at) and not self._paid_between(at, None)
        return False

    # --- what the running period is paid by ---

    def running(self) -> list[Invoice]:
        """The invoices that bill the period that runs now, as such and not as a proration."""
        return [
            i for i in self.sub.invoices
            if any(not line.proration and line.begins == self.item.begins for line in i.lines)
        ]  # fmt: skip

    def nothing_owed(self) -> bool:
        """Whether the running period is paid, and no bill of a change is open besides."""
        settled = any(i.status == "paid" for i in self.running())
        return settled and not any(i.reason == "subscription_update" for i in self.sub.open)

    def something_open(self) -> bool:
        """Whether a bill is open that is about the time that runs now."""
        return any(line.begins <= self.now < line.ends for invoice in self.sub.open for line in invoice.lines)

    # --- what was changed ---

    def surplus_since(self, slot: int) -> datetime | None:
        """Since when so many are not bought any more; `None` while they are."""
        since: datetime | None = None
        for at, _, quantity, _ in self.item.changes:
            since = None if quantity >= slot else since or at
        return since

    def bought_again(self, slot: int) -> tuple[datetime, Change] | None:
        """(when, how billed) so many were bought last after the product had seen that they were not; else `None`."""
        found: tuple[datetime, Change] | None = None
        since: datetime | None = None
        for at, _, quantity, how in self.item.changes:
            if quantity < slot:
                since = since or at
            elif since is not None:
                if self.looked(since, at):
                    found = (at, how or "unbilled")
                since = None
        return found

    def given_up_unpaid(self, slot: int) -> bool:
        """Whether so many were given up and bought again since, seen or not, and the bill of that is not paid."""
        again: tuple[datetime, Change | None] | None = None
        fewer = False
        for at, _, quantity, how in self.item.changes:
            if fewer and quantity >= slot:
                again = (at, how)
            fewer = quantity < slot
        if again is None or again[1] not in ("billed", "anew"):
            return False
        return not any(invoice.status == "paid" for invoice in self.billing(least=slot, since=again[0]))

    def was_there_before(self, slot: int, at: datetime) -> bool:
        """Whether so many had been made by then, whatever became of them."""
        return sum(self.world.panel.made_at[found.id] < at for found in self.world.panel.of(self.sub.id)) >= slot

    def unsettled(self) -> bool:
        """Whether any bill is not paid, whatever became of it."""
        return any(i.status != "paid" for i in self.sub.invoices)

    def paid_means_something(self) -> bool:
        """Whether the mapping of what was last paid for says that it is a service."""
        paid = [line.price for i in self.billing() if i.status == "paid" for line in i.lines if line.amount >= 0]
        mapping = self.world.product.mappings.get(paid[-1]) if paid else None
        return not paid or (mapping is not None and mapping.kind == "service")

    def plans_paid_for(self) -> set[int]:
        """The plans of every price that was ever paid for."""
        paid = {line.price for i in self.billing() if i.status == "paid" for line in i.lines if line.amount >= 0}
        mappings = [self.world.product.mappings.get(price) for price in paid]
        return {plan_id(mapping.plan) for mapping in mappings if mapping is not None and mapping.plan is not None}

    def was_seen_as_it_is(self) -> bool:
        """Whether the product looked between its last change and the edit that took its price's meaning away."""
        edited = self.world.edited.get(self.item.price)
        return edited is not None and self.looked(self.item.changes[-1][0], edited)

    def changed(self) -> tuple[datetime, Change, int] | None:
        """(when, how billed, number) of the change that made the price what it is; `None` if it always was."""
        changes = self.item.changes
        for number in range(len(changes) - 1, 0, -1):
            at, price, _, how = changes[number]
            if price != changes[number - 1][1]:
                return at, how or "unbilled", number
            if price != self.item.price:
                break
        return None
