"""What commands share: the connection, `--json`, whom a word means, questions before an act, acts on many."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import update_wrapper
from typing import Any, TypeVar

import click

from scripts.ctl_commands import show
from scripts.ctl_commands.connection import USAGE, Connection, Failed, profile

Command = TypeVar("Command", bound=Callable[..., Any])

LOOK = 1.0
"""Seconds between two looks at how far something is."""

PATIENCE = 600.0
"""Seconds after which a command looks no more; what it began goes on."""


class Said:
    """What the command line said for all commands, and the connection, made when it is needed."""

    def __init__(self, profile_name: str | None) -> None:
        self._name = profile_name
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The deployment."""
        if self._connection is None:
            self._connection = Connection(profile(self._name))
        return self._connection

    def close(self) -> None:
        """End it."""
        if self._connection is not None:
            self._connection.close()


def asks(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that gets the connection first, and `--json` as `as_json`."""

    @click.option("--json", "as_json", is_flag=True, help="Print the API's own answer.")
    @click.pass_obj
    def with_connection(said: Said, /, *arguments: Any, **options: Any) -> Any:
        return command(said.connection, *arguments, **options)

    return update_wrapper(with_connection, command)


def example(*lines: str) -> str:
    """Examples below a command's options, as they are typed."""
    return "\b\nExamples:\n" + "\n".join(f"  ./scripts/ctl {line}" for line in lines)


who = click.argument("who", metavar="WHO")
"""cus_..., sub_..., bank_transfer:K-1001, or a whole e-mail address or domain."""

yes = click.option("--yes", is_flag=True, help="Do not ask before doing it.")
reason = click.option("--reason", metavar="TEXT", help="For the ledger: why.")
limit = click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="At most so many.")


def filled(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}


# --- whom -------------------------------------------------------------------------------------------------------------


