"""The simulated panel behaves as its reference says, so that what is tested against it means something."""

from __future__ import annotations

from typing import Any

import httpx

from scripts.sim.enhance_sim import EnhanceSim

GOOD_PASSWORD = "Correct-Horse-7-Battery"


class Panel:
    """A client of one simulator, with short words for what the tests do often."""

    def __init__(self, sim: EnhanceSim, token: str | None = "enhance_fake_token") -> None:
        self.sim = sim
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(sim.app),
            base_url="http://panel.test/api",
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """One call; a body is sent as JSON."""
        return await self.http.request(method, path, params=query or None, **({} if body is None else {"json": body}))

    async def make(self, path: str, body: Any, **query: Any) -> Any:
        """Create something that must succeed; its id."""
        answer = await self.call("POST", path, body, **query)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def customer(self, email: str = "anna@example.com", plan: int | None = None) -> tuple[str, int]:
        """An org with an owner and a subscription."""
        sim = self.sim
        plan = plan if plan is not None else sim.add_plan(f"Basic {len(sim.plans)}", resources={"websites": 1})
        org = await self.make(f"/orgs/{sim.org_id}/customers", {"name": "Anna"})
        login = await self.make("/logins", {"email": email, "password": GOOD_PASSWORD, "name": "Anna"}, orgId=org)
        await self.make(f"/orgs/{org}/members", {"loginId": login, "roles": ["Owner"]})
        sub = await self.make(
            f"/orgs/{sim.org_id}/customers/{org}/subscriptions", {"planId": plan, "friendlyName": "Basic (sub_1)"}
        )
        return org, sub


def panel(**options: Any) -> Panel:
    """A fresh panel that also checks its own answers against the published interface."""
    sim = EnhanceSim(**options)
    sim.check_answers = True
    return Panel(sim)


async def test_a_provisioned_customer_is_one_of_each() -> None:
    """The documented sequence gives one org, login, member, subscription and website, with no breach of the interface."""
    p = panel()
    org, sub = await p.customer()
    check = await p.call("POST", f"/orgs/{org}/domains/check", {"domain": "anna.example"})
    assert check.json() == {"status": "notInUse", "websiteId": None}
    site = await p.make(f"/orgs/{org}/websites", {"domain": "anna.example", "subscriptionId": sub})
    shown = (await p.call("GET", f"/orgs/{org}/websites/{site}")).json()
    assert shown["domain"]["domain"] == "anna.example"
    assert shown["status"] == "active"
    assert p.sim.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    assert p.sim.violations == []


async def test_every_read_of_a_lived_in_panel_conforms_to_the_published_interface() -> None:
    """Every GET answers what the OpenAPI file promises, null standing for an absent field."""
    p = panel()
    org, sub = await p.customer()
    site = await p.make(f"/orgs/{org}/websites", {"domain": "anna.example", "subscriptionId": sub})
    member = p.sim.orgs[org].owner_id
    own = p.sim.org_id
    for path in (
        "/version", "/status", "/licence", "/branding", "/servers/groups", f"/v2/orgs/{own}/activities",
        f"/orgs/{own}", f"/orgs/{org}", f"/orgs/{own}/customers", "/logins", f"/orgs/{org}/logins",
        f"/v2/orgs/{own}/customers/logins", f"/orgs/{org}/members", f"/orgs/{org}/members/{member}",
        f"/orgs/{own}/plans", f"/orgs/{own}/plans/1", f"/orgs/{own}/customers/{org}/subscriptions",
        f"/orgs/{org}/subscriptions", f"/orgs/{org}/subscriptions/{sub}", f"/orgs/{org}/subscriptions/{sub}/bandwidth",
        f"/orgs/{org}/websites", f"/orgs/{own}/websites?recursion=infinite", f"/orgs/{org}/websites/{site}",
    ):  # fmt: skip
        assert (await p.call("GET", path)).status_code == 200, path
    assert p.sim.violations == []
