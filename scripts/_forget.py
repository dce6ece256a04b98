"""Erase one person's personal data on request, and say what has to be erased elsewhere by hand."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from scripts._console import actor, bridge, finish, table, when

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.database.erasure import Personal
    from lib.model import CustomerKey


def main() -> None:
    """Preview, or erase with --yes; exit code 1 when nobody is known or it is refused."""
    parser = argparse.ArgumentParser(
        prog="scripts/forget",
        description="Erases what this bridge holds of a customer: name and e-mail, names and domains in the ledger, "
        "the bodies of received events, their orders (also those that nobody paid and that have their e-mail), mails "
        "to them, domains of terminated services. An e-mail in the place of the customer erases what is held of "
        "somebody who never became one. Ids, money, numbers and dates stay, and nothing that is erased is written down "
        "again by later events and passes. Who buys again is served as before; of that only the domain is kept, for "
        "the new hosting. Without --yes it only shows what would be erased. "
        "Stripe and the panel are never touched: it says what to erase there by hand. "
        "Settings come from the environment or from .env; the environment wins.",
        epilog="Erasing twice is harmless. Exit code: 0 erased or previewed, 1 refused or unknown, 2 it could not be "
        "done, 130 Ctrl-C.",
    )
    parser.add_argument("customer", metavar="CUSTOMER|E-MAIL", help="a Stripe customer: cus_..., or an address")
    parser.add_argument("--yes", action="store_true", help="erase; there is no way back")
    parser.add_argument("--force", action="store_true", help="also while hosting of the customer exists; it stays")
    parser.add_argument("--actor", help="the name in the ledger (default: $USER)")
    options = parser.parse_args()

    finish(lambda: _forget(options), "It could not be done", "Either all of it was erased or nothing; run this again.")


async def _forget(options: argparse.Namespace) -> int:
    from lib.database import erasure
    from lib.model import CustomerKey

    async with bridge() as manager:
        await manager.ensure_schema(migrates=False)
        named = str(options.customer).strip()
        by_address = "@" in named
        whom = None if by_address else CustomerKey.read(named)
        found = await (erasure.look_by_address(manager.db, named) if whom is None else erasure.look(manager.db, whom))
        if found is None:
            print(f"This bridge holds nothing of {named!r}.", file=sys.stderr)
            return 1
        print(_held(named, found))
        if refused := _refused(found, by_address=by_address, force=options.force):
            print(f"\nRefused: {refused}", file=sys.stderr)
            return 1
        if not options.yes:
            print("\nThis is a preview: nothing was erased. Add --yes to erase; there is no way back.")
            return 0
        done = await _erase(manager, whom, named, actor(options.actor))
        if done is None:
            print("\nA pass works on them just now; nothing was erased. Run this again.", file=sys.stderr)
            return 1
        print(
            f"\nErased: {done.get('actions', 0)} facts of the ledger, {done['events']} events and"
            f" {done['orders']} orders held something."
        )
        print(_elsewhere(named, found))
        return 0


async def _erase(manager: Bridge, whom: CustomerKey | None, named: str, by: str) -> dict[str, int] | None:
    from lib.database import erasure
    from lib.policy.counted import digest, mailbox

    settings = manager.settings

    def subject(address: str) -> str:
        return digest(settings.cron_secret, mailbox(address))

    if whom is None:
        return await erasure.erase_address(manager.db, named, actor=by, subject=subject)
    return await erasure.erase(manager.db, whom, livemode=settings.livemode, actor=by, subject=subject)


def _refused(found: Personal, *, by_address: bool, force: bool) -> str | None:
    """Why they are not erased, with the remedy."""
    if found.living and not force:
        return (
            "the hosting above still exists. Let the subscription end, then wipe it for good with the"
            ' action hardDelete of /api/admin/work (docs/operate.md, "Decide by hand"); or add --force: then these'
            " services and their domains stay as they are, and everything else is erased."
        )
    if found.open_orders and (by_address or not force):
        return (
            f"{' '.join(found.open_orders)} may still be paid, and would bring it all back. A Checkout page ends within"
            " a day; an offline order is cancelled with the action cancel of /api/admin/orders."
        )
    if by_address and not found.anything:
        return f"no more is held than of {' '.join(found.others)}: forget that customer."
    return None


def _held(customer_id: str, found: Personal) -> str:
    rows = [
        ("name and e-mail", " ".join(filter(None, (found.name, found.email))), "erased"),
        ("domains of terminated services", found.domains, "erased"),
        ("facts in the ledger", found.actions, "names and domains in them erased; ids, dates and numbers stay"),
        ("orders", found.orders, "names, addresses, domains and requests erased; amounts, ids and dates stay"),
        ("received events", found.events, "their bodies emptied; ids, types and dates stay"),
        ("mails to the customer", found.notices, "to whom they went erased; what waits is not sent any more"),
        ("outgoing events", found.outgoing, "their bodies emptied; what has not been sent is not sent any more"),
    ]
    who = customer_id if "@" in customer_id else f"Customer {customer_id}"
    said = who + (f", erased before at {when(found.erased_at)}" if found.erased_at else "")
    said += "\n" + table(("HELD", "", "WHAT BECOMES OF IT"), rows)
    if found.living:
        kept = [(s.service, s.state, s.panel_subscription_id, s.domain) for s in found.living]
        said += "\n\nRemains, because it exists in the panel\n"
        said += table(("SERVICE", "STATE", "HOSTING", "DOMAIN"), kept)
    if found.others:
        said += f"\n\nThe same e-mail is that of {' '.join(found.others)}: forget them by themselves."
    return said


def _elsewhere(customer_id: str, found: Personal) -> str:
    whose = f"what a search finds for {customer_id}" if "@" in customer_id else f"customer {customer_id}"
    lines = [
        "\nTo be erased by hand, if the law does not make you keep it:",
        f"  Stripe: {whose} (its page in the Dashboard: delete, or a redaction job for payments too).",
    ]
    if found.org_id:
        lines.append(
            f"  Panel: organisation {found.org_id}" + (f" and login {found.login_id}." if found.login_id else ".")
        )
    if found.outgoing:
        lines.append("  Your own systems: what outgoing events have told them.")
    lines.append("  Elsewhere: backups of the database and of the panel, and the logs of the functions.")
    return "\n".join(lines)