CUSTOMERS = ("cus_", "bank_transfer:", "cash_on_delivery:")
"""How the id of a customer begins."""


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom an act is about."""

    customer: str | None
    """None for a subscription that only Stripe knows yet."""
    email: str | None
    subscription: str | None = None
    """That one alone; None is everything of the customer."""

    @property
    def field(self) -> dict[str, str]:
        """The field of a request that says to whom."""
        return filled(subscriptionId=self.subscription) or filled(customerId=self.customer)

    def __str__(self) -> str:
        theirs = named(self.customer, self.email)
        return f"{self.subscription}{f' of {theirs}' if theirs else ''}" if self.subscription else theirs


def named(customer: str | None, email: str | None) -> str:
    """A customer by what is known of them: the id and the e-mail address."""
    return f"{customer} ({email})" if customer and email else customer or email or ""


def customer_id(connection: Connection, word: str) -> str:
    """The customer that a word means.

    Raises:
        Failed: nobody is meant, or several are.
    """
    return word if word.startswith(CUSTOMERS) else str(_one(connection, word)["customerId"])


def whom(connection: Connection, word: str) -> Whom:
    """Whom an act by this word would reach. An id that is not remembered here is left to the API, which asks Stripe.

    Raises:
        Failed: nobody is meant, or several are.
    """
    subscription = word if word.startswith("sub_") else None
    if subscription is None and not word.startswith(CUSTOMERS):
        one = _one(connection, word)
        return Whom(one["customerId"], one["email"])
    known = connection.get("admin/customers", identifier=word, limit=2)["data"]
    if subscription is None:
        return Whom(word, next((one["email"] for one in known if one["customerId"] == word), None))
    one = known[0] if len(known) == 1 else {"customerId": None, "email": None}
    return Whom(one["customerId"], one["email"], subscription)


def _one(connection: Connection, word: str) -> dict[str, Any]:
    """The customer of a word; a list of the API takes it as a beginning, and only the whole of it counts here."""
    field = "identifier" if word.startswith(("sub_", "org_")) else "email" if "@" in word else "domain"
    like = connection.get("admin/customers", **{field: word}, limit=50)["data"]
    found = like
    if field == "email":
        found = [one for one in like if (one["email"] or "").lower() == word.lower()]
    elif field == "domain":
        found = [one for one in like if word.lower() in one["domains"]]
    if not found:
        said = f"Nobody is known by {word}."
        if like:
            raise Failed(f"{said} What begins so (name one whole, or by its id):\n{_listed(like)}")
        raise Failed(f"{said} Look further: ./scripts/ctl customers find --help")
    if len(found) > 1:
        raise Failed(f"{word} means {len(found)} customers: name one by its id.\n{_listed(found)}")
    one: dict[str, Any] = found[0]
    return one


def _listed(found: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(f"  {one['customerId']}  {one['email'] or ''}  {' '.join(one['domains'])}" for one in found)


# --- before something is done -----------------------------------------------------------------------------------------


def confirm(question: str, *, said_yes: bool) -> None:
    """Go on only by a person's yes. The question names what would be done, and to whom.

    Raises:
        Failed: they said no, or nobody is there to ask.
    """
    if said_yes:
        return
    question = show.clean(question)
    if not sys.stdin.isatty():
        raise Failed(f"{question} Nobody is here to answer: add --yes.", USAGE)
    if not click.confirm(question, err=True):
        raise Failed("Nothing was done.")


def on_many(
    connection: Connection, route: str, body: Mapping[str, Any], what: str, *, said_yes: bool, as_json: bool
) -> None:
    """An act on all that match: how many are shown first, and exactly these are acted on; then how far it is."""
    seen = connection.post(route, {**body, "dryRun": True})
    number = seen["matches"]
    if not number:
        show.as_json(seen) if as_json else show.line("Nobody matches: nothing was done.")
        return
    some = ", ".join(map(str, seen["sample"][:5])) + (" ..." if number > len(seen["sample"][:5]) else "")
    if not as_json:
        show.line(f"{number} match: {some}")
    confirm(f"{what} {number}?", said_yes=said_yes)
    begun = connection.post(route, {**body, "expected": number, "asOf": seen["asOf"]})
    batch = begun.get("id")
    done = _follow(connection, str(batch), quiet=as_json) if batch else begun
    if as_json:
        show.as_json(done)
    else:
        show.line(
            f"Done: {number}." if done is begun or not done.get("left") else f"{done['left']} are still under way."
        )


def _follow(connection: Connection, batch: str, *, quiet: bool) -> dict[str, Any]:
    end, told = time.monotonic() + PATIENCE, None
    while True:
        progress = connection.look("admin/work", batch=batch)
        left = progress["left"]
        if not quiet and left != told:
            show.line(f"  {progress['subjects'] - left} of {progress['subjects']}")
            told = left
        if not left or time.monotonic() > end:
            return progress
        time.sleep(LOOK)


# --- after something was done -----------------------------------------------------------------------------------------


def tell_pass(done: Mapping[str, Any], about: Whom) -> None:
    """Whom it was done to, what their pass did, and how they stand.

    Raises:
        Failed: it waits for a person, or for another try.
    """
    show.line(f"{replace(about, customer=done['customerId'])}:")
    for action in done["actions"]:
        show.line(f"  {action['kind']}  {action['service'] or ''}  ({action['rule']})")
    outcome = done["outcome"]
    if not done["actions"]:
        show.line("  nothing to change")
    rows = [
        (f"{each['subscriptionId']}/{each['slot']}", each["state"], each["holds"], each["domain"],
         show.when(each["graceUntil"]))
        for each in done["services"]
    ]  # fmt: skip
    if rows:
        show.table(("service", "state", "holds", "domain", "grace until"), rows, empty="")
    if outcome["state"] == "settled":
        return
    lines = [f"{each['reason']}: {each['detail']}\n  -> {each['remedy']}" for each in outcome["problems"]]
    head = f"Parked: {outcome['reason']}" if outcome["state"] == "parked" else f"To be tried again: {outcome['error']}"
    raise Failed("\n".join([head, *lines]))


def spread(rows: Sequence[Mapping[str, Any]], *names: str) -> list[list[Any]]:
    """The named fields of each row; a name that ends in At is a time."""
    return [[show.when(row[name]) if name.endswith("At") else row[name] for name in names] for row in rows]
