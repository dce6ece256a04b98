"""What is written down of Stripe once a customer is at rest, for the sweep to compare with; and late money."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from lib.config import Policy
from lib.database import Database, ledger
from lib.database.journal import Journal
from lib.database.subscriptions import Said, remembering_said
from lib.log import get_logger
from lib.model import Facts, Failed, Invoice, Mandate, Outcome, ServiceKey, Waits
from lib.model.reason import Rule
from lib.policy import closed, fingerprint, paid_after_end

log = get_logger()


class Conclusion:
    """Ends a pass that was to change something."""

    def __init__(self, db: Database, journal: Journal, mandate: Mandate, policy: Policy) -> None:
        self._db = db
        self._journal = journal
        self._mandate = mandate
        self._policy = policy

    async def note(self, facts: Facts, outcome: Outcome) -> None:
        """Remember what Stripe said, unless there is more to do."""
        if isinstance(outcome, Waits | Failed):
            return
        over = closed(facts.payer, facts.memory.closed)
        said = [Said(s, fingerprint(s, self._policy), closed=s.id in over) for s in facts.payer.subscriptions]
        changed = [s for s in said if s.is_news(facts.memory)]
        looked_at = [s.subscription for s in said if s.subscription.invoices is not None or s in changed]
        if late := [(s.id, invoice) for s in looked_at for invoice in paid_after_end(s)]:
            notes = [self._late_money(facts.payer.id, *found) for found in late]
            for note in await ledger.record(self._db, notes):
                log.warning("paid_after_end", customer=facts.payer.id, note=note)
        if changed:
            self._journal.keep(remembering_said(facts.memory, changed, self._journal.lease_id))

    def _late_money(self, customer_id: str, subscription_id: str, invoice: Invoice) -> ledger.Entry:
        """Money for what had ended; always the same fact, so that it stands in the ledger once."""
        return ledger.Entry(
            str(uuid5(NAMESPACE_URL, f"paid_after_end:{invoice.id}")),
            "noted",
            "paid_after_end",
            customer_id,
            ServiceKey(subscription_id, 1),
            rule=Rule.PAID_AFTER_END,
            facts={
                "invoice": invoice.id,
                "amount": invoice.amount_paid,
                "currency": invoice.currency,
                "paid_at": invoice.paid_at and invoice.paid_at.isoformat(),
                "remedy": "give the money back in Stripe, or sell a new subscription; this one stays ended",
            },
            pass_id=self._mandate.pass_id,
            actor=self._mandate.actor,
        )
