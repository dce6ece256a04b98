"""Link what exists in the panel to who pays for it: preview first, and nothing in the panel is touched, ever."""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import BridgeError
from scripts._console import actor, bridge, confirmed, finish, table

if TYPE_CHECKING:
    from lib.enhance_client import Org
    from lib.model import Memory
    from lib.policy.adoption import Match, Refusal, Row, Site
    from lib.subscription_manager import SubscriptionManager

COLUMNS = ("customer_id", "email", "org_id", "subscription_id", "panel_subscription_id", "website", "domain")


def main() -> None:
    """Preview, or link with --apply; the exit code says whether anything was refused."""
    parser = argparse.ArgumentParser(
        prog="scripts/adopt",
        description="Links existing organisations and hosting subscriptions of the panel to Stripe customers, from a "
        "CSV file or by e-mail. Without --apply it only shows what would be linked, what is refused and why, and what "
        "the passes afterwards would do. Nothing is created or changed in the panel or at Stripe, ever. "
        "Settings come from the environment or from .env; the environment wins.",
        epilog="The first line of the file names its columns: customer_id or email, org_id, and optionally "
        "subscription_id (Stripe), panel_subscription_id, and website or domain. Before: PROVISIONING_MODE=shadow or "
        "paused, because in live mode whoever has paid and is not linked is provisioned anew. Linking twice is "
        "harmless. Exit code: 0 nothing was refused, 1 something was, 2 it could not be done.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE.csv", help="who is linked to what; - reads standard input")
    parser.add_argument(
        "--by-email",
        action="store_true",
        help="instead of a file: customers whose e-mail is the owner's of one organisation, and unique on both sides",
    )
    parser.add_argument("--apply", action="store_true", help="link, after you have typed yes")
    parser.add_argument("--yes", action="store_true", help="with --apply: do not ask")
    parser.add_argument(
        "--accept-plan-changes",
        action="store_true",
        help="link hosting on another plan than the one bought too; the next pass moves it",
    )
    parser.add_argument("--actor", help="the name in the ledger (default: $USER)")
    options = parser.parse_args()
    if (options.file is None) != options.by_email:
        parser.error("name a file, or --by-email, and not both")

    async def adopt() -> int:
        return await _adopt(options, "" if options.by_email else _text(options.file))

    finish(adopt, "It could not be done", "Who is linked already stays linked, each customer whole; run this again.")


class _BadFile(BridgeError):
    """The file as a whole can't be read."""


async def _adopt(options: argparse.Namespace, text: str) -> int:
    async with bridge() as manager:
        await manager.ensure_schema(migrates=False)
        how = "adopted_by_email" if options.by_email else "adopted_from_file"
        survey = _Survey(manager, accept_plan_changes=options.accept_plan_changes)
        await survey.read_panel()
        rows = await survey.by_email() if options.by_email else await survey.from_file(options.file, text)
        cases = [case async for case in survey.cases(rows)]
        refused = [*survey.refused, *((case.who, refusal) for case in cases for refusal in case.match.refusals)]
        ready = [case for case in cases if case.match.services]
        _show(cases, refused)
        if not options.apply:
            if ready:
                print("\nThis is a preview: nothing was written. Add --apply to link.")
        elif ready and (options.yes or confirmed(f"\nCustomers to be linked as shown: {len(ready)}.")):
            refused += await _link(manager, ready, actor(options.actor), how)
        elif ready:
            print("Nothing was written.")
        if refused and manager.settings.provisioning_mode == "live":
            print(
                "\nPROVISIONING_MODE is live: the next pass provisions anew who has paid and is not linked. Set it to"
                " shadow until nothing that matters is refused."
            )
        return 1 if refused else 0


async def _link(manager: SubscriptionManager, ready: Sequence[_Case], who: str, how: str) -> list[tuple[str, Refusal]]:
    from lib.database import adoption
    from lib.policy.adoption import Refusal

    refused = []
    for case in ready:
        declined = await adoption.link(
            manager.db,
            case.memory,
            case.match.services,
            livemode=manager.settings.livemode,
            actor=who,
            how=how,
        )
        if declined:
            refused.append((case.who, Refusal("changed", declined)))
    print(f"\nCustomers linked: {len(ready) - len(refused)}. They are due: the next pass looks at each.")
    if refused:
        _show_refused(refused)
    return refused


