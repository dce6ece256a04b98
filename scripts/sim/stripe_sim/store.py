"""What the simulated Stripe account holds: objects by id, kept in listing order and indexed, and its events."""

from __future__ import annotations

import bisect
import copy
import functools
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Obj = dict[str, Any]
Position = tuple[int, int, str]
F = TypeVar("F", bound="Callable[..., Any]")

API_VERSION = "2026-10-28.endive"

# Object kind -> id prefix, and the fields its lists are filtered by often enough to deserve an index.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "product": ("prod", ()),
    "price": ("price", ("product",)),
    "customer": ("cus", ("email",)),
    "subscription": ("sub", ("customer",)),
    "subscription_item": ("si", ()),
    "invoice": ("in", ("customer", "parent.subscription_details.subscription")),
    "line_item": ("il", ()),
    "invoice_payment": ("inpay", ("invoice", "payment.payment_intent")),
    "payment_intent": ("pi", ("customer",)),
    "charge": ("ch", ("customer", "payment_intent")),
    "balance_transaction": ("txn", ("source",)),
    "refund": ("re", ("charge", "payment_intent")),
    "dispute": ("du", ("charge", "payment_intent")),
    "checkout.session": ("cs", ("customer", "subscription", "payment_intent")),
    "billing_portal.session": ("bps", ()),
    "webhook_endpoint": ("we", ()),
    "event": ("evt", ()),
}


