"""The settings: readable, meant as they are written, and secrets that nobody guesses."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.doctor_checks.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from lib.config import Settings


SHORTEST_KEY = 24
"""Characters of a key that nobody guesses: what `openssl rand -hex 12` gives at least."""

LOCAL = ("localhost", "127.0.0.1", "::1")


def check_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What can be told of the settings alone."""
    known = [setting.env for _, setting in settings.each()]
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
    if settings.shard is not None:
        count, places = settings.shard.count, settings.panel_concurrency
        yield ok(
            f"shard {settings.shard}: PANEL_CONCURRENCY ({places}) and BRAKE_MAX are its own; {count} such shards work"
            f" on {places * count} customers at one time"
        )
    match settings.provisioning_mode:
        case "shadow":
            yield warn("PROVISIONING_MODE is shadow: nothing is written to the panel", "Set it to live when ready.")
        case "paused":
            yield warn("PROVISIONING_MODE is paused: nothing is done at all", "Set it to live when ready.")
