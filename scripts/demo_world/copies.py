"""Somebody else to whom the same happened at another time: what both simulators and the database hold, copied.

A copy is exact but for ids, names and times, so that both sides of it are as equal as those of the model are. Times
that were written while the model's passes ran become those of its steps; all others move with the life.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scripts.sim.enhance_sim.world import Login, Member, Org, Subscription, Website
from scripts.sim.stripe_sim.store import KINDS, Obj

if TYPE_CHECKING:
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.stripe_sim import StripeSim

TABLES = (
    "customers", "services", "subscriptions", "due", "events", "actions", "braked", "orders", "order_steps", "payments",
    "refunds", "disputes",
)  # fmt: skip
"""Whatever the database may hold of somebody."""

_STRIPE = r"\b[a-z]+(?:_test)?_1Sim\d{8}\b"
_UUID = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)"
_UNIX = r"(?<=[ \[])(?:1[5-9]|2[0-4])\d{8}(?=[,}\]])"
_NUMBER = r'(?<="panel_subscription_id": )\d+|(?<="subscription_id": )\d+'
"""The panel's number of a hosting subscription, in JSON."""

_NAMES = re.compile(f"{_STRIPE}|{_UUID}")
_OF_NOBODY = ("prod",)
"""Kinds of Stripe's objects that belong to no customer."""

UNIX_DIGITS = 10
_KIND = {prefix: kind for kind, (prefix, _) in KINDS.items()}


@dataclass
class Round:
    """A time in which passes ran for the models, and how many seconds ago that was in their lives."""

    began: datetime
    ended: datetime
    ago: float
    for_all: bool = False
    """Whether it was at that time for everybody, however much earlier their lives began."""


@dataclass
class Original:
    """Everything that there is of one model."""

    name: str
    email: str
    domain: str
    rounds: list[Round] = field(default_factory=list)
    objects: list[Obj] = field(default_factory=list)
    session_lines: dict[str, list[Obj]] = field(default_factory=dict)
    events: list[Obj] = field(default_factory=list)
    orgs: list[Org] = field(default_factory=list)
    logins: list[Login] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    hostings: list[Subscription] = field(default_factory=list)
    sites: list[Website] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    elsewhere: bool = False
    """Whether somebody else has the domain in the panel."""

    def ids(self) -> set[str]:
        """By which its rows are known."""
        return {one["id"] for one in (*self.objects, *self.events)} | {org.id for org in self.orgs}

    @cached_property
    def parts(self) -> list[str]:
        """All of it as JSON, cut where a copy differs: every second part is an id, a name or a time."""
        rows = {
            table: [{name: value for name, value in row.items() if name != "body"} for row in rows]
            for table, rows in self.rows.items()
        }
        panel: dict[str, list[Any]] = {
            "orgs": self.orgs, "logins": self.logins, "members": self.members, "hostings": self.hostings,
            "sites": self.sites,
        }  # fmt: skip
        whole = {
            "objects": self.objects,
            "lines": self.session_lines,
            "events": self.events,
            "panel": {name: [asdict(one) for one in things] for name, things in panel.items()},
            "rows": rows,
        }
        own = "|".join(re.escape(text) for text in (self.email, self.domain, self.name))
        return re.split(f"({_STRIPE}|{_UUID}|{_TIME}|{_UNIX}|{_NUMBER}|{own})", json.dumps(whole))


