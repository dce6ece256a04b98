"""The command line. Needs no package, so that `--help` answers before anything is installed."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no public name

EXAMPLES = """examples, while a demo serves in another terminal:
  ./scripts/demo buy                              somebody buys, and has a website seconds later
  ./scripts/demo buy --email bo@example.com --domain bo.example
  ./scripts/demo order                            somebody buys by the form of your website
  ./scripts/demo fail bo@example.com              the card fails: grace; once more: suspended
  ./scripts/demo pay bo@example.com               the bill is paid: live again
  ./scripts/demo cancel bo@example.com            suspended, and kept
  ./scripts/demo comeback bo@example.com          buys again with the same domain
  ./scripts/demo dispute bo@example.com           a chargeback; --won or --lost ends it
  ./scripts/demo refund bo@example.com --amount 5.00
  ./scripts/demo transfer                         somebody pays by bank transfer, in two parts, without Stripe
  ./scripts/demo shop                             what your own systems heard; --broken, --mended
  ./scripts/demo break panel                      the panel answers nothing any more (or: break stripe)
  ./scripts/demo mend panel                       and it is back; what waited is done
  ./scripts/demo unmap                            a mapping is deleted, as by a slip; --back puts it back
  ./scripts/demo brake                            thirty cards fail at once: the brake stops the suspensions
  ./scripts/demo status                           who there is, and where to look

Exit code: 0 if everything happened as promised, 1 if not, 2 for a command line that can't be read."""

TRY = (
    "buy", "fail ada", "pay ada", "cancel ada", "comeback ada", "dispute ada", "refund ada", "break panel",
    "mend panel", "unmap", "brake", "--help",
)  # fmt: skip
"""What is suggested to whoever has just started it."""

WHO = "an e-mail address or what stands before its @, a domain, cus_... or sub_...; nobody named: the newest that fits"


def parser() -> argparse.ArgumentParser:
    """What `./scripts/demo` understands."""
    top = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Starts PostgreSQL, simulators of Stripe and of the Enhance panel, and the functions, all on "
        "127.0.0.1. Buys a hosting plan, delivers the signed events and shows how the website comes to be; then serves "
        "until Ctrl-C, and delivers whatever happens at the simulated Stripe. Needs no account, takes none of your "
        "settings and reaches nothing outside of this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--once", action="store_true", help="end after the story instead of serving until Ctrl-C")
    top.add_argument(
        "--at",
        type=Path,
        metavar="FOLDER",
        help="keep its files (log, settings) there instead of in .local; a second demo needs its own",
    )
    top.add_argument("--open", action="store_true", help="open the operators' page in a browser, if there is one")
    top.add_argument("--empty", action="store_true", help="serve with the story's customer only, without any others")
    acts = top.add_subparsers(dest="act", metavar="COMMAND", title="commands for the demo that serves")
    _buying(acts)
    _paying(acts)
    _back(acts)
    shop = _add(acts, "shop", "what your own systems heard, by signed outgoing events", who=False)
    how = shop.add_mutually_exclusive_group()
    how.add_argument("--broken", action="store_true", help="let the receiver answer 503 from now on")
    how.add_argument("--mended", action="store_true", help="let it take events again")
    _breaking(acts)
    _add(acts, "status", "who there is, how Stripe and the panel stand, and where to look")
    return top


def _buying(acts: Commands) -> None:
    buy = _add(acts, "buy", "somebody new buys a hosting plan", who=False)
    buy.add_argument("--email", help="the buyer's e-mail address (buyerN@example.com)")
    buy.add_argument("--name", help="the buyer's name (Buyer N Example)")
    buy.add_argument("--domain", help="the domain that is typed at the Checkout (shopN.example)")
    buy.add_argument(
        "--price", help="another price, such as price_big_monthly, or price_shop_monthly without a mapping"
    )
    form = _add(acts, "order", "somebody new buys by the form of your website", who=False)
    form.add_argument("--email", help="the buyer's e-mail address (buyerN@example.com)")
    form.add_argument("--name", help="the buyer's name (Buyer N Example)")
    form.add_argument("--domain", help="the domain that is typed into the form (formN.example)")
    transfer = _add(acts, "transfer", "somebody new pays by bank transfer, in two parts", who=False)
    transfer.add_argument("--email", help="the payer's e-mail address (payerN@example.com)")
    transfer.add_argument("--name", help="the payer's name (Payer N Example)")
    transfer.add_argument("--domain", help="the domain of the order (transferN.example)")
    back = _add(acts, "comeback", "a customer whose subscription ended buys again, with the same domain")
    back.add_argument("--domain", help="another domain than before")


def _paying(acts: Commands) -> None:
    _add(acts, "fail", "the card fails at the next renewal; while that is open: Stripe's last try fails as well")
    _add(acts, "pay", "everything that is open is paid")
    cancel = _add(acts, "cancel", "the subscription is cancelled")
    cancel.add_argument("--at-period-end", action="store_true", help="not now: when what is paid for is over")


def _back(acts: Commands) -> None:
    dispute = _add(acts, "dispute", "the last payment is disputed at the bank")
    how = dispute.add_mutually_exclusive_group()
    how.add_argument("--won", action="store_true", help="end the open dispute: you win")
    how.add_argument("--lost", action="store_true", help="end the open dispute: you lose")
    how.add_argument("--inquiry", action="store_true", help="only a question of the bank, which moves no money")
    refund = _add(acts, "refund", "the last payment goes back")
    refund.add_argument("--amount", type=_amount, help="a part of it, such as 5.00 (all that is left)")


def _breaking(acts: Commands) -> None:
    for name, what in (("break", "the panel or Stripe answers nothing any more"), ("mend", "it answers again")):
        side = _add(acts, name, what, who=False)
        side.add_argument("side", choices=("panel", "stripe"), help="which of the two")
    unmap = _add(acts, "unmap", "the mapping of a price is deleted, as by a slip", who=False)
    unmap.add_argument("--back", action="store_true", help="put it back")
    brake = _add(acts, "brake", "many cards fail at once, as when a bank is down: the brake stops it", who=False)
    brake.add_argument("--count", type=int, default=30, metavar="N", help="how many cards (30)")


def _add(acts: Commands, name: str, what: str, *, who: bool = True) -> argparse.ArgumentParser:
    one = acts.add_parser(name, help=what, description=f"In the demo that serves: {what}.")
    if who:
        one.add_argument("who", nargs="?", metavar="WHO", help=WHO)
    return one


def _amount(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,7})(?:\.([0-9]{1,2}))?", text.strip())
    minor = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if minor == 0:
        raise argparse.ArgumentTypeError("an amount is a number above nothing, such as 5 or 5.00")
    return minor