class ApiError(Exception):
    """An answer other than success, with Stripe's error body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: Obj = {"error": {"type": kind, "message": message}}
        if code is not None:
            self.body["error"]["code"] = code
            self.body["error"]["doc_url"] = f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"
        if param is not None:
            self.body["error"]["param"] = param


def missing(kind: str, obj_id: object, param: str = "id", status: int = 404) -> ApiError:
    """The error for an id that names nothing: 404 for the object itself, 400 for one mentioned in a parameter."""
    name = {"checkout.session": "checkout.session", "subscription_item": "subscription item"}.get(kind, kind)
    return ApiError(status, f"No such {name}: '{obj_id}'", code="resource_missing", param=param)


def dig(obj: Any, path: str) -> Any:
    """The value at a dotted path, or None where it ends early."""
    for part in path.split("."):
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj


def difference(old: Obj, new: Obj) -> Obj:
    """What `previous_attributes` says: old values of changed keys, hashes in part, lists whole."""
    changed: Obj = {}
    for key in [*old, *(key for key in new if key not in old)]:
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        both = isinstance(was, dict) and isinstance(now, dict)
        changed[key] = difference(was, now) if both else was  # type: ignore[arg-type]
    return changed


def locked(verb: F) -> F:
    """Run a verb under the simulator's one lock."""

    @functools.wraps(verb)
    def under_lock(self: World, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return verb(self, *args, **kwargs)

    return cast("F", under_lock)


class Table(dict[str, Obj]):
    """Objects of one kind by id, with the order and the indexes that lists need."""

    def __init__(self, indexed: Sequence[str] = ()) -> None:
        super().__init__()
        self._fields = tuple(indexed)
        self._order: list[Position] = []
        self._position: dict[str, Position] = {}
        self._index: dict[str, dict[Any, list[Position]]] = {field: {} for field in self._fields}
        self._filed_under: dict[str, tuple[Any, ...]] = {}
        self._inserted = 0

    def put(self, obj: Obj) -> None:
        """Insert the object, or file it anew after a change."""
        obj_id: str = obj["id"]
        self[obj_id] = obj
        created: int = obj.get("created") or 0
        known = self._position.get(obj_id)
        under = tuple([dig(obj, field) for field in self._fields])
        if known is not None and known[0] == created and self._filed_under[obj_id] == under:
            return
        if known is not None:
            self._unfile(known)
        else:
            self._inserted += 1
        position = (created, self._inserted if known is None else known[1], obj_id)
        self._position[obj_id] = position
        self._filed_under[obj_id] = under
        bisect.insort(self._order, position)
        for field, value in zip(self._fields, under, strict=True):
            if value is not None:
                bisect.insort(self._index[field].setdefault(value, []), position)

    def drop(self, obj_id: str) -> None:
        """Remove the object."""
        self._unfile(self._position.pop(obj_id))
        del self._filed_under[obj_id]
        del self[obj_id]

    def newest_first(self, where: dict[str, Any] | None = None, after: str | None = None) -> Iterator[Obj]:
        """Objects from the newest on, or from the one that follows `after`; `where` holds equalities by dotted path."""
        positions, rest = self._narrowed(where or {})
        end = bisect.bisect_left(positions, self._position[after]) if after is not None else len(positions)
        return self._walk(positions, range(end - 1, -1, -1), rest)

    def oldest_first(self, where: dict[str, Any] | None = None, after: str | None = None) -> Iterator[Obj]:
        """The same the other way round."""
        positions, rest = self._narrowed(where or {})
        start = bisect.bisect_right(positions, self._position[after]) if after is not None else 0
        return self._walk(positions, range(start, len(positions)), rest)

    def _narrowed(self, where: dict[str, Any]) -> tuple[list[Position], dict[str, Any]]:
        best: tuple[list[Position], str] | None = None
        for field in self._fields:
            if field in where:
                hits = self._index[field].get(where[field], [])
                if best is None or len(hits) < len(best[0]):
                    best = (hits, field)
        if best is None:
            return self._order, where
        return best[0], {field: value for field, value in where.items() if field != best[1]}

    def _walk(self, positions: list[Position], steps: range, where: dict[str, Any]) -> Iterator[Obj]:
        for step in steps:
            obj = self[positions[step][2]]
            if all(dig(obj, field) == value for field, value in where.items()):
                yield obj

    def _unfile(self, position: Position) -> None:
        del self._order[bisect.bisect_left(self._order, position)]
        for field, value in zip(self._fields, self._filed_under[position[2]], strict=True):
            if value is not None:
                filed = self._index[field][value]
                del filed[bisect.bisect_left(filed, position)]


class World:
    """The account: tables, clock, ids and events; the verbs of the subclasses change it."""

    def __init__(
        self,
        secret_key: str = "sk_test_fake",  # noqa: S107
        webhook_secret: str = "whsec_fake",  # noqa: S107
        livemode: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.secret_key = secret_key
        self.webhook_secret = webhook_secret
        self.livemode = livemode
        self.clock = clock
        self.account_id = "acct_sim"
        self.late_balance_transactions = False
        self.tax_rate = Decimal("0.20")  # what automatic tax takes everywhere
        self.promotion_codes: dict[str, Decimal] = {}  # percent off the first bill
        self.exchange: dict[
            str, tuple[str, Decimal]
        ] = {}  # currency -> what the balance keeps it in, and at which rate
        self.lock = threading.RLock()
        self.tables = {kind: Table(indexed) for kind, (_, indexed) in KINDS.items()}
        self.products = self.tables["product"]
        self.prices = self.tables["price"]
        self.customers = self.tables["customer"]
        self.subscriptions = self.tables["subscription"]
        self.invoices = self.tables["invoice"]
        self.invoice_payments = self.tables["invoice_payment"]
        self.payment_intents = self.tables["payment_intent"]
        self.charges = self.tables["charge"]
        self.balance_transactions = self.tables["balance_transaction"]
        self.refunds = self.tables["refund"]
        self.disputes = self.tables["dispute"]
        self.sessions = self.tables["checkout.session"]
        self.portal_sessions = self.tables["billing_portal.session"]
        self.webhook_endpoints = self.tables["webhook_endpoint"]
        self.deleted_customers: dict[str, Obj] = {}
        self.session_lines: dict[str, list[Obj]] = {}
        self._requested: dict[str, Obj] = {}
        self.events: list[Obj] = []
        self.request: Obj = {"id": None, "idempotency_key": None}
        self._kind: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._open_deliveries: set[str] = set()
        self._dropped: set[str] = set()

    def now(self) -> int:
        """The account's time in unix seconds."""
        return int(self.clock())

    def new_id(self, kind: str) -> str:
        """The next id of a kind; deterministic within one simulator."""
        prefix = KINDS[kind][0]
        if kind == "checkout.session":
            prefix += "_live" if self.livemode else "_test"
        self._numbers[kind] = number = self._numbers.get(kind, 0) + 1
        return f"{prefix}_1Sim{number:08d}"

    def put(self, obj: Obj) -> Obj:
        """Store a new object, or file a changed one anew."""
        self.tables[obj["object"]].put(obj)
        self._kind[obj["id"]] = obj["object"]
        return obj

    def get(self, obj_id: str, kind: str | None = None) -> Obj:
        """The live object behind an id; of the named kind only, when one is given."""
        found = self._kind.get(obj_id)
        if found is None or (kind is not None and found != kind) or obj_id not in self.tables[found]:
            raise missing(kind or "object", obj_id)
        return self.tables[found][obj_id]

    @locked
    def set(self, obj_id: str, **fields: Any) -> Obj:
        """Overwrite fields of any object without telling anybody: no event."""
        obj = self.get(obj_id)
        obj.update(fields)
        return self.put(obj)

    @locked
    def emit(self, kind: str, obj: Obj, created: int | None = None, previous: Obj | None = None) -> Obj:
        """Append an event about the object as it is now."""
        data: Obj = {"object": copy.deepcopy(obj)}
        if previous is not None:
            data["previous_attributes"] = copy.deepcopy(previous)
        event: Obj = {
            "id": self.new_id("event"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now() if created is None else created,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": dict(self.request),
            "type": kind,
        }
        self.put(event)
        self.events.append(event)
        self._open_deliveries.add(event["id"])
        return event

    def edit(self, obj: Obj, at: int, event: str | None, **fields: Any) -> Obj:
        """Change fields and tell it with `event`, unless nothing changed."""
        before = copy.deepcopy(obj)
        obj.update(fields)
        self.put(obj)
        previous = difference(before, obj)
        if event is not None and previous:
            self.emit(event, obj, at, previous)
        return obj