# --- who and what -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """One customer, and what was found out."""

    who: str
    org: str
    memory: Memory
    """As it is to be remembered."""
    match: Match
    ahead: tuple[str, ...]
    """What the passes afterwards would do, or what would park them."""


class _Survey:
    """Reads both sides: whole listings once, and then one customer after the other."""

    def __init__(self, manager: SubscriptionManager, *, accept_plan_changes: bool) -> None:
        self._manager = manager
        self._accept = accept_plan_changes
        self._orgs: dict[str, Org] = {}
        self._sites: dict[str, list[Site]] = {}
        self.refused: list[tuple[str, Refusal]] = []
        """What got no further than its row."""

    async def read_panel(self) -> None:
        """Everything that the panel lists of its customers, page by page."""
        from lib.policy.adoption import Site

        offset: int | None = 0
        while offset is not None:
            orgs, offset = await self._manager.enhance.orgs_page(offset)
            self._orgs.update({org.id: org for org in orgs})
        offset = 0
        while offset is not None:
            websites, offset = await self._manager.enhance.websites_page(offset)
            for site in websites:
                if not site.deleted and site.subscription_id is not None and site.domain:
                    found = Site(site.id, site.domain, site.subscription_id)
                    self._sites.setdefault(site.org_id, []).append(found)

    def _refuse(self, who: str, reason: str, detail: str) -> None:
        from lib.policy.adoption import Refusal

        self.refused.append((who, Refusal(reason, detail)))

    async def _payers(self) -> dict[str, set[str]]:
        """E-mail, in one spelling, -> the Stripe customers with a running subscription who have it."""
        from lib.policy.adoption import ADOPTABLE, spelt
        from lib.reading import Answer

        found: defaultdict[str, set[str]] = defaultdict(set)
        listing = self._manager.stripe.each("/v1/subscriptions", status="all", expand=["data.customer"])
        async for subscription in listing:
            said = Answer(subscription, f"Stripe's subscription {subscription['id']}")
            person = said.inner("customer")
            gone = person.plain("deleted") is True
            email = None if gone else person.text_or_none("email")
            if email and said.text("status") in ADOPTABLE:
                found[spelt(email)].add(person.text("id"))
        return found

    async def by_email(self) -> list[Row]:
        """A row for each e-mail that one customer and one living organisation have; the other ones are refused."""
        from lib.policy.adoption import Row, spelt

        owned: defaultdict[str, list[str]] = defaultdict(list)
        for org in self._orgs.values():
            if org.owner_email and not org.deleted:
                owned[spelt(org.owner_email)].append(org.id)
        rows = []
        for email, customers in sorted((await self._payers()).items()):
            orgs = owned.get(email, [])
            if len(customers) > 1:
                self._refuse(email, "ambiguous_email", f"customers {_and(customers)} have this e-mail; use a file")
            elif len(orgs) > 1:
                self._refuse(email, "ambiguous_email", f"organisations {_and(orgs)} have this e-mail; use a file")
            elif not orgs:
                self._refuse(email, "no_organisation", f"no organisation is owned by the e-mail of {_and(customers)}")
            else:
                rows.append(Row(next(iter(customers)), orgs[0]))
        return rows

    async def from_file(self, name: str, text: str) -> list[Row]:
        """The rows of the file; those that say too little, or nothing that can be read, are refused."""
        from lib.policy.adoption import spelt

        payers: dict[str, set[str]] | None = None
        rows = []
        for number, given in _lines(name, text):
            customer_id = given.get("customer_id") or None
            if customer_id is None and given.get("email"):
                payers = await self._payers() if payers is None else payers
                customers = payers.get(spelt(given["email"]), set())
                if len(customers) != 1:
                    detail = f"{_and(customers)} have this e-mail" if customers else "nobody who pays has this e-mail"
                    self._refuse(_line(number, given["email"]), "ambiguous_email", f"{detail}; name customer_id")
                    continue
                (customer_id,) = customers
            row = self._row(given, customer_id, _line(number, customer_id))
            if row is not None:
                rows.append(row)
        return rows

    def _row(self, given: dict[str, str], customer_id: str | None, who: str) -> Row | None:
        from lib.policy import InvalidDomain, normalise_domain
        from lib.policy.adoption import Row

        number = given.get("panel_subscription_id", "")
        typed = given.get("domain") or given.get("website") or ""
        if customer_id is None or not given.get("org_id"):
            self._refuse(who, "incomplete", "the row names no customer, or no organisation")
            return None
        if number and not (number.isascii() and number.isdigit() and int(number) < 2**31):
            self._refuse(who, "incomplete", f"panel_subscription_id {number!r} is no number of the panel")
            return None
        try:
            domain = normalise_domain(typed) if typed else None
        except InvalidDomain as error:
            self._refuse(who, "incomplete", str(error))
            return None
        return Row(
            customer_id,
            given["org_id"].lower(),
            given.get("subscription_id") or None,
            int(number) if number else None,
            domain,
            given.get("email") or None,
        )

    async def cases(self, rows: Iterable[Row]) -> AsyncIterator[_Case]:
        """Each customer of the rows, with what would be linked or why not."""
        from lib.database import adoption

        of_customer: defaultdict[str, list[Row]] = defaultdict(list)
        of_org: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            of_customer[row.customer_id].append(row)
            of_org[row.org_id].add(row.customer_id)
        owners = await adoption.owners(self._manager.db, [org_id for org_id in of_org if org_id in self._orgs])
        for customer_id, own in of_customer.items():
            claimed = of_org[own[0].org_id] - {customer_id}
            yield await self._case(customer_id, own, owners.get(own[0].org_id), claimed)

    async def _case(self, customer_id: str, rows: list[Row], owner: str | None, claimed: set[str]) -> _Case:
        from lib.database import adoption
        from lib.database import memory as memories
        from lib.errors import Incomplete, NotFound
        from lib.policy import adoption as matching
        from lib.policy import clean_name, desired, with_money_back
        from lib.subscription_manager.ask import informed

        manager = self._manager
        memory, catalogue = await memories.load(manager.db, customer_id)
        org = self._orgs.get(rows[0].org_id)
        refusal = _unfit(rows, org, memory, owner, claimed)
        if refusal is not None or org is None:
            refusals = (refusal,) if refusal else ()
            return _Case(customer_id, rows[0].org_id, memory, matching.Match(refusals=refusals), ())
        try:
            payer = await manager.stripe.payer(customer_id, memory.heard_of)
        except (NotFound, Incomplete) as error:  # of this one; the others are looked at all the same
            unknown = matching.Refusal("customer_unknown", f"Stripe does not tell of them: {error}")
            return _Case(customer_id, rows[0].org_id, memory, matching.Match(refusals=(unknown,)), ())
        subscriptions = await manager.enhance.subscriptions(org.id)
        taken = await adoption.takers(manager.db, [s.id for s in subscriptions])
        holdings = matching.Holdings(subscriptions, tuple(self._sites.get(org.id, ())), taken)
        now = await manager.db.now()
        policy = manager.settings.policy
        match = matching.match(rows, payer, memory, catalogue, holdings, policy, now, accept_plan_changes=self._accept)
        known = {service.key: service for service in memory.services}
        known.update({service.key: service for service in match.services})
        after = replace(
            memory,
            known=True,
            org_id=org.id,
            org_name=None if memory.erased else memory.org_name or clean_name(payer),
            login_id=memory.login_id or org.owner_login_id,
            member_id=memory.member_id or org.owner_member_id,
            email=None if memory.erased else payer.email,
            name=None if memory.erased else payer.name,
            welcomed=True,
            services=tuple(known.values()),
        )
        ahead: tuple[str, ...] = ()
        if match.services:
            payer, asked_at = with_money_back(payer, after), payer.as_of or now
            payer = await informed(
                manager.stripe, payer, lambda known: desired(known, after, catalogue, policy, asked_at)
            )
            actions, problems = matching.foresee(payer, after, catalogue, subscriptions, policy, asked_at)
            ahead = tuple(
                dict.fromkeys(
                    [
                        *(f"{a.kind.value} {a.service or ''}".rstrip() + f" ({a.rule})" for a in actions),
                        *(f"parked: {problem.reason}" for problem in problems),
                    ]
                )
            )
        return _Case(f"{customer_id} {payer.email or ''}".rstrip(), f"{org.name} ({org.id})", after, match, ahead)


