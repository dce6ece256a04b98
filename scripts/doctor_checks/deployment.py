"""The deployment itself: its health, as anybody may ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from scripts.doctor_checks.finding import Finding, fail, ok
from scripts.doctor_checks.webhook import webhook_address


async def check_deployment(url: str) -> AsyncIterator[Finding]:
    """Its public health."""
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
