"""The panel: that it is one, that the token may do what is needed, and which plans it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from scripts.doctor_checks.finding import Finding, Verdict, fail, ok, warn

if TYPE_CHECKING:
    from lib.config import Settings


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


async def check_panel(settings: Settings) -> AsyncIterator[tuple[Finding, dict[int, str] | None]]:
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
    if status >= 500:
        yield fail(
            f"the panel is away just now: it, or what stands before it, answers {status}",
            "Look at the panel's server; what waits is tried again by itself.",
        )
        return
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