def _unfit(
    rows: Sequence[Row], org: Org | None, memory: Memory, owner: str | None, claimed: set[str]
) -> Refusal | None:
    """Why this customer and this organisation can't belong together, whatever they have."""
    from lib.policy.adoption import Refusal

    named = {row.org_id for row in rows}
    if len(named) > 1:
        return Refusal("ambiguous", f"organisations {_and(named)} are named for one customer")
    if org is None:
        return Refusal("org_unknown", f"the panel lists no customer organisation {rows[0].org_id}")
    if org.deleted:
        return Refusal("org_deleted", f"organisation {org.id} is deleted")
    if owner is not None and owner != memory.customer_id:
        return Refusal("org_linked", f"organisation {org.id} is linked to {owner}")
    if claimed:
        return Refusal("ambiguous", f"organisation {org.id} is named for {_and(claimed)} as well")
    if memory.org_id is not None and memory.org_id != org.id:
        return Refusal("customer_linked", f"the customer has organisation {memory.org_id}")
    if org.owner_login_id is None or org.owner_member_id is None:
        return Refusal("no_owner", f"organisation {org.id} has no owner; give it one in the panel")
    return None


def _text(name: str) -> str:
    """The file, with or without the mark that spreadsheets put before it."""
    raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _BadFile(f"{name}: it is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from None
    if "\0" in text:
        raise _BadFile(f"{name}: line {text[: text.index(chr(0))].count(chr(10)) + 1} holds a NUL byte")
    return text


def _lines(name: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and fields of each line that says anything."""
    lines = csv.DictReader(text.splitlines(), skipinitialspace=True)
    try:
        heads = [head.strip().lower() for head in lines.fieldnames or []]
        wrong = [f"unknown column {head!r}" for head in heads if head not in COLUMNS]
        wrong += [f"column {head!r} stands there twice" for head in heads if heads.count(head) > 1]
        if "org_id" not in heads or not {"customer_id", "email"} & set(heads):
            wrong.append("customer_id or email, and org_id are needed")
        if wrong:
            columns = ", ".join(COLUMNS)
            raise _BadFile(f"{name}: {wrong[0]}; the first line names columns, between commas, from: {columns}")
        lines.fieldnames = heads
        for line in lines:
            given = {key: value.strip() for key, value in line.items() if isinstance(value, str)}
            if any(given.values()):
                yield lines.line_num, given
    except csv.Error as error:
        raise _BadFile(f"{name}: line {lines.line_num + 1}: {error}") from None


def _line(number: int, who: str | None) -> str:
    return f"line {number} {who or ''}".rstrip()


def _and(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


# --- for people -------------------------------------------------------------------------------------------------------


def _show(cases: Sequence[_Case], refused: Sequence[tuple[str, Refusal]]) -> None:
    rows = [
        (case.who, case.org, service.key, service.panel_subscription_id, service.plan, service.domain, ahead)
        for case in cases
        for service in case.match.services
        for ahead in ["; ".join(case.ahead) or "nothing"]
    ]
    if rows:
        print("To be linked")
        heads = ("CUSTOMER", "ORGANISATION", "BOUGHT", "HOSTING", "PLAN", "WEBSITE", "PASSES AFTERWARDS WOULD")
        print(table(heads, rows))
    linked = [case for case in cases if case.match.linked and not case.match.refusals]
    if linked:
        print("\nLinked already")
        print(table(("CUSTOMER", "BOUGHT"), [(case.who, ", ".join(map(str, case.match.linked))) for case in linked]))
    if refused:
        _show_refused(refused)
    ready = sum(bool(case.match.services) for case in cases)
    print(f"\nCustomers: {ready} to be linked, {len(linked)} linked already, {len(refused)} refused.")


def _show_refused(refused: Sequence[tuple[str, Refusal]]) -> None:
    print("\nRefused")
    print(table(("WHO", "REASON", "WHY"), [(who, refusal.reason, refusal.detail) for who, refusal in refused]))
