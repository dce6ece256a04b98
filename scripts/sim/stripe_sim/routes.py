"""The HTTP endpoints: which parameters each takes and what it answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.sim.stripe_sim import shapes
from scripts.sim.stripe_sim.billing import ENDED
from scripts.sim.stripe_sim.delivery import PATHS, Delivery
from scripts.sim.stripe_sim.payments import Outcome, merged_metadata
from scripts.sim.stripe_sim.store import API_VERSION, ApiError, Obj, dig, missing

Handler = Callable[[Delivery, str, Obj], Obj]
EVENT_HISTORY = 30 * 86400
MAX_LIMIT, MAX_TYPES = 100, 20
PAGING = ("limit", "starting_after", "ending_before", "expand")
BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}
# List filters that must name something that exists.
REFERENCES = ("charge", "customer", "invoice", "payment_intent", "price", "product", "subscription")


@dataclass(frozen=True)
class Endpoint:
    """One method and path; `{id}` in the path is handed to the handler."""

    method: str
    pattern: re.Pattern[str]
    allowed: frozenset[str]
    run: Handler


ENDPOINTS: list[Endpoint] = []


def _endpoint(method: str, path: str, allowed: str = "") -> Callable[[Handler], Handler]:
    def register(run: Handler) -> Handler:
        pattern = re.compile(path.replace("{id}", "(?P<id>[^/]+)"))
        ENDPOINTS.append(Endpoint(method, pattern, frozenset(["expand", *allowed.split()]), run))
        return run

    return register


def find(method: str, path: str) -> tuple[Endpoint, str]:
    """The endpoint that serves a request, and the id in its path."""
    for endpoint in ENDPOINTS:
        match = endpoint.pattern.fullmatch(path) if endpoint.method == method else None
        if match is not None:
            return endpoint, match.groupdict().get("id", "")
    raise ApiError(404, f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs.")


def integer(params: Obj, name: str) -> int | None:
    """An integer parameter, or None when it is absent or emptied."""
    value = params.get(name)
    if value in (None, ""):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ApiError(400, f"Invalid integer: {value}", param=name, code="parameter_invalid_integer") from None


def needed(params: Obj, *names: str) -> None:
    """Refuse a request that lacks a required parameter."""
    for name in names:
        if params.get(name) in (None, ""):
            raise ApiError(400, f"Missing required param: {name}.", param=name, code="parameter_missing")


def page(
    sim: Delivery, kind: str, url: str, params: Obj, where: Obj | None = None, keep: Callable[[Obj], bool] | None = None
) -> Obj:
    """One page of a list, newest first."""
    limit = integer(params, "limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= MAX_LIMIT:
        edge = "greater than or equal to 1" if limit < 1 else f"less than or equal to {MAX_LIMIT}"
        raise ApiError(400, f"This value must be {edge}.", param="limit", code="parameter_invalid_integer")
    table = sim.tables[kind]
    after, before = params.get("starting_after"), params.get("ending_before")
    for name, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor is not None and cursor not in table:
            raise missing(kind, cursor, name, 400)
    walk = table.oldest_first(where, before) if before is not None else table.newest_first(where, after)
    in_time = _created(params.get("created"))
    found: list[Obj] = []
    for obj in walk:
        if in_time(obj["created"]) and (keep is None or keep(obj)):
            found.append(obj)
            if len(found) > limit:
                break
    chosen = found[:limit]
    return shapes.listed(chosen[::-1] if before is not None else chosen, url, len(found) > limit)


def _created(wanted: Any) -> Callable[[int], bool]:
    if wanted is None:
        return lambda _: True
    if not isinstance(wanted, dict):
        exact = int(wanted)
        return lambda value: value == exact
    bounds = [(BOUNDS[name], int(value)) for name, value in wanted.items() if name in BOUNDS]
    return lambda value: all(holds(value, bound) for holds, bound in bounds)


def filters(sim: Delivery, params: Obj, paths: dict[str, str]) -> Obj:
    """List filters as equalities by dotted path; one that names nothing is an error."""
    where = {}
    for name, path in paths.items():
        if name not in params:
            continue
        value = params[name]
        if name in REFERENCES and value not in sim.tables[name] and value not in sim.deleted_customers:
            raise missing(name, value, name, 400)
        where[path] = value
    return where


def _lists(kind: str, *names: str, **paths: str) -> None:
    """A plain list endpoint and the retrieve endpoint beside it."""
    url = PATHS[kind]
    by = {**{name: name for name in names}, **paths}

    def run_list(sim: Delivery, _: str, params: Obj) -> Obj:
        return page(sim, kind, url, params, filters(sim, params, by))

    def run_retrieve(sim: Delivery, obj_id: str, _: Obj) -> Obj:
        tombstone = sim.deleted_customers.get(obj_id) if kind == "customer" else None
        return tombstone or sim.get(obj_id, kind)

    _endpoint("GET", url, " ".join(["created", *PAGING, *by]))(run_list)
    _endpoint("GET", url + "/{id}")(run_retrieve)


@_endpoint("GET", "/v1/subscriptions", "customer price status created collection_method test_clock " + " ".join(PAGING))
def _list_subscriptions(sim: Delivery, _: str, params: Obj) -> Obj:
    where = filters(sim, params, {"customer": "customer", "collection_method": "collection_method"})
    filters(sim, params, {"price": "price"})
    status, price = params.get("status"), params.get("price")

    def keep(sub: Obj) -> bool:
        if price is not None and all(item["price"]["id"] != price for item in sub["items"]["data"]):
            return False
        if status in (None, ""):
            return sub["status"] not in ENDED
        return status == "all" or (sub["status"] in ENDED if status == "ended" else sub["status"] == status)

    return page(sim, "subscription", "/v1/subscriptions", params, where, keep)


@_endpoint("GET", "/v1/events", "type types created delivery_success " + " ".join(PAGING))
def _list_events(sim: Delivery, _: str, params: Obj) -> Obj:
    if "type" in params and "types" in params:
        raise ApiError(400, "You may only specify one of these parameters: type, types.", param="types")
    types = params.get("types") or ([params["type"]] if "type" in params else [])
    if len(types) > MAX_TYPES:
        raise ApiError(400, f"You may only specify up to {MAX_TYPES} types.", param="types")
    names = [re.compile(re.escape(name).replace(r"\*", ".*")) for name in types]
    success = params.get("delivery_success")
    oldest = sim.now() - EVENT_HISTORY

    def keep(event: Obj) -> bool:
        if event["created"] < oldest or (names and not any(name.fullmatch(event["type"]) for name in names)):
            return False
        return success is None or sim.is_open(event["id"]) != success

    return page(sim, "event", "/v1/events", params, None, keep)


@_endpoint("GET", "/v1/invoice_payments", "invoice payment status created " + " ".join(PAGING))
def _list_invoice_payments(sim: Delivery, _: str, params: Obj) -> Obj:
    where = filters(sim, params, {"invoice": "invoice", "status": "status"})
    payment = params.get("payment")
    if payment is not None:
        needed(payment, "type")
        if "payment_intent" in payment:
            where["payment.payment_intent"] = payment["payment_intent"]
    return page(sim, "invoice_payment", "/v1/invoice_payments", params, where)


@_endpoint("GET", "/v1/subscription_items", "subscription " + " ".join(PAGING))
def _list_items(sim: Delivery, _: str, params: Obj) -> Obj:
    needed(params, "subscription")
    if params["subscription"] not in sim.subscriptions:
        raise missing("subscription", params["subscription"], "subscription", 400)
    items = sim.subscriptions[params["subscription"]]["items"]["data"]
    ids = [item["id"] for item in items]
    start = ids.index(params["starting_after"]) + 1 if params.get("starting_after") in ids else 0
    end = start + (integer(params, "limit") or 10)
    return shapes.listed(items[start:end], "/v1/subscription_items", len(items) > end)


@_endpoint("GET", "/v1/prices", "active product type currency lookup_keys created " + " ".join(PAGING))
def _list_prices(sim: Delivery, _: str, params: Obj) -> Obj:
    where = filters(sim, params, {name: name for name in ("active", "product", "type", "currency")})
    keys = params.get("lookup_keys")
    return page(sim, "price", "/v1/prices", params, where, lambda price: not keys or price["lookup_key"] in keys)


@_endpoint("GET", "/v1/products", "active ids created " + " ".join(PAGING))
def _list_products(sim: Delivery, _: str, params: Obj) -> Obj:
    ids = params.get("ids")
    where = filters(sim, params, {"active": "active"})
    return page(sim, "product", "/v1/products", params, where, lambda product: not ids or product["id"] in ids)


@_endpoint("GET", "/v1/checkout/sessions/{id}/line_items", " ".join(PAGING))
def _list_line_items(sim: Delivery, session_id: str, params: Obj) -> Obj:
    sim.get(session_id, "checkout.session")
    lines = sim.session_lines[session_id]
    limit = integer(params, "limit") or 10
    return shapes.listed(lines[:limit], f"/v1/checkout/sessions/{session_id}/line_items", len(lines) > limit)


_lists("customer", "email")
_lists("invoice", "customer", "status", "collection_method", subscription="parent.subscription_details.subscription")
_lists("charge", "customer", "payment_intent")
_lists("payment_intent", "customer")
_lists("balance_transaction", "source", "type", "currency")
_lists("refund", "charge", "payment_intent")
_lists("dispute", "charge", "payment_intent")
_lists("checkout.session", "customer", "subscription", "payment_intent", "status")
_lists("webhook_endpoint")
# Their lists are above: the first match serves.
for _kind in ("subscription", "event", "invoice_payment", "price", "product"):
    _lists(_kind)

CUSTOMER = "address description email metadata name phone preferred_locales shipping tax_exempt invoice_settings"


def _emptied(params: Obj, names: str) -> Obj:
    """The named parameters that were sent, an empty string as the null that it means."""
    sent = {name: params[name] for name in names.split() if name in params and name != "metadata"}
    return {name: None if value == "" else value for name, value in sent.items()}


@_endpoint("POST", "/v1/customers", CUSTOMER + " payment_method source test_clock balance")
def _create_customer(sim: Delivery, _: str, params: Obj) -> Obj:
    metadata = merged_metadata({}, params.get("metadata") or {})
    return sim.create_customer(**{"metadata": metadata, **_emptied(params, CUSTOMER)})


@_endpoint("POST", "/v1/customers/{id}", CUSTOMER + " balance default_source source")
def _update_customer(sim: Delivery, customer_id: str, params: Obj) -> Obj:
    customer = sim.get(customer_id, "customer")
    metadata = merged_metadata(customer["metadata"], params.get("metadata", {}))
    return sim.update_customer(customer_id, metadata=metadata, **_emptied(params, CUSTOMER))


@_endpoint("DELETE", "/v1/customers/{id}")
def _delete_customer(sim: Delivery, customer_id: str, _: Obj) -> Obj:
    return sim.delete_customer(customer_id)


SUBSCRIPTION = (
    "items metadata cancel_at cancel_at_period_end cancellation_details collection_method days_until_due"
    " default_payment_method description off_session payment_behavior payment_settings proration_behavior trial_end"
    " trial_settings billing_cycle_anchor pause_collection automatic_tax discounts"
)


@_endpoint(
    "POST", "/v1/subscriptions", SUBSCRIPTION + " customer currency trial_period_days billing_mode backdate_start_date"
)
def _create_subscription(sim: Delivery, _: str, params: Obj) -> Obj:
    needed(params, "customer", "items")
    items = [(item.get("price", ""), int(item.get("quantity", 1))) for item in params["items"]]
    trial_days = integer(params, "trial_period_days")
    trial_end = sim.now() + trial_days * 86400 if trial_days else integer(params, "trial_end")
    plain = _emptied(params, "collection_method default_payment_method description cancel_at_period_end")
    for name in ("days_until_due", "cancel_at"):
        if name in params:
            plain[name] = integer(params, name)
    return sim.subscribe(
        params["customer"],
        items,
        "incomplete" if params.get("payment_behavior") == "default_incomplete" else "active",
        metadata=merged_metadata({}, params.get("metadata") or {}),
        trial_end=trial_end,
        payment="open" if params.get("payment_behavior") == "default_incomplete" else "paid",
        **plain,
    )


@_endpoint("POST", "/v1/subscriptions/{id}", SUBSCRIPTION)
def _update_subscription(sim: Delivery, sub_id: str, params: Obj) -> Obj:
    sub = sim.get(sub_id, "subscription")
    if sub["status"] in ENDED and set(params) - {"metadata", "cancellation_details", "expand"}:
        raise ApiError(400, "A canceled subscription can only update its cancellation_details and metadata.")
    at = sim.now()
    if "items" in params:
        bill: Outcome | None = "paid" if params.get("proration_behavior") == "always_invoice" else None
        sim.apply_items(sub_id, params["items"], bill, at)
    wanted = _emptied(params, "collection_method default_payment_method description pause_collection")
    if "metadata" in params:
        wanted["metadata"] = merged_metadata(sub["metadata"], params["metadata"])
    if "cancellation_details" in params:
        wanted["cancellation_details"] = {**sub["cancellation_details"], **params["cancellation_details"]}
    if params.get("trial_end") == "now":
        wanted["trial_end"] = at
    elif "trial_end" in params:
        wanted["trial_end"] = integer(params, "trial_end")
    if "cancel_at" in params:
        wanted["cancel_at"] = integer(params, "cancel_at")
        wanted["canceled_at"] = at if wanted["cancel_at"] else None
    sim.edit(sub, at, "customer.subscription.updated", **wanted)
    if "cancel_at_period_end" in params:
        if params["cancel_at_period_end"]:
            sim.cancel(sub_id, at_period_end=True)
        elif sub["cancel_at_period_end"]:
            sim.uncancel(sub_id)
    return sub


@_endpoint("DELETE", "/v1/subscriptions/{id}", "cancellation_details invoice_now prorate")
def _cancel_subscription(sim: Delivery, sub_id: str, _: Obj) -> Obj:
    return sim.cancel(sub_id)


@_endpoint("POST", "/v1/subscriptions/{id}/pause", "type subscription bill_for")
def _pause_subscription(sim: Delivery, sub_id: str, _: Obj) -> Obj:
    return sim.pause(sub_id)


@_endpoint("POST", "/v1/subscriptions/{id}/resume", "billing_cycle_anchor payment_behavior proration_behavior")
def _resume_subscription(sim: Delivery, sub_id: str, params: Obj) -> Obj:
    charged = params.get("payment_behavior") == "resume_on_payment_success"
    return sim.resume(sub_id, "paid" if charged else "open")


@_endpoint("POST", "/v1/invoices/{id}/pay", "forgive off_session paid_out_of_band payment_method source")
def _pay_invoice(sim: Delivery, invoice_id: str, _: Obj) -> Obj:
    return sim.pay_invoice(invoice_id)


@_endpoint("POST", "/v1/invoices/{id}/void")
def _void_invoice(sim: Delivery, invoice_id: str, _: Obj) -> Obj:
    return sim.void_invoice(invoice_id)


@_endpoint("POST", "/v1/invoices/{id}/mark_uncollectible")
def _mark_uncollectible(sim: Delivery, invoice_id: str, _: Obj) -> Obj:
    return sim.mark_uncollectible(invoice_id)


@_endpoint("POST", "/v1/invoices/{id}/finalize", "auto_advance")
def _finalize_invoice(sim: Delivery, invoice_id: str, _: Obj) -> Obj:
    return sim.finalize_invoice(invoice_id)


@_endpoint("GET", "/v1/invoices/{id}/lines", " ".join(PAGING))
def _list_invoice_lines(sim: Delivery, invoice_id: str, params: Obj) -> Obj:
    lines = sim.get(invoice_id, "invoice")["lines"]["data"]
    ids = [line["id"] for line in lines]
    start = ids.index(params["starting_after"]) + 1 if params.get("starting_after") in ids else 0
    end = start + (integer(params, "limit") or 10)
    return shapes.listed(lines[start:end], f"/v1/invoices/{invoice_id}/lines", len(lines) > end)


@_endpoint("POST", "/v1/refunds", "charge payment_intent amount reason metadata currency instructions_email")
def _create_refund(sim: Delivery, _: str, params: Obj) -> Obj:
    name = "payment_intent" if "payment_intent" in params else "charge"
    needed(params, name)
    if params[name] not in sim.tables[name]:
        raise missing(name, params[name], name)
    metadata = merged_metadata({}, params.get("metadata") or {})
    if name == "payment_intent" and sim.payment_intents[params[name]]["latest_charge"] is None:
        raise ApiError(400, f"This PaymentIntent ({params[name]}) does not have a successful charge to refund.")
    return sim.refund(params[name], integer(params, "amount"), params.get("reason"), metadata=metadata)


CHECKOUT = (
    "mode line_items success_url cancel_url return_url ui_mode client_reference_id customer customer_email"
    " customer_creation customer_update expires_at metadata subscription_data payment_intent_data consent_collection"
    " custom_fields custom_text allow_promotion_codes automatic_tax billing_address_collection locale submit_type"
    " payment_method_types payment_method_collection payment_method_options phone_number_collection discounts"
    " tax_id_collection currency invoice_creation after_expiration saved_payment_method_options origin_context"
)


@_endpoint("POST", "/v1/checkout/sessions", CHECKOUT)
def _create_checkout(sim: Delivery, _: str, params: Obj) -> Obj:
    return sim.create_checkout(**{name: value for name, value in params.items() if name != "expand"})


@_endpoint("POST", "/v1/checkout/sessions/{id}/expire")
def _expire_checkout(sim: Delivery, session_id: str, _: Obj) -> Obj:
    return sim.expire_checkout(session_id)


@_endpoint("POST", "/v1/billing_portal/sessions", "customer return_url flow_data locale configuration on_behalf_of")
def _create_portal_session(sim: Delivery, _: str, params: Obj) -> Obj:
    needed(params, "customer")
    return sim.create_portal_session(params["customer"], params.get("return_url"))


@_endpoint(
    "POST", "/v1/products", "id name active description metadata images url default_price_data tax_code unit_label"
)
def _create_product(sim: Delivery, _: str, params: Obj) -> Obj:
    needed(params, "name")
    product = sim.create_product(params.get("id"), params["name"])
    product.update(_emptied(params, "description active"), metadata=merged_metadata({}, params.get("metadata") or {}))
    return product


@_endpoint(
    "POST",
    "/v1/prices",
    "currency product product_data unit_amount recurring active lookup_key nickname metadata tax_behavior",
)
def _create_price(sim: Delivery, _: str, params: Obj) -> Obj:
    needed(params, "currency", "unit_amount")
    product = params.get("product") or sim.create_product(None, dig(params, "product_data.name") or "")["id"]
    recurring = params.get("recurring") or {}
    return sim.create_price(
        None,
        product,
        integer(params, "unit_amount") or 0,
        params["currency"],
        recurring.get("interval"),
        integer(recurring, "interval_count") or 1,
        metadata=merged_metadata({}, params.get("metadata") or {}),
        **_emptied(params, "active lookup_key nickname tax_behavior"),
    )


@_endpoint("POST", "/v1/prices/{id}", "active lookup_key nickname metadata tax_behavior transfer_lookup_key")
def _update_price(sim: Delivery, price_id: str, params: Obj) -> Obj:
    metadata = merged_metadata(sim.get(price_id, "price")["metadata"], params.get("metadata", {}))
    return sim.update_price(price_id, metadata=metadata, **_emptied(params, "active lookup_key nickname tax_behavior"))


@_endpoint("POST", "/v1/webhook_endpoints", "url enabled_events api_version description metadata connect")
def _create_webhook_endpoint(sim: Delivery, _: str, params: Obj) -> Obj:
    needed(params, "url", "enabled_events")
    endpoint = {
        "id": sim.new_id("webhook_endpoint"),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version", API_VERSION),
        "application": None,
        "created": sim.now(),
        "description": params.get("description"),
        "enabled_events": params["enabled_events"],
        "livemode": sim.livemode,
        "metadata": merged_metadata({}, params.get("metadata") or {}),
        "status": "enabled",
        "url": params["url"],
    }
    return {**sim.put(endpoint), "secret": sim.webhook_secret}


@_endpoint("GET", "/v1/balance")
def _balance(sim: Delivery, _: str, __: Obj) -> Obj:
    totals: dict[str, int] = {}
    for txn in sim.balance_transactions.values():
        totals[txn["currency"]] = totals.get(txn["currency"], 0) + txn["net"]
    pending = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in totals.items()
    ]
    return {"object": "balance", "available": [], "livemode": sim.livemode, "pending": pending}


@_endpoint("GET", "/v1/account")
def _account(sim: Delivery, _: str, __: Obj) -> Obj:
    return {"id": sim.account_id, "object": "account", "charges_enabled": True, "default_currency": "eur"}
