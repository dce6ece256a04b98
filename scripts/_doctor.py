"""Examine a deployment from its settings alone: what is wrong, in plain words, each with its remedy. Only reads."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from lib.config import Secret, Settings
    from lib.database import Database
    from lib.stripe_client import StripeClient

SHORTEST_KEY = 24
"""Characters of a key that nobody guesses: what `openssl rand -hex 12` gives at least."""

SHOWN = 8
"""Names in one line; more would hide the remedy."""

LOCAL = ("localhost", "127.0.0.1", "::1")

STRIPE_PERMISSIONS = {
    "Subscriptions": "/v1/subscriptions",
    "Customers": "/v1/customers",
    "Invoices": "/v1/invoices",
    "Checkout Sessions": "/v1/checkout/sessions",
    "Charges and Refunds": "/v1/charges",
    "Disputes": "/v1/disputes",
    "Events": "/v1/events",
    "Prices": "/v1/prices",
}
"""What the key must be allowed to read, as Stripe's dashboard calls it, and the list call that proves it."""

PANEL_RIGHTS = {
    "customers": "/orgs/{org}/customers",
    "plans": "/orgs/{org}/plans",
    "logins of customers": "/v2/orgs/{org}/customers/logins",
    "websites": "/orgs/{org}/websites",
}
"""What the token must be allowed to list."""

SUPER_ADMIN = "In the panel: Settings > Access tokens, a token with the role SuperAdmin of your own organisation."
ANY_ADDRESS = (
    "Remove the address list of the token (Vercel calls from changing addresses), or give Vercel static IPs and "
    "list those. To run the doctor here, this machine's address must be on the list as well."
)
MAP_A_PRICE = (
    "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
    " VALUES ('stripe', 'price_...', 'name or id of the panel plan');"
)


