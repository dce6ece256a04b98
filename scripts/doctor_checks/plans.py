"""The mappings: that each price and each plan in them exists, and means something."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scripts.doctor_checks.finding import SHOWN, Finding, fail, listed, ok, warn

if TYPE_CHECKING:
    from lib.database import Database
    from lib.stripe_client import StripeClient


MAP_A_PRICE = (
    "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
    " VALUES ('stripe', 'price_...', 'name or id of the panel plan');"
)


async def check_plans(
    database: Database, stripe: StripeClient | None, plans: dict[int, str] | None
) -> AsyncIterator[Finding]:
    """Mappings and rules, against whichever of the two sides could be read."""
    async for finding in _without_effect(database):
        yield finding
    async for finding in _offline(database, plans):
        yield finding
    mappings = await database.rows(
        "SELECT billing_plan_id, enhance_plan_id, kind FROM plan_mappings"
        " WHERE billing_provider = 'stripe' ORDER BY billing_plan_id"
    )
    rules = await database.rows(
        "SELECT base_plan_id, addon_plan_id, min_quantity, enhance_plan_id FROM plan_rules"
        " WHERE billing_provider = 'stripe' ORDER BY base_plan_id, addon_plan_id, min_quantity"
    )
    if not mappings:
        yield fail("no price is mapped to a panel plan: whoever pays is parked", MAP_A_PRICE)
    kinds = {row["billing_plan_id"]: row["kind"] for row in mappings}
    trouble = 0
    async for finding in _of_mappings(mappings, rules, kinds, stripe, plans):
        trouble += 1
        yield finding
    if mappings and not trouble and stripe is not None and plans is not None:
        yield ok(f"all mapped prices and plans exist: {len(mappings)} mappings, {len(rules)} rules")
    if mappings and stripe is not None:
        on_sale = stripe.each("/v1/prices", active=True, type="recurring")
        strange = [price["id"] async for price in on_sale if price["id"] not in kinds]
        if strange:
            yield warn(
                f"prices on sale at Stripe without a mapping: {listed(strange)}",
                "Whoever buys one is parked as unmapped_price. Map it; with kind 'ignore' if it buys no hosting.",
            )


async def _without_effect(database: Database) -> AsyncIterator[Finding]:
    """Rows that look like mappings and match nothing: the tables tidy what is written, not what stood there before."""
    rows = await database.rows(
        r"""
        SELECT 'plan_mappings' AS "table", billing_provider AS provider, billing_plan_id AS price FROM plan_mappings
        WHERE billing_provider NOT IN ('stripe', 'bank_transfer', 'cash_on_delivery')
            OR concat_ws('|', billing_plan_id || '|', enhance_plan_id) ~ '(^|\|)\s|\s($|\|)'
        UNION ALL
        SELECT 'plan_rules', billing_provider, base_plan_id || ' with ' || addon_plan_id FROM plan_rules
        WHERE billing_provider NOT IN ('stripe', 'bank_transfer', 'cash_on_delivery') OR base_plan_id = addon_plan_id
            OR concat_ws('|', base_plan_id, addon_plan_id, enhance_plan_id) ~ '(^|\|)\s|\s($|\|)'
        ORDER BY 1, 2, 3
        """
    )
    for row in rows:
        yield fail(
            f"the row ({row['provider']!r}, {row['price']!r}) of {row['table']} has no effect",
            "Its provider is not known, or there are blanks around its ids: delete it, or type it anew.",
        )


async def _offline(database: Database, plans: dict[int, str] | None) -> AsyncIterator[Finding]:
    """What is sold without Stripe, and money of it that a person has to look after."""
    rows = await database.rows(
        "SELECT billing_provider AS provider, billing_plan_id AS plan, enhance_plan_id AS panel FROM plan_mappings"
        " WHERE billing_provider IN ('bank_transfer', 'cash_on_delivery') AND kind = 'service'"
    )
    found = (
        [_plan(f"{row['provider']} {row['plan']}", row["panel"], plans) for row in rows] if plans is not None else []
    )
    for finding in found:
        if finding is not None:
            yield finding
    if rows and plans is not None and not any(found):
        yield ok(f"sold without Stripe: {len(rows)} plans")
    row = await database.row("SELECT count(*) AS n FROM orders WHERE overpaid > 0")
    if row and row["n"]:
        yield warn(
            f"{row['n']} offline orders brought more than was owed",
            "Return it, and write that down: GET /api/admin/orders?overpaid=true, then the action return.",
        )


async def _of_mappings(
    mappings: Sequence[Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    kinds: Mapping[str, str],
    stripe: StripeClient | None,
    plans: dict[int, str] | None,
) -> AsyncIterator[Finding]:
    for row in mappings:
        price, kind = row["billing_plan_id"], row["kind"]
        if stripe is not None and (finding := await _price(price, kind, stripe)):
            yield finding
        if kind == "service" and plans is not None and (finding := _plan(price, row["enhance_plan_id"], plans)):
            yield finding
        if kind == "addon" and not any(rule["addon_plan_id"] == price for rule in rules):
            yield warn(
                f"add-on {price} has no row in plan_rules: whoever buys it is parked",
                "INSERT INTO plan_rules (base_plan_id, addon_plan_id, enhance_plan_id) VALUES (...);",
            )
    for rule in rules:
        base, addon = rule["base_plan_id"], rule["addon_plan_id"]
        name = f"the rule for {base} with {rule['min_quantity']} x {addon}"
        for price, wanted in ((base, "service"), (addon, "addon")):
            if kinds.get(price) != wanted:
                yield fail(
                    f"{name} never applies: {price} is mapped as {kinds.get(price, 'nothing')}, not {wanted}",
                    f"Add or correct the row of {price} in plan_mappings: kind '{wanted}'.",
                )
        if plans is not None and (finding := _plan(name, rule["enhance_plan_id"], plans)):
            yield finding


async def _price(price: str, kind: str, stripe: StripeClient) -> Finding | None:
    from lib.errors import BridgeError, NotFound
    from lib.policy.plan_references import PRICE_IDS

    try:
        found = await stripe.retrieve("/v1/prices", price)
    except NotFound:
        return fail(
            f"Stripe has no price {price} in this mode", f"{PRICE_IDS} Correct or delete the row in plan_mappings."
        )
    except BridgeError as error:
        return fail(f"price {price} can't be read: {error}", "Add to the key: Prices: Read.")
    if kind != "ignore" and found.get("type") != "recurring":
        return warn(
            f"price {price} is a one-time price and buys no subscription", "Map it with kind 'ignore', or use another."
        )
    if kind != "ignore" and not found.get("active"):
        return warn(
            f"price {price} is archived at Stripe: nobody can buy it any more",
            "Fine while older subscriptions have it; else delete the row in plan_mappings.",
        )
    return None


def _plan(subject: str, reference: str, plans: Mapping[int, str]) -> Finding | None:
    """What is wrong with a panel plan that a row names: an id as digits, else an exact name."""
    from lib.model import PanelPlan
    from lib.policy import plans_meant

    found = [plan.id for plan in plans_meant(reference, [PanelPlan(number, name) for number, name in plans.items()])]
    if len(found) > 1:
        ids = " or ".join(map(str, sorted(found)))
        return fail(
            f"{subject}: the panel has {len(found)} plans named {reference!r}", f"Put the id in its place: {ids}."
        )
    if not found:
        near = difflib.get_close_matches(reference, plans.values(), n=1) or sorted(plans.values())[:SHOWN]
        hint = f" The panel has {listed([repr(name) for name in near])}." if near else ""
        return fail(f"{subject}: the panel has no plan {reference!r}", f"Correct enhance_plan_id.{hint}")
    return None