def take_rows(originals: Sequence[Original], tables: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Give each model the rows that speak of it, of whole tables."""
    named = {table: [(row, _named(row)) for row in rows] for table, rows in tables.items()}
    for original in originals:
        known = original.ids()
        for _ in range(2):  # steps and payments name an order by an id of ours
            original.rows = {table: [row for row, names in rows if known & names] for table, rows in named.items()}
            known |= {row["order_id"] for row in original.rows["orders"]}


def _named(row: Mapping[str, Any]) -> set[str]:
    return set(_NAMES.findall(json.dumps({name: value for name, value in row.items() if name != "body"})))


@dataclass
class Target:
    """Where copies go."""

    stripe: StripeSim
    panel: EnhanceSim
    chance: random.Random
    now: datetime
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {table: [] for table in TABLES})
    events: list[Obj] = field(default_factory=list)


class Copy:
    """One copy in the making."""

    def __init__(
        self, original: Original, target: Target, keep: Iterable[str], *, name: str, domain: str, earlier: timedelta
    ) -> None:
        self._original, self._target, self._domain = original, target, domain
        self._earlier = earlier
        self._known = {one: one for one in keep}
        self._known |= {original.email: f"office@{domain}", original.domain: domain, original.name: name}

    def make(self) -> None:
        """Put everything in its place, but rows and events, which `target` collects for one order of all."""
        self._learn_orders()
        self._learn_hostings()
        parts = list(self._original.parts)
        parts[1::2] = [self._known.get(part) or self._learn(part) for part in parts[1::2]]
        made = json.loads("".join(parts))
        self._fill_stripe(made)
        self._fill_panel(made["panel"])
        self._fill_rows(made)

    # --- where it goes ---

    def _fill_stripe(self, made: Mapping[str, Any]) -> None:
        stripe = self._target.stripe
        with stripe.lock:
            for one in made["objects"]:
                stripe.put(one)
            stripe.session_lines.update(made["lines"])
        self._target.events += made["events"]

    def _fill_panel(self, made: Mapping[str, Any]) -> None:
        world = self._target.panel.state
        with world.lock:
            for one in made["orgs"]:
                numbers = [int(self._known[str(number)]) for number in one["subscription_ids"]]
                world.take(Org(**{**one, "subscription_ids": numbers}))
            for one in made["logins"]:
                world.take(Login(**one))
            for one in made["members"]:
                world.take(Member(**one))
            for one in made["hostings"]:
                world.take(Subscription(**{**one, "id": int(self._known[str(one["id"])])}))
            for one in made["sites"]:
                world.take(Website(**one))
        if self._original.elsewhere:
            self._target.panel.reserve_domain_elsewhere(self._domain)

    def _fill_rows(self, made: Mapping[str, Any]) -> None:
        events = {event["id"]: event for event in made["events"]}
        for table, rows in made["rows"].items():
            self._target.rows[table] += rows
        for row in made["rows"]["events"]:
            event = events[row["event_id"]]
            late = timedelta(seconds=1 + self._target.chance.random() * 3)
            came = datetime.fromtimestamp(event["created"], UTC) + late
            row |= {"body": json.dumps(event), "received_at": came.isoformat()}

    # --- what it is called, and when ---

    def _learn_orders(self) -> None:
        """The ids of orders that were learnt follow from Stripe's."""
        from lib.policy.learnt import learnt_id

        for one in self._original.objects:
            if one["object"] in ("subscription", "checkout.session"):
                self._known[learnt_id(one["id"], None)] = learnt_id(self._learn(one["id"]), None)

    def _learn_hostings(self) -> None:
        for hosting in self._original.hostings:
            self._known[str(hosting.id)] = str(self._target.panel.state.next_subscription())

    def _learn(self, part: str) -> str:
        if re.fullmatch(_TIME, part):
            return self._time(part)
        if re.fullmatch(_STRIPE, part):
            new = self._stripe_id(part)
        elif re.fullmatch(_UUID, part):
            bits = f"{self._target.chance.getrandbits(128):032x}"
            new = f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-8{bits[17:20]}-{bits[20:]}"
        elif len(part) == UNIX_DIGITS:
            return str(int(part) - round(self._earlier.total_seconds()))
        else:
            new = part  # a number of the panel that is not theirs
        self._known[part] = new
        return new

    def _stripe_id(self, old: str) -> str:
        prefix = old.partition("_")[0]
        if prefix in _OF_NOBODY or prefix not in _KIND:
            return old
        return self._target.stripe.new_id(_KIND[prefix])

    def _time(self, text: str) -> str:
        when = datetime.fromisoformat(text)
        moved = (self._of_a_round(when) or when - self._earlier).isoformat(timespec="microseconds")
        return moved.replace("+00:00", "Z") if text.endswith("Z") else moved

    def _of_a_round(self, when: datetime) -> datetime | None:
        for each in self._original.rounds:
            if each.began <= when <= each.ended:
                then = self._target.now - timedelta(seconds=each.ago) + (when - each.began)
                return then if each.for_all else then - self._earlier
        return None
