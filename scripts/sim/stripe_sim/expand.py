"""The `expand` parameter: ids replaced by the objects behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.sim.stripe_sim import shapes
from scripts.sim.stripe_sim.store import ApiError, Obj

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scripts.sim.stripe_sim.store import World

MAX_DEPTH = 4  # the `data` of a list counts
Tree = dict[str, Any]

# Object kind -> dotted paths of fields that hold an id and may be expanded.
EXPANDABLE: dict[str, frozenset[str]] = {
    "balance_transaction": frozenset({"source"}),
    "charge": frozenset({"balance_transaction", "customer", "payment_intent", "failure_balance_transaction"}),
    "checkout.session": frozenset({"customer", "invoice", "payment_intent", "subscription", "setup_intent"}),
    "customer": frozenset({"default_source"}),
    "dispute": frozenset({"charge", "payment_intent"}),
    "invoice": frozenset({"customer", "default_payment_method", "parent.subscription_details.subscription"}),
    "invoice_payment": frozenset({"invoice", "payment.payment_intent", "payment.charge"}),
    "payment_intent": frozenset({"customer", "latest_charge", "payment_method"}),
    "price": frozenset({"product"}),
    "product": frozenset({"default_price"}),
    "refund": frozenset({"balance_transaction", "charge", "customer", "payment_intent"}),
    "subscription": frozenset(
        {"customer", "default_payment_method", "default_source", "latest_invoice", "pending_setup_intent", "schedule"}
    ),
}


def _line_items(world: World, session: Obj) -> Obj:
    return shapes.listed(world.session_lines[session["id"]], f"/v1/checkout/sessions/{session['id']}/line_items")


def _payments(world: World, invoice: Obj) -> Obj:
    return shapes.listed(
        list(world.invoice_payments.newest_first({"invoice": invoice["id"]})),
        f"/v1/invoice_payments?invoice={invoice['id']}",
    )


def _refunds(world: World, charge: Obj) -> Obj:
    return shapes.listed(
        list(world.refunds.newest_first({"charge": charge["id"]})), f"/v1/charges/{charge['id']}/refunds"
    )


def _subscriptions(world: World, customer: Obj) -> Obj:
    live = [
        sub
        for sub in world.subscriptions.newest_first({"customer": customer["id"]})
        if sub["status"] not in ("canceled", "incomplete_expired")
    ]
    return shapes.listed(live[:10], f"/v1/customers/{customer['id']}/subscriptions", len(live) > 10)


# Fields that exist only when expanded.
INCLUDABLE: dict[tuple[str, str], Callable[[World, Obj], Obj]] = {
    ("charge", "refunds"): _refunds,
    ("checkout.session", "line_items"): _line_items,
    ("customer", "subscriptions"): _subscriptions,
    ("invoice", "payments"): _payments,
}


def expand(world: World, obj: Obj, paths: Iterable[str]) -> Obj:
    """The object with the paths expanded; what is stored stays as it is."""
    tree: Tree = {}
    for path in paths:
        parts = path.split(".")
        if len(parts) > MAX_DEPTH:
            raise ApiError(
                400, f"You cannot expand more than {MAX_DEPTH} levels of a property ({path}).", param="expand"
            )
        branch = tree
        for part in parts:
            branch = branch.setdefault(part, {})
    expanded: Obj = _expanded(world, obj, tree, "", "")
    return expanded


def _expanded(world: World, value: Any, tree: Tree, kind: str, prefix: str) -> Any:
    if not tree or value is None:
        return value
    if isinstance(value, list):
        return [_expanded(world, element, tree, kind, prefix) for element in value]
    if not isinstance(value, dict) or value.get("deleted"):
        return value
    if isinstance(value.get("object"), str):
        kind, prefix = value["object"], ""
    result = dict(value)
    for key, branch in tree.items():
        result[key] = _field(world, value, key, branch, kind, prefix)
    return result


def _field(world: World, owner: Obj, key: str, branch: Tree, kind: str, prefix: str) -> Any:
    name = prefix + key
    include = INCLUDABLE.get((kind, name))
    if include is not None:
        return _expanded(world, include(world, owner), branch, kind, "")
    current = owner.get(key)
    if name in EXPANDABLE.get(kind, ()):
        if isinstance(current, str):
            current = world.deleted_customers.get(current) or world.get(current)
        return _expanded(world, current, branch, kind, "")
    if key in owner and branch and not isinstance(current, str | int):
        return _expanded(world, current, branch, kind, name + ".")
    hint = f" You may want to try expanding 'data.{name}' instead." if kind == "list" else ""
    raise ApiError(400, f"This property cannot be expanded ({name}).{hint}", param="expand")
