"""What a setting can be besides a text or a number."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from lib.model.provider import Provider

if TYPE_CHECKING:
    from lib.model.outgoing import OutgoingType


class Secret:
    """A value that prints as stars. `reveal()` is the only way to read it, so that each use can be found."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('********')"

    def __str__(self) -> str:
        return "********"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


class KeyScope(StrEnum):
    """How far a key of `ADMIN_API_KEY` reaches."""

    ALL = "all"
    """Everything that an operator may do."""
    READ = "read"
    """To look, and to change nothing."""
    COLLECT = "collect"
    """To see which offline orders are open, and to tell that their money came."""
    COLLECT_TRANSFERS = "collect:bank_transfer"
    """The same, of bank transfers alone."""
    COLLECT_CASH = "collect:cash_on_delivery"
    """The same, of cash on delivery alone."""
    BOUNCE = "bounce"
    """To tell that mails to customers came back."""

    @property
    def collects(self) -> frozenset[Provider] | None:
        """Whose open orders are all that it reaches; `None`: it is no scope of that kind."""
        verb, colon, of = self.partition(":")
        if verb != "collect":
            return None
        return frozenset({Provider(of)} if colon else {one for one in Provider if one.offline})


class Endpoint(Struct, frozen=True):
    """Where events for the operator's own systems go."""

    url: str
    secrets: tuple[Secret, ...]
    """Each signs; several while they are rotated."""
    types: frozenset[OutgoingType]

    @property
    def id(self) -> str:
        """Names it for good, whatever its place among the others is; it tells nothing of what the address hides."""
        return "ep_" + sha256(self.url.encode()).hexdigest()[:12]

    @property
    def shown(self) -> str:
        """The address without what may be secret in it."""
        return self.url.partition("?")[0]


class Outlet(Struct, frozen=True):
    """What outgoing events are written for. Without an endpoint there is none, and nothing is written."""

    endpoints: tuple[Endpoint, ...]
    livemode: bool
    allow_private: bool

    def __bool__(self) -> bool:
        return bool(self.endpoints)

    def find(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint of that id; `None` when the settings have it no more."""
        return next((endpoint for endpoint in self.endpoints if endpoint.id == endpoint_id), None)


class Mail(Struct, frozen=True):
    """How mails to customers go out, and what they are made of."""

    host: str
    port: int
    implicit_tls: bool
    """From the first byte (`smtps`), else by STARTTLS; never without."""
    user: str | None
    password: Secret | None
    name: str
    """Of the sender, as people see it; may be empty."""
    address: str
    days: int
    """How long before a suspension or a deletion it is told once more; 0: not."""
    language: str
    """For whom the billing side names no language that there are templates in."""
    templates: str | None
    """A folder whose templates come before our own."""

    @property
    def domain(self) -> str:
        """Of the sender's address."""
        return self.address.rpartition("@")[2]


class Span(Struct, frozen=True):
    """Hours on some days of the week, by the clock on the wall."""

    days: tuple[int, ...]
    """0 is Monday. One that goes over midnight belongs to the day on which it begins."""
    begins: timedelta
    """After that day's midnight."""
    ends: timedelta
    """After that day's midnight, so more than 24 hours where it goes over the next one; itself no part of it."""


class Window(Struct, frozen=True):
    """The hours within which suspensions for debts and deletions may happen."""

    spans: tuple[Span, ...]
    zone: str
    """As IANA calls it: Europe/Berlin."""
    holidays: tuple[date, ...] = ()
    """Days on which it stays closed, also for a span of the night before, and in their own night."""
    yearly: tuple[tuple[int, int], ...] = ()
    """The same each year: month and day."""

    def is_holiday(self, day: date) -> bool:
        """Whether it stays closed on a day."""
        return day in self.holidays or (day.month, day.day) in self.yearly


class Alarm(Struct, frozen=True):
    """Where it is told that somebody must know of something: an address, a mailbox, or both."""

    url: Secret | None
    """Who has it may write there: it is never shown."""
    format: Literal["slack", "pagerduty", "json"]
    routing_key: Secret | None
    email: str | None
    mail: Mail | None
    allow_private: bool

    @property
    def receivers(self) -> tuple[Literal["webhook", "mail"], ...]:
        """Who is told, each for itself."""
        names: tuple[tuple[Literal["webhook", "mail"], object], ...] = ("webhook", self.url), ("mail", self.email)
        return tuple(name for name, there in names if there is not None)

    @property
    def shown(self) -> str:
        """Who is told, for people; of an address its host alone."""
        return " and ".join(filter(None, (self.host, self.email)))

    @property
    def host(self) -> str | None:
        """Where the address leads to; the rest of it is secret."""
        return urlsplit(self.url.reveal()).hostname if self.url is not None else None