class Verdict(IntEnum):
    """How bad it is; the worst one is the exit code."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    said: str
    remedy: str = ""


def ok(said: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, said)


def warn(said: str, remedy: str) -> Finding:
    """It works, or will, but somebody should look."""
    return Finding(Verdict.WARN, said, remedy)


def fail(said: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, said, remedy)


def main() -> None:
    """Print what was found; the exit code is the worst of it."""
    parser = argparse.ArgumentParser(
        prog="scripts/doctor",
        description="Checks the settings, the database, the Stripe key's rights, the webhook endpoint, the panel's "
        "token, and that mapped prices and plans exist on both sides. Settings come from the environment or from "
        ".env; the environment wins. Only reads: nothing is created or changed anywhere, and no secret is printed.",
        epilog="Exit code: 0 everything is fine, 1 there are warnings, 2 something does not work.",
    )
    parser.add_argument(
        "--url", help="address of the deployment, such as https://billing.example.com: its health and its own webhook"
    )
    options = parser.parse_args()

    from scripts._console import finish
    from scripts._environment import load_env_file

    async def examined() -> int:
        load_env_file()
        return await _print(os.environ, options.url)

    finish(examined, "Nothing could be examined", "Nothing was changed anywhere.")


async def _print(environ: Mapping[str, str], url: str | None) -> int:
    hide = redactor(environ)
    section = None
    worst = Verdict.OK
    counted = dict.fromkeys(Verdict, 0)
    async for title, finding in examine(environ, url):
        if title != section:
            section = title
            print(f"\n{title}", flush=True)
        print(f"  {finding.verdict.name:<4}  {hide(finding.said)}", flush=True)
        if finding.remedy:
            print(f"        -> {hide(finding.remedy)}", flush=True)
        worst = max(worst, finding.verdict)
        counted[finding.verdict] += 1
    print(f"\n{counted[Verdict.OK]} fine, {counted[Verdict.WARN]} to look at, {counted[Verdict.FAIL]} failing.")
    return int(worst)


def redactor(environ: Mapping[str, str]) -> Callable[[str], str]:
    """A function that puts stars over every secret of `environ`, whoever quoted it."""
    from lib.config import Secret, Settings

    hidden: set[str] = set()
    for setting in fields(Settings):
        if "Secret" in str(setting.type) or "secret" in setting.name:
            for part in environ.get(setting.metadata["env"], "").split(","):
                hidden |= {part.strip(), part.partition(":")[2].strip()}
    for name in ("DATABASE_URL", "DATABASE_URL_UNPOOLED"):
        with_password = environ.get(name, "").rpartition("@")[0].rpartition(":")[2]
        hidden |= {with_password, unquote(with_password)}
    stars = str(Secret(""))
    ordered = sorted((text for text in hidden if len(text) >= 4), key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in ordered:
            text = text.replace(secret, stars)
        return text

    return hide


async def examine(environ: Mapping[str, str], url: str | None = None) -> AsyncIterator[tuple[str, Finding]]:
    """Everything, section by section; what an earlier failure makes pointless is left out."""
    from lib.config import Settings
    from lib.database import Database
    from lib.errors import SettingsError
    from lib.stripe_client import StripeClient

    try:
        settings = Settings.load(environ)
    except SettingsError as error:
        remedy = "Set these in .env, in the environment, or in Vercel: Settings > Environment Variables."
        for problem in error.problems:
            yield "Settings", fail(problem, remedy if problem == error.problems[-1] else "")
        return
    for finding in _settings(settings, environ):
        yield "Settings", finding
    database = Database(settings.database_url)
    stripe = StripeClient(settings.stripe_secret_key, settings.stripe_api_base)
    try:
        found = [finding async for finding in _database(settings, database)]
        for finding in found:
            yield "Database", finding
        stripe_found = [finding async for finding in _stripe(settings, stripe)]
        for finding in stripe_found:
            yield "Stripe", finding
        key_works = any(finding.verdict is Verdict.OK for finding in stripe_found)
        if key_works:
            async for finding in _webhook(settings, stripe, url):
                yield "Webhook endpoint", finding
        if url:
            async for finding in _deployment(url):
                yield "Deployment", finding
        plans: dict[int, str] | None = None
        async for panel_finding, listed in _panel(settings):
            plans = listed if listed is not None else plans
            yield "Panel", panel_finding
        schema_there = all(finding.verdict is not Verdict.FAIL for finding in found)
        if schema_there:
            async for finding in _plans(database, stripe if key_works else None, plans):
                yield "Plans", finding
    finally:
        await stripe.close()
        await database.close()


# --- settings ---------------------------------------------------------------------------------------------------------


def _settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    known = [setting.metadata["env"] for setting in fields(settings)]
    given = [name for name in known if environ.get(name, "").strip()]
    yield ok(f"{len(given)} settings are given, all of them readable; the others have their defaults")
    for name in sorted(set(environ) - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
        if near:
            yield warn(f"{name} is no setting", f"{near[0]} is meant? Rename it.")
    keys = [("CRON_SECRET", settings.cron_secret), *((f"ADMIN_API_KEY of {n}", k) for n, k in settings.admin_keys)]
    for name, key in keys:
        if len(key.reveal()) < SHORTEST_KEY:
            yield warn(f"{name} is shorter than {SHORTEST_KEY} characters", "Make a new one: openssl rand -hex 32")
    if len({key.reveal() for _, key in keys}) < len(keys):
        yield warn("two of CRON_SECRET and the admin keys are equal", "Give each its own: openssl rand -hex 32")
    for name, address in (("ENHANCE_API_URL", settings.enhance_api_url), ("STRIPE_API_BASE", settings.stripe_api_base)):
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in LOCAL:
            yield fail(f"{name} is not encrypted: http", "Use https, or the key travels readable.")
    if settings.stripe_api_base != "https://api.stripe.com":
        said = f"STRIPE_API_BASE is {settings.stripe_api_base}, not Stripe itself"
        yield ok(said) if urlsplit(settings.stripe_api_base).hostname in LOCAL else warn(said, "Unset it.")
    match settings.provisioning_mode:
        case "shadow":
            yield warn("PROVISIONING_MODE is shadow: nothing is written to the panel", "Set it to live when ready.")
        case "paused":
            yield warn("PROVISIONING_MODE is paused: nothing is done at all", "Set it to live when ready.")


# --- database ---------------------------------------------------------------------------------------------------------


async def _database(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    from lib.database import latest_version, schema_version
    from lib.database.migrate import OWN_DATABASE, strangers
    from lib.errors import BridgeError, DatabaseUnfit

    def at_neon(url: Secret) -> tuple[bool, bool]:
        host = urlsplit(url.reveal()).hostname or ""
        return host.endswith(".neon.tech"), "-pooler." in host

    try:
        row = await database.row("SELECT current_database() AS name, current_setting('server_version') AS version")
    except BridgeError as error:
        yield fail(f"DATABASE_URL: {error}", "Nothing is remembered or done until this is mended.")
        return
    assert row is not None
    yield ok(f"PostgreSQL {row['version']} answers, database {row['name']}")
    neon, pooled = at_neon(settings.database_url)
    if neon and not pooled:
        yield warn(
            "DATABASE_URL is Neon's direct address: many functions at once run out of connections",
            "Use the pooled one: the host has -pooler in its first part.",
        )
    direct = settings.database_url_unpooled
    if direct is not None and at_neon(direct) == (True, True):
        yield warn("DATABASE_URL_UNPOOLED is a pooled address", "Use the one without -pooler in the host, or unset it.")
    try:
        applied, wanted, others = await schema_version(database), latest_version(), await strangers(database)
    except DatabaseUnfit as error:
        yield fail(f"this database can't be used: {error}", "Then ./scripts/migrate.")
        return
    if others:
        yield fail(f"another program's tables are in this database: {_listed(others)}", f"G{OWN_DATABASE[1:]}.")
    elif applied == wanted:
        yield ok(f"the schema is up to date: migration {applied}")
    elif applied < wanted:
        yield fail(
            f"the schema waits for its migrations: {applied} of {wanted} applied",
            "./scripts/migrate, or deploy again; the next drain cron does it, too.",
        )
    else:
        yield warn(f"the schema is newer than this code: {applied}, not {wanted}", "Update this checkout.")
    async for finding in _role(database):
        yield finding


async def _role(database: Database) -> AsyncIterator[Finding]:
    """What the user of the address may do."""
    import psycopg

    from lib.database.migrate import migrations
    from lib.errors import BridgeError

    tables = [table for migration in migrations() for table in migration.tables]
    rows = await database.rows(
        """
        SELECT relname AS name, pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS owned,
            has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE') AS writable
        FROM pg_class WHERE oid IN (SELECT to_regclass(quote_ident(name)) FROM unnest(%(names)s::text[]) AS name)
        ORDER BY relname
        """,
        {"names": tables},
    )
    closed = [row["name"] for row in rows if not row["writable"]]
    if closed:
        remedy = f"Use the role {rows[0]['owner']}, which owns them, or GRANT this one all rights on them."
        yield fail(f"this user may not write {_listed(closed)}", remedy)
    elif foreign := [row["name"] for row in rows if not row["owned"]]:
        remedy = f"Migrate with the role {rows[0]['owner']}: DATABASE_URL_UNPOOLED may be another role's address."
        yield warn(f"this user does not own {_listed(foreign)}, so migrations of them will fail", remedy)
    try:
        async with database.transaction() as connection, connection.transaction(force_rollback=True):
            await connection.execute("CREATE TABLE written_by_doctor ()")
    except (BridgeError, psycopg.Error) as error:
        remedy = "As the database's owner: GRANT CREATE ON SCHEMA public TO this user. On a replica nobody may."
        yield fail(f"this user may not create tables, as migrations do: {error}", remedy)
    else:
        yield ok("this user may write and migrate (tried, and rolled back)")


# --- Stripe -----------------------------------------------------------------------------------------------------------


async def _stripe(settings: Settings, stripe: StripeClient) -> AsyncIterator[Finding]:
    from lib.errors import BridgeError, Denied, Refused

    async def allowed(path: str) -> BridgeError | None:
        try:
            await stripe.get(path, limit=1)
        except BridgeError as error:
            return error
        return None

    answers = dict(
        zip(STRIPE_PERMISSIONS, await asyncio.gather(*map(allowed, STRIPE_PERMISSIONS.values())), strict=True)
    )
    for error in answers.values():
        if isinstance(error, Denied) and error.status == 401:
            yield fail(
                f"STRIPE_SECRET_KEY is not accepted: {error}",
                "Stripe: Developers > API keys. Was it rolled or deleted?",
            )
            return
        if error is not None and not isinstance(error, Denied | Refused):
            yield fail(f"Stripe can't be reached: {error}", "Try again; then see https://status.stripe.com.")
            return
    mode = "live mode, real money" if settings.livemode else "test mode, no real money"
    yield ok(f"the key works: {mode}")
    lacking = [name for name, error in answers.items() if error is not None]
    for name in lacking:
        permission = re.search(r"rak_\w+", str(answers[name]))
        yield fail(
            f"the key may not read {name}{f' ({permission[0]})' if permission else ''}",
            f"Stripe: Developers > API keys > edit the restricted key: {name}: Read.",
        )
    if not lacking:
        yield ok(f"the key may read all it must: {', '.join(STRIPE_PERMISSIONS)}")
    if settings.livemode and settings.stripe_secret_key.reveal().startswith("sk_"):
        yield warn(
            "this is a full secret key: whoever gets it can move your money",
            "Make a restricted one with read permissions only (docs/deploy.md, step 2).",
        )


async def _webhook(settings: Settings, stripe: StripeClient, url: str | None) -> AsyncIterator[Finding]:
    from stripe import api_version

    from lib.errors import BridgeError
    from lib.stripe_events import SUBSCRIBE_TO

    try:
        endpoints = [endpoint async for endpoint in stripe.each("/v1/webhook_endpoints")]
    except BridgeError as error:
        yield warn(f"the endpoint can't be examined: {error}", "Add to the key: Webhook Endpoints: Read.")
        return
    address = webhook_address(url) if url else None
    found = [
        e
        for e in endpoints
        if _plain(e["url"]) == address or (not address and _plain(e["url"]).endswith("/api/webhook"))
    ]
    mode = "live" if settings.livemode else "test"
    if not found:
        said = f"Stripe has no {mode} mode endpoint for {address or 'a URL that ends with /api/webhook'}"
        remedy = "Stripe: Developers > Webhooks > Add destination, with the events of docs/deploy.md, step 5."
        if settings.livemode or url:
            yield fail(said, remedy)
        else:
            yield warn(said, f"{remedy} While `stripe listen` forwards events, none is needed.")
        return
    for endpoint in found:
        where, chosen = _plain(endpoint["url"]), set(endpoint.get("enabled_events") or [])
        if endpoint.get("status") != "enabled":
            yield fail(f"{where} is {endpoint.get('status')}", "Enable it in Stripe: Developers > Webhooks.")
        else:
            yield ok(f"{where} is enabled")
        missing = [] if "*" in chosen else [kind for kind in SUBSCRIBE_TO if kind not in chosen]
        if missing:
            yield fail(f"{where} is not sent {_listed(missing)}", "Select these events there (docs/deploy.md, step 5).")
        elif "*" in chosen:
            yield warn(
                f"{where} is sent every event (*): most are of no use here", "Select those of docs/deploy.md, step 5."
            )
        else:
            more = len(chosen - set(SUBSCRIBE_TO))
            yield ok(f"{where} is sent all {len(SUBSCRIBE_TO)} events{f', and {more} that are of no use' * bool(more)}")
        if endpoint.get("api_version") == api_version:
            yield ok(f"{where} speaks {api_version}")
        else:
            yield warn(
                f"{where} speaks {endpoint.get('api_version') or 'the default version of your account'}",
                f"It works, but {api_version} is what is tested: add a second endpoint with it, then delete this one.",
            )
    if len(found) > 1:
        yield warn("several endpoints lead to a bridge", "One per deployment is enough: delete those of old ones.")


def webhook_address(url: str) -> str:
    """The webhook's full address, from the deployment's."""
    plain = _plain(url if "://" in url else f"https://{url}").rstrip("/")
    return plain if plain.endswith("/api/webhook") else f"{plain}/api/webhook"


def _plain(url: str) -> str:
    """A URL without its query, which may hold a secret that lets Stripe through a protected deployment."""
    return url.partition("?")[0].partition("#")[0]


# --- the deployment itself --------------------------------------------------------------------------------------------


async def _deployment(url: str) -> AsyncIterator[Finding]:
    import httpx

    address = webhook_address(url).removesuffix("webhook") + "health"
    try:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(address)
        health = answer.json()
        said = f"{address}: {health['status']}; " + ", ".join(f"{n} {s}" for n, s in health["checks"].items())
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield fail(
            f"{address} gives no health: {type(error).__name__}",
            "Is it deployed, and free of Vercel's Deployment Protection? Its logs say what is wrong.",
        )
        return
    if health["status"] == "ok":
        yield ok(said)
    else:
        yield fail(said, f"Ask with the admin key for the reason: curl {address} -H 'Authorization: Bearer ...'")


# --- the panel --------------------------------------------------------------------------------------------------------


async def _panel(settings: Settings) -> AsyncIterator[tuple[Finding, dict[int, str] | None]]:
    """What was found, and the panel's plans once they are known."""
    import httpx

    async with httpx.AsyncClient(
        headers={"Authorization": f"Bearer {settings.enhance_api_token.reveal()}", "Accept": "application/json"},
        timeout=30,
    ) as http:

        async def ask(route: str, **query: str | int) -> tuple[int, Any]:
            answer = await http.get(settings.enhance_api_url + route, params=query)
            try:
                return answer.status_code, answer.json()
            except ValueError:
                return answer.status_code, None

        try:
            async for finding in _panel_itself(settings, ask):
                yield finding, None
                if finding.verdict is Verdict.FAIL:
                    return
            for name, route in PANEL_RIGHTS.items():
                more = {"recursion": "directCustomers"} if name == "websites" else {}
                status, body = await ask(route.format(org=settings.enhance_org_id), limit=1, **more)
                if status != 200:
                    yield fail(f"the token may not list {name}: {_said(status, body)}", SUPER_ADMIN), None
            status, body = await ask("/licence")
            if status == 200 and body.get("status") not in ("active", "trial"):
                yield fail(f"the panel's licence is {body.get('status')}", "Renew it with Enhance."), None
            elif status == 200:
                yield ok(f"the organisation is the panel's master; its licence is {body['status']}"), None
            else:
                yield ok("the organisation is a reseller's: hard deletes are the master organisation's alone"), None
            yield await _panel_plans(settings, ask)
        except httpx.HTTPError as error:
            yield (
                fail(
                    f"the panel can't be reached: {type(error).__name__} at {settings.enhance_api_url}",
                    "Check ENHANCE_API_URL: the address of the control panel in a browser, with a valid certificate.",
                ),
                None,
            )


