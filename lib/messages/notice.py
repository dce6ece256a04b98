"""The pass of one notice: whether it is still true, whom it goes to, and handing it over, once.

Whether it was taken is known but for one case: the connection breaks, or this process dies, after the text was sent and
before the answer came. Then it is sent once more, under the same id, and no third time: somebody who is not told that
their hosting is to be switched off is worse off than somebody who is told twice.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from msgspec import Struct

from lib.config import Mail
from lib.database import customer_memory, due, notices, orders, pulses
from lib.database.connection import Connection
from lib.errors import NotFound
from lib.kinds import Context, Ended, nudge
from lib.log import get_logger
from lib.messages.mail import AnswerLost, NotNow, NotTaken, Server, ServerFails, address_of, letter, without
from lib.messages.templates import Facts, Templates
from lib.model import Claim, CustomerKey, Failed, Hold, Outcome, Service, Settled, Waits
from lib.model.money import Order
from lib.model.notice import NoticeKind, NoticeStatus, Written
from lib.model.reason import WaitReason
from lib.policy.currencies import shown
from lib.policy.notices import no_longer_true
from lib.policy.offline_lines import line_of
from lib.structs import replace

log = get_logger()

SERVER_AGAIN = timedelta(minutes=5)
"""When a mail server that fails is tried again, by one notice for all."""

LOST_AGAIN = timedelta(minutes=15)
"""When a notice whose answer was lost is sent once more: a server that is slow has its own copy out by then."""

MOST_LOST = 2
"""So often a notice may be handed over without an answer."""

LOOK_AGAIN = timedelta(minutes=1)
"""How long the customer's own pass has, that is asked whether a debt is still there."""

LONG_AGO = timedelta(minutes=2)
"""A notice that was not sent within this asks the customer's own pass once more, where only Stripe knows better."""

ASKS_FOR_MONEY = (NoticeKind.PAYMENT_FAILED, NoticeKind.SUSPENSION_SOON, NoticeKind.SUSPENDED)


async def run(claim: Claim, context: Context) -> Ended:
    """Send the notice whose id is the key, if its time has come and it is still true."""
    written = await notices.find(context.db, claim.key)
    mail = context.settings.mail
    if written is None or written.status.over:
        return Ended(Settled())
    if mail is None:  # what waits is kept, should the settings come back
        return Ended(Settled(), facts={"mail": "MAIL_URL is not set"})
    post = Post(written, mail, claim, context)
    outcome = await post.run()
    return Ended(outcome, facts={"notice": written.notice.kind.value, "became": post.became})


class Known(Struct, frozen=True):
    """What is known of a notice's subject now."""

    service: Service | None
    others: tuple[Service, ...]
    order: Order | None
    name: str | None
    email: str | None


