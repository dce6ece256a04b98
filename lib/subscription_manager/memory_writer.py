"""What one pass remembers of its customer, written under its lease; an overtaken pass writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from lib.config import Settings
from lib.database import Database, customer_memory, ledger
from lib.database.customers import remembering_customer
from lib.database.journal import Journal
from lib.database.services import remembering_services
from lib.model import Action, Catalogue, CustomerKey, Given, Mandate, Memory, RenameOrg
from lib.model.reason import Rule
from lib.policy import remembered
from lib.structs import replace
from lib.subscription_manager.news import tell_services, together, write_to_customer


class MemoryWriter:
    """Knows what the database has of one customer, and writes the difference."""

    def __init__(
        self,
        db: Database,
        journal: Journal,
        mandate: Mandate,
        settings: Settings,
        claimed: Mapping[str, Any] | None = None,
    ) -> None:
        """`claimed`: what the claim of this pass has brought along, so that it is not read once more."""
        self._recollection = customer_memory.Recollection(db, claimed)
        self._journal = journal
        self._mandate = mandate
        self._livemode = settings.livemode
        self._outlet = settings.outbox
        self._mail = settings.mail
        self._stored: Memory | None = None

    async def read(self, customer_id: str) -> tuple[Memory, Catalogue]:
        """The customer as the database has them, and what is sold."""
        await self._journal.flush()
        self._stored, catalogue = await self._recollection.load(CustomerKey.read(customer_id))
        return self._stored, catalogue

    def remember(self, memory: Memory, action: Action, given: Given) -> Memory:
        """Have written down what an action has changed; the memory with it."""
        after = remembered(memory, action, given)
        self.write(after, named=isinstance(action, RenameOrg), rule=action.rule)
        return after

    def write(self, memory: Memory, *, named: bool = False, rule: str | None = None) -> None:
        """Have the difference between memory and database written down; nothing when there is none.

        Args:
            named: the organisation was given its name just now.
            rule: why, for those who are told.
        """
        before, journal, lease = self._stored, self._journal, self._journal.lease_id
        assert before is not None
        changed = [service for service in memory.services if before.find(service.key) != service]
        if memory.known and replace(before, services=(), intents=()) != replace(memory, services=(), intents=()):
            journal.keep(remembering_customer(memory, lease, livemode=self._livemode, named=named))
            if before.known and before.email != memory.email and memory.login_id is not None:
                journal.keep(ledger.recording([self._email_note(memory)], lease))
        if changed:
            beside = together(
                write_to_customer(self._mail, self._mandate, before, memory, changed),
                tell_services(self._outlet, self._mandate, before, memory, changed, rule),
            )
            journal.keep(remembering_services(memory, changed, lease))
            if beside is not None:
                journal.keep(beside)
        self._stored = memory

    def _email_note(self, memory: Memory) -> ledger.Entry:
        return ledger.Entry(
            str(uuid4()),
            "noted",
            "email_changed",
            str(memory.key),
            rule=Rule.EMAIL_HAS_NO_CALL,
            facts={"remedy": "the panel has no call to change a login's e-mail: change it there by hand"},
            pass_id=self._mandate.pass_id,
        )