async def _panel_itself(settings: Settings, ask: Callable[..., Any]) -> AsyncIterator[Finding]:
    status, version = await ask("/version")
    if status != 200 or not isinstance(version, str):
        yield fail(
            f"ENHANCE_API_URL is no Enhance panel: {_said(status, version)}",
            "It is the address of the control panel in a browser, without a path.",
        )
        return
    yield ok(f"Enhance {version} answers")
    _, state = await ask("/status")
    if state != "ready":
        yield warn(f"the panel is not ready: {state}", "Wait until its update is over; work is retried meanwhile.")
    status, org = await ask(f"/orgs/{settings.enhance_org_id}")
    match status:
        case 200 if org.get("id") == settings.enhance_org_id and org.get("status") != "deleted":
            yield ok(f"the token works for the organisation {org.get('name')}")
            if org.get("suspendedBy"):
                yield fail("this organisation is suspended", "Resume it in the panel.")
        case 401:
            yield fail(f"the panel does not let this machine in: {_said(status, org)}", ANY_ADDRESS)
        case 403:
            yield fail(
                f"the token is wrong, expired, or not of organisation {settings.enhance_org_id}: {_said(status, org)}",
                SUPER_ADMIN,
            )
        case _:
            yield fail(
                f"the panel has no organisation {settings.enhance_org_id}: {_said(status, org)}",
                "ENHANCE_ORG_ID is the id of the organisation that the token belongs to.",
            )


