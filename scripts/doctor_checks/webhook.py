"""The webhook endpoint at Stripe: that there is one, switched on, and that it sends what is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scripts.doctor_checks.finding import Finding, fail, listed, ok, warn

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.stripe_client import StripeClient


async def check_webhook(settings: Settings, stripe: StripeClient, url: str | None) -> AsyncIterator[Finding]:
    """The endpoints that lead to this deployment, or to any bridge where its address is not told."""
    from lib.errors import BridgeError

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
        for finding in _endpoint(endpoint, orders=settings.keeps_orders):
            yield finding
    if settings.shard is not None:
        yield _of_shards(endpoints, settings.shard.count)
    elif len(found) > 1:
        yield warn("several endpoints lead to a bridge", "One per deployment is enough: delete those of old ones.")


def _of_shards(endpoints: Sequence[Mapping[str, Any]], count: int) -> Finding:
    """Whether as many endpoints as there are shards could be one's: each is sent everything, and keeps its own."""
    on = [e for e in endpoints if e.get("status") == "enabled" and _plain(e["url"]).endswith("/api/webhook")]
    if len(on) < count:
        said = f"{len(on)} enabled endpoints lead to a bridge, and there are {count} shards"
        return warn(said, "Each shard's deployment needs one of its own: whoever has none learns of changes by sweeps.")
    return ok(f"{len(on)} enabled endpoints lead to a bridge, enough for {count} shards")


def _endpoint(endpoint: Mapping[str, Any], *, orders: bool) -> Iterator[Finding]:
    """Whether it is on, sends every event that is needed, and speaks the version that is tested."""
    from stripe import api_version

    from lib.stripe_events import SUBSCRIBE_TO_FOR_ORDERS, subscribe_to

    needed = subscribe_to(orders=orders)
    where, chosen = _plain(endpoint["url"]), set(endpoint.get("enabled_events") or [])
    if endpoint.get("status") != "enabled":
        yield fail(f"{where} is {endpoint.get('status')}", "Enable it in Stripe: Developers > Webhooks.")
    else:
        yield ok(f"{where} is enabled")
    missing = [] if "*" in chosen else [kind for kind in needed if kind not in chosen]
    if missing:
        yield fail(f"{where} is not sent {listed(missing)}", "Select these events there (docs/deploy.md, step 5).")
    elif "*" in chosen:
        yield warn(
            f"{where} is sent every event (*): most are of no use here", "Select those of docs/deploy.md, step 5."
        )
    else:
        more = len(chosen - {*needed, *SUBSCRIBE_TO_FOR_ORDERS})
        yield ok(f"{where} is sent all {len(needed)} events{f', and {more} that are of no use' * bool(more)}")
    if endpoint.get("api_version") == api_version:
        yield ok(f"{where} speaks {api_version}")
    else:
        yield warn(
            f"{where} speaks {endpoint.get('api_version') or 'the default version of your account'}",
            f"It works, but {api_version} is what is tested: add a second endpoint with it, then delete this one.",
        )


def webhook_address(url: str) -> str:
    """The webhook's full address, from the deployment's."""
    plain = _plain(url if "://" in url else f"https://{url}").rstrip("/")
    return plain if plain.endswith("/api/webhook") else f"{plain}/api/webhook"


def _plain(url: str) -> str:
    """A URL without its query, which may hold a secret that lets Stripe through a protected deployment."""
    return url.partition("?")[0].partition("#")[0]
