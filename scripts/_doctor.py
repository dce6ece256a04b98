"""Examine a deployment from its settings alone: what is wrong, in plain words, each with its remedy. Only reads."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import unquote

from scripts.doctor_checks.alerting import check_alerting
from scripts.doctor_checks.database import check_database
from scripts.doctor_checks.deployment import check_deployment
from scripts.doctor_checks.finding import Finding, Verdict, fail
from scripts.doctor_checks.mail import check_mail
from scripts.doctor_checks.outgoing import check_outgoing
from scripts.doctor_checks.panel import check_panel
from scripts.doctor_checks.plans import check_plans
from scripts.doctor_checks.selling import check_selling
from scripts.doctor_checks.settings import check_settings
from scripts.doctor_checks.sleep import check_sleep
from scripts.doctor_checks.stripe import check_stripe
from scripts.doctor_checks.webhook import check_webhook


def main() -> None:
    """Print what was found; the exit code is the worst of it."""
    parser = argparse.ArgumentParser(
        prog="scripts/doctor",
        description="Checks the settings, the database, the Stripe key's rights, the webhook endpoint, the panel's "
        "token, that mapped prices and plans exist on both sides, and that OUTBOX_URL can be reached. "
        "Settings come from the environment or from "
        ".env; the environment wins. Only reads: nothing is created or changed anywhere, and no secret is printed.",
        epilog="Exit code: 0 everything is fine, 1 there are warnings, 2 something does not work, 130 Ctrl-C.",
    )
    parser.add_argument(
        "--url", help="address of the deployment, such as https://billing.example.com: its health and its own webhook"
    )
    parser.add_argument(
        "--alert-test", action="store_true", help="send a test alert to ALERT_WEBHOOK_URL or ALERT_EMAIL, and its end"
    )
    options = parser.parse_args()

    from lib import log
    from scripts._console import finish
    from scripts._environment import load_env_file

    async def examined() -> int:
        log.configure("error", stream=sys.stderr)  # what the driver says by itself quotes the address
        load_env_file()
        return await _print(os.environ, options.url, alert_test=options.alert_test)

    finish(examined, "Nothing could be examined", "Nothing was changed anywhere.")


async def _print(environ: Mapping[str, str], url: str | None, *, alert_test: bool) -> int:
    hide = redactor(environ)
    section = None
    worst = Verdict.OK
    counted = dict.fromkeys(Verdict, 0)
    async for title, finding in examine(environ, url, alert_test=alert_test):
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
    for field, setting in Settings.each():
        if "Secret" in Settings.__annotations__[field] or "secret" in field:
            for part in re.split("[,|]", environ.get(setting.env, "")):
                hidden |= {part.strip(), part.partition(":")[2].strip()}
    for name in ("DATABASE_URL", "DATABASE_URL_UNPOOLED", "MAIL_URL"):
        with_password = environ.get(name, "").rpartition("@")[0].rpartition(":")[2]
        hidden |= {with_password, unquote(with_password)}
    stars = str(Secret(""))
    ordered = sorted((text for text in hidden if len(text) >= 4), key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in ordered:
            text = text.replace(secret, stars)
        return text

    return hide


async def examine(
    environ: Mapping[str, str], url: str | None = None, *, alert_test: bool = False
) -> AsyncIterator[tuple[str, Finding]]:
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
    for finding in check_settings(settings, environ):
        yield "Settings", finding
    database = Database(settings.database_url)
    stripe = StripeClient(settings.stripe_secret_key, settings.stripe_api_base)
    try:
        found = [finding async for finding in check_database(settings, database)]
        for finding in found:
            yield "Database", finding
        stripe_found = [finding async for finding in check_stripe(settings, stripe)]
        for finding in stripe_found:
            yield "Stripe", finding
        key_works = any(finding.verdict is Verdict.OK for finding in stripe_found)
        if key_works:
            async for finding in check_webhook(settings, stripe, url):
                yield "Webhook endpoint", finding
            async for finding in check_selling(settings, stripe):
                yield "Selling", finding
        if url:
            async for finding in check_deployment(url):
                yield "Deployment", finding
        plans: dict[int, str] | None = None
        async for panel_finding, listed in check_panel(settings):
            plans = listed if listed is not None else plans
            yield "Panel", panel_finding
        async for finding in check_mail(settings):
            yield "Mails to customers", finding
        schema_there = all(finding.verdict is not Verdict.FAIL for finding in found)
        if schema_there:
            async for finding in check_sleep(settings, database):
                yield "Neon", finding
            async for finding in check_plans(database, stripe if key_works else None, plans):
                yield "Plans", finding
        async for finding in check_outgoing(settings, database if schema_there else None):
            yield "Outgoing events", finding
        async for finding in check_alerting(settings, database if schema_there else None, test=alert_test):
            yield "Alerts", finding
    finally:
        await stripe.close()
        await database.close()