class Post(Struct):
    """Sends one notice."""

    written: Written
    mail: Mail
    claim: Claim
    context: Context
    became: str = "waits"

    async def run(self) -> Outcome:
        """Send it.

        Raises:
            LeaseLost: somebody else has it. Retryable, Refused: Stripe can't be read.
        """
        written = self.written
        if written.status is NoticeStatus.SENDING:
            return await self._lost("the process that handed it over ended before it knew the answer")
        if written.send_at > written.at:
            return Waits(written.send_at, WaitReason.NOTICE_DATE)
        if written.erased:
            return await self._end(NoticeStatus.OBSOLETE, "the customer was erased")
        known = await self._look()
        if why := no_longer_true(written.notice, known.service, known.others, known.order, written.at):
            return await self._end(NoticeStatus.OBSOLETE, why)
        if written.notice.kind is NoticeKind.ENDING and not written.looked_again and written.age > LONG_AGO:
            return await self._look_again()
        return await self._address(known)

    # --- what is so ---

    async def _look(self) -> Known:
        """The subject as it is remembered now."""
        notice, db = self.written.notice, self.context.db
        if notice.order_id is not None:
            order = await orders.find(db, notice.order_id)
            named = (order.name, order.terms.email) if order else (None, None)
            return Known(None, (), order, *named)
        assert notice.customer is not None
        memory, _ = await customer_memory.load(db, notice.customer)
        others = tuple(service for service in memory.services if service.key != notice.service)
        return Known(memory.find(notice.service), others, None, memory.name, memory.email)

    async def _address(self, known: Known) -> Outcome:
        """Find out at Stripe to whom it goes, in which language, and where they pay."""
        customer = self.written.notice.customer
        wanted: tuple[str, ...] = ()
        if customer is not None and not customer.provider.offline:
            try:
                person = await self.context.stripe.person(customer.id)
            except NotFound:
                return await self._end(NoticeStatus.REFUSED, "Stripe does not know this customer")
            wanted = person.languages
            known = replace(known, name=person.name, email=person.email or (known.email if known.order else None))
        facts = await self._facts(known, customer)
        if facts is None:
            return await self._look_again()
        if not known.email:
            return await self._end(NoticeStatus.REFUSED, "no e-mail address is known of this customer")
        templates = Templates.of(self.mail.templates)
        language = templates.language(wanted, self.mail.language)
        return await self._send(known.email, templates, language, facts)

    async def _facts(self, known: Known, customer: CustomerKey | None) -> Facts | None:
        """What the mail says; `None`: nothing is owed any more, and the customer's own pass does not know it yet."""
        notice, service, order = self.written.notice, known.service, known.order
        if order is not None:
            amount = order.missing if notice.kind is NoticeKind.RENEWAL_DUE else order.total or order.amount
            priced = shown(amount, order.currency) if amount is not None and order.currency else None
            return Facts(known.name, order.terms.domain, notice.date, priced, order.reference)
        assert service is not None
        dated = service.grace_until if notice.kind is NoticeKind.PAYMENT_FAILED else notice.date
        deletion = service.retain_until if notice.kind is NoticeKind.ENDED else None
        facts = Facts(known.name, service.domain, dated, deletion=deletion)
        if notice.kind not in ASKS_FOR_MONEY or not (service.grace_until or Hold.UNPAID in service.holds):
            return facts
        if customer is not None and customer.provider.offline:
            return await self._offline(facts, service)
        owed = await self.context.stripe.owed(service.key.subscription_id)
        if owed:
            return replace(facts, amount=shown(owed[0].amount, owed[0].currency), url=owed[0].url)
        return facts if self.written.looked_again else None

    async def _offline(self, facts: Facts, service: Service) -> Facts:
        """What is to be paid for an offline line: its newest order."""
        line_id = line_of(service.key.subscription_id)
        line = await orders.line_of(self.context.db, line_id) if line_id else []
        waiting = [order for order in line if order.missing > 0 and not order.cancelled and order.renews]
        if not waiting or waiting[-1].currency is None:
            return facts
        order = waiting[-1]
        return replace(facts, amount=shown(order.missing, str(order.currency)), reference=order.reference)

    async def _look_again(self) -> Outcome:
        """Let the customer's own pass find out whether it is still so at Stripe; then this is asked again."""
        customer = self.written.notice.customer

        async def ask(connection: Connection) -> None:
            await notices.look_again(connection, self.written.id)
            await due.nudge(connection, [nudge("customer", str(customer))])

        await self.context.db.transact(ask)
        return Waits(self.written.at + LOOK_AGAIN, WaitReason.NOTICE_DATE)

    # --- sending ---

    async def _send(self, email: str, templates: Templates, language: str, facts: Facts) -> Outcome:
        server, db, written = Server(self.mail), self.context.db, self.written
        recipient = email
        try:
            recipient = address_of(email)
            text = templates.text(written.notice.kind, language, facts, self.mail.name or self.mail.address)
            message = letter(self.mail, recipient, text, written.id, written.at, language)
            await asyncio.to_thread(server.open, recipient)
            await notices.sending(db, written.id, self.claim.lease_id, recipient, language)
            answer = await asyncio.to_thread(server.hand_over, message)
            ended = await self._end(NoticeStatus.SENT, without(str(answer), recipient))
            await pulses.well_again(db, "mail")
            return ended
        except NotTaken as error:
            return await self._end(NoticeStatus.REFUSED, without(str(error), recipient))
        except NotNow as error:
            said = without(str(error), recipient)
            await notices.again(db, written.id, self.claim.lease_id, said)
            return Failed(f"the mail server does not take it for now: {said}")
        except ServerFails as error:
            return await self._server_fails(without(str(error), recipient))
        except AnswerLost as error:
            return await self._lost(without(str(error), recipient))
        finally:
            await asyncio.to_thread(server.close)

    async def _server_fails(self, error: str) -> Outcome:
        """Nobody's own matter: one tries again for all, and nobody is parked for it."""
        at = await self.context.db.now() + SERVER_AGAIN
        await notices.again(self.context.db, self.written.id, self.claim.lease_id, error)
        await notices.put_off(self.context.db, at)
        await pulses.tell(self.context.db, [pulses.Beat("mail", 0.0, error, 0.0)])
        log.warning("mail_server_fails", error=error, remedy="./scripts/doctor tries MAIL_URL")
        return Failed(f"the mail server fails: {error}", at=at, parks=False)

    async def _lost(self, why: str) -> Outcome:
        """Send it once more after a lost answer; after the second one leave it to a person."""
        if self.written.lost + 1 >= MOST_LOST:
            return await self._end(NoticeStatus.UNSURE, f"its answer was lost twice: {why}")
        at = await self.context.db.now() + LOST_AGAIN
        await notices.again(self.context.db, self.written.id, self.claim.lease_id, why, at=at, lost=True)
        log.warning("notice_answer_lost", why=why)
        return Waits(at, WaitReason.NOTICE_ANSWER)

    async def _end(self, status: NoticeStatus, answer: str) -> Outcome:
        self.became = status.value
        await notices.ended(self.context.db, self.written.id, self.claim.lease_id, status, answer)
        if status in (NoticeStatus.REFUSED, NoticeStatus.UNSURE):
            log.warning("notice_not_sent", notice=self.written.notice.kind.value, status=status.value, why=answer)
        return Settled()