async def _panel_plans(settings: Settings, ask: Callable[..., Any]) -> tuple[Finding, dict[int, str] | None]:
    plans: dict[int, str] = {}
    while True:
        status, page = await ask(f"/orgs/{settings.enhance_org_id}/plans", limit=200, offset=len(plans))
        if status != 200:
            return fail(f"the plans can't be listed: {_said(status, page)}", SUPER_ADMIN), None
        rows = {int(row["id"]): str(row["name"]) for row in page["items"]}
        if not rows.keys() - plans.keys():
            break
        plans |= rows
    if not plans:
        return fail("the panel has no plans", "Create a plan in the panel; prices are mapped to plans."), plans
    return ok(f"the panel has {len(plans)} plans"), plans


def _said(status: int, body: Any) -> str:
    """The panel's own words, short."""
    from lib.errors import foreign

    words = [body.get(name) for name in ("code", "detail", "message")] if isinstance(body, dict) else []
    return foreign(" ".join([str(status), *(str(word) for word in words if word)]))


# --- plans ------------------------------------------------------------------------------------------------------------


async def _plans(
    database: Database, stripe: StripeClient | None, plans: dict[int, str] | None
) -> AsyncIterator[Finding]:
    async for finding in _without_effect(database):
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
        listed = stripe.each("/v1/prices", active=True, type="recurring")
        strange = [price["id"] async for price in listed if price["id"] not in kinds]
        if strange:
            yield warn(
                f"prices on sale at Stripe without a mapping: {_listed(strange)}",
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

    try:
        found = await stripe.retrieve("/v1/prices", price)
    except NotFound:
        return fail(
            f"Stripe has no price {price} in this mode",
            "Test and live mode have their own ids: correct or delete the row in plan_mappings.",
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
        hint = f" The panel has {_listed([repr(name) for name in near])}." if near else ""
        return fail(f"{subject}: the panel has no plan {reference!r}", f"Correct enhance_plan_id.{hint}")
    return None


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
