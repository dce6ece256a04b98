"""The simulated panel behaves as its reference says, so that what is tested against it means something."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from scripts.sim.enhance_sim import Call, EnhanceSim
from scripts.sim.server import serve
from tests.killed import Killed

GOOD_PASSWORD = "Correct-Horse-7-Battery"
NOWHERE = "00000000-0000-4000-8000-000000000000"


needs_spec = pytest.mark.skipif(EnhanceSim().contract.path is None, reason="no OpenAPI file beside the checkout")


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

    async def get(self, path: str, **query: Any) -> Any:
        """Read something that must be there."""
        answer = await self.call("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make(self, path: str, body: Any, **query: Any) -> Any:
        """Create something that must succeed; its id."""
        answer = await self.call("POST", path, body, **query)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def login(self, org: str, email: str) -> httpx.Response:
        """Ask for a login."""
        return await self.call(
            "POST", "/logins", {"email": email, "password": GOOD_PASSWORD, "name": "Anna"}, orgId=org
        )

    async def subscribe(self, org: str, plan: int, name: str = "Basic (sub_1)") -> httpx.Response:
        """Ask for a subscription."""
        return await self.call(
            "POST", f"/orgs/{self.sim.org_id}/customers/{org}/subscriptions", {"planId": plan, "friendlyName": name}
        )

    async def website(self, org: str, sub: int | None, domain: str) -> httpx.Response:
        """Ask for a website."""
        return await self.call(
            "POST", f"/orgs/{org}/websites", {"domain": domain} | ({} if sub is None else {"subscriptionId": sub})
        )

    async def domain(self, org: str, domain: str) -> Any:
        """What the domain check says."""
        answer = await self.call("POST", f"/orgs/{org}/domains/check", {"domain": domain})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def customer(self, email: str = "anna@example.com") -> tuple[str, int]:
        """An org with an owner and a subscription to a plan for two websites."""
        plan = self.sim.add_plan(f"Basic {len(self.sim.plans)}", resources={"websites": 2, "diskspace": 10**10})
        org = await self.make(f"/orgs/{self.sim.org_id}/customers", {"name": "Anna"})
        login = (await self.login(org, email)).json()["id"]
        await self.make(f"/orgs/{org}/members", {"loginId": login, "roles": ["Owner"]})
        return org, (await self.subscribe(org, plan)).json()["id"]


def panel(**options: Any) -> Panel:
    """A fresh panel that also checks its own answers against the published interface."""
    sim = EnhanceSim(**options)
    sim.check_answers = True
    return Panel(sim)


def said(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """What a client may branch on."""
    body = answer.json()
    return answer.status_code, body["code"], body["detail"]


# --- the interface ----------------------------------------------------------------------------


async def test_a_provisioned_customer_is_one_of_each() -> None:
    """The documented sequence gives one org, login, member, subscription and website, and breaks no rule."""
    p = panel()
    org, sub = await p.customer()
    assert await p.domain(org, "anna.example") == {"status": "notInUse", "websiteId": None}
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    shown = await p.get(f"/orgs/{org}/websites/{site}")
    assert (shown["domain"]["domain"], shown["status"], shown["subscriptionId"]) == ("anna.example", "active", sub)
    assert p.sim.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    assert p.sim.violations == []


@needs_spec
async def test_every_read_of_a_lived_in_panel_conforms_to_the_published_interface() -> None:
    """Every GET answers what the OpenAPI file promises, null standing for an absent field."""
    p = panel()
    org, sub = await p.customer()
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    await p.call("DELETE", f"/orgs/{org}/websites/{site}")
    p.sim.suspend_by_hand(sub)
    own, member = p.sim.org_id, p.sim.orgs[org].owner_id
    for path in (
        "/version", "/status", "/licence", "/branding", "/servers/groups", f"/v2/orgs/{org}/activities",
        f"/orgs/{own}", f"/orgs/{org}", f"/orgs/{own}/customers", "/logins", f"/orgs/{org}/logins",
        f"/v2/orgs/{own}/customers/logins", f"/orgs/{org}/members", f"/orgs/{org}/members/{member}",
        f"/orgs/{own}/plans", f"/orgs/{own}/plans/1", f"/orgs/{own}/customers/{org}/subscriptions",
        f"/orgs/{org}/subscriptions", f"/orgs/{org}/subscriptions/{sub}", f"/orgs/{org}/subscriptions/{sub}/bandwidth",
        f"/orgs/{org}/websites", f"/orgs/{own}/websites?recursion=infinite", f"/orgs/{org}/websites/{site}",
    ):  # fmt: skip
        assert (await p.call("GET", path)).status_code == 200, path
    assert p.sim.violations == []


async def test_service_calls_need_no_token_and_answer_bare_strings() -> None:
    """Version and status are quoted JSON strings for anybody, and the status follows the test."""
    p = Panel(EnhanceSim(), token=None)
    p.sim.status_value = "updating"
    assert (await p.call("GET", "/version")).text == '"12.25.12"'
    assert (await p.call("GET", "/status")).text == '"updating"'


@pytest.mark.parametrize(
    ("token", "expected"), [(None, (401, "no_session_token", None)), ("wrong", (403, "unauthorized", None))]
)
async def test_a_missing_and_a_wrong_token_are_told_apart(token: str | None, expected: tuple[Any, ...]) -> None:
    """No token is 401, a bad one is 403 with the code that a missing role has too."""
    p = Panel(EnhanceSim(), token)
    assert said(await p.call("GET", f"/orgs/{p.sim.org_id}")) == expected


async def test_a_token_bound_to_another_address_is_401_and_says_why() -> None:
    """An IP-restricted token answers 401 with the caller's address in the message."""
    p = panel()
    p.sim.allowed_ip = "198.51.100.7"
    answer = await p.call("GET", f"/orgs/{p.sim.org_id}")
    assert answer.status_code == 401
    assert answer.json()["message"].startswith("Access token not allowed for your IP, ")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"planId": "4"}, 'invalid type: string "4", expected i32'),
        ({"planId": 4.5}, "invalid type: floating point `4.5`, expected i32"),
        ({"planId": True}, "invalid type: boolean `true`, expected i32"),
        ({"planId": 2**31}, "invalid value: integer `2147483648`, expected i32"),
        ({"planId": None}, "invalid type: null, expected i32"),
        ({}, "missing field `planId`"),
        ({"planId": 1, "friendlyName": 7}, "invalid type: integer `7`, expected a string"),
        ([], "invalid type: sequence, expected a map"),
    ],
)
@pytest.mark.parametrize("published", [True, False])
async def test_a_body_of_the_wrong_type_is_refused_in_serdes_words(body: Any, why: str, published: bool) -> None:
    """Types are strict with and without the OpenAPI file, and each breach is a remembered violation."""
    p = panel()
    if not published:
        p.sim.contract.path = None
    org = p.sim.add_customer("Anna")
    answer = await p.call("POST", f"/orgs/{p.sim.org_id}/customers/{org}/subscriptions", body)
    assert answer.status_code == 400
    assert why in answer.text
    assert len(p.sim.violations) == 1
    assert p.sim.world()["subscriptions"] == 0


async def test_an_unknown_body_field_is_ignored_and_an_optional_null_is_absent() -> None:
    """The panel takes what it knows; the test can still see what it overlooked."""
    p = panel()
    org, sub = await p.customer()
    body = {"isSuspended": True, "friendlyName": None, "reason": "unpaid"}
    assert (await p.call("PATCH", f"/orgs/{org}/subscriptions/{sub}", body)).status_code == 204
    assert p.sim.show(sub)["friendlyName"] == "Basic (sub_1)"
    assert p.sim.violations == []
    assert p.sim.ignored_fields == ["PATCH /orgs/{org_id}/subscriptions/{subscription_id}: reason"]


@needs_spec
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/websites?hardDelete=true", "unknown query parameter `hardDelete`"),
        ("/websites?sortBy=name", "unknown variant `name`"),
        ("/websites?limit=ten", "invalid digit"),
        ("/websites?recursion=all", "unknown variant `all`"),
        ("/customers?recursive=yes", "provided string was not `true` or `false`"),
    ],
)
async def test_a_query_outside_the_interface_is_refused_and_remembered(path: str, why: str) -> None:
    """A typo in a filter would give the unfiltered list on a real panel, so here it fails loudly."""
    p = panel()
    answer = await p.call("GET", f"/orgs/{p.sim.org_id}{path}")
    assert answer.status_code == 400
    assert why in answer.text
    assert why in p.sim.violations[0]


@needs_spec
async def test_customer_search_exists_only_on_newer_panels() -> None:
    """The search parameter came after 12.23.0: it filters by name on a new panel and is a breach on an old one."""
    p = panel()
    p.sim.add_customer("Anna")
    p.sim.add_customer("Bob")
    assert (await p.get(f"/orgs/{p.sim.org_id}/customers", search="AN"))["total"] == 1
    p.sim.knobs.version = "12.23.0"
    assert (await p.call("GET", f"/orgs/{p.sim.org_id}/customers", search="AN")).status_code == 400


@needs_spec
@pytest.mark.parametrize(
    ("url", "status", "why"),
    [
        ("http://panel.test/version", 404, "no such operation"),
        ("http://panel.test/api/nothing", 404, "no such operation"),
        ("http://panel.test/api/servers", 501, "not simulated"),
    ],
)
async def test_an_unknown_path_is_a_violation(url: str, status: int, why: str) -> None:
    """A path outside `/api`, outside the interface or outside this simulator is told apart and remembered."""
    p = panel()
    assert (await p.call("GET", url)).status_code == status
    assert p.sim.violations[0].endswith(why)


async def test_a_malformed_id_is_a_plain_text_404() -> None:
    """A 404 that is not JSON means our own bug, never something that is gone."""
    p = panel()
    for path in ("/orgs/anna", f"/orgs/{p.sim.org_id}/subscriptions/one"):
        answer = await p.call("GET", path)
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (404, "text/plain")
    assert said(await p.call("GET", f"/orgs/{NOWHERE}")) == (404, "not_found", "org")
    assert len(p.sim.violations) == 2


async def test_a_body_that_is_not_json_or_not_called_so_is_refused() -> None:
    """The panel wants both the content type and the content."""
    p = panel()
    path = f"/orgs/{p.sim.org_id}/customers"
    for content, kind in ((b'{"name": "A"}', "text/plain"), (b"{", "application/json"), (b"", "application/json")):
        answer = await p.http.post(path, content=content, headers={"Content-Type": kind})
        assert answer.status_code == 400
    assert p.sim.world()["orgs"] == 0


async def test_changes_and_deletes_answer_204_without_a_body_and_puts_200() -> None:
    """There is nothing to parse after a change: it has to be read back."""
    p = panel()
    org, sub = await p.customer()
    member, login = p.sim.orgs[org].owner_id, next(iter(p.sim.logins))
    for method, path, body, status in (
        ("PATCH", f"/orgs/{org}", {"name": "Anna B"}, 204),
        ("PATCH", f"/orgs/{org}/subscriptions/{sub}", {"friendlyName": "Other"}, 204),
        ("PUT", f"/orgs/{org}/owner", {"memberId": member}, 200),
        ("PUT", f"/v2/logins/{login}/password", {"newPassword": GOOD_PASSWORD}, 200),
        ("DELETE", f"/orgs/{org}/subscriptions/{sub}", None, 204),
        ("DELETE", f"/orgs/{org}", None, 204),
    ):
        answer = await p.call(method, path, body)
        assert (answer.status_code, answer.content) == (status, b""), path
    assert p.sim.violations == []


# --- orgs, logins, members --------------------------------------------------------------------


async def test_customer_lists_page_sort_and_keep_deleted_rows() -> None:
    """Paging reaches every row once in both directions, and a deleted org stays in the list."""
    p = panel()
    ids = [p.sim.add_customer(name) for name in ("Cleo", "anna", "Bob", "Dora", "Emil")]
    p.sim.delete_by_hand(ids[1])
    p.sim.suspend_by_hand(ids[2])
    path = f"/orgs/{p.sim.org_id}/customers"

    async def names(**query: Any) -> list[str]:
        pages = [await p.get(path, limit=2, offset=offset, **query) for offset in (0, 2, 4, 6)]
        assert len({page["total"] for page in pages}) == 1
        return [row["name"] for page in pages for row in page["items"]]

    assert await names() == ["Cleo", "anna", "Bob", "Dora", "Emil"]
    assert await names(sortOrder="desc") == ["Emil", "Dora", "Bob", "anna", "Cleo"]
    assert await names(sortBy="name") == ["anna", "Bob", "Cleo", "Dora", "Emil"]
    assert await names(sortBy="name", sortOrder="desc") == ["Emil", "Dora", "Cleo", "Bob", "anna"]
    assert await names(status="deleted") == ["anna"]
    assert await names(status="suspended") == ["Bob"]
    assert await names(status="active") == ["Cleo", "Bob", "Dora", "Emil"]


async def test_without_a_limit_a_list_is_not_complete() -> None:
    """A client that sends no limit, or too high a one, does not get everything."""
    p = panel()
    p.sim.seed_many(600)
    path = f"/orgs/{p.sim.org_id}/customers"
    assert len((await p.get(path))["items"]) == 10
    assert len((await p.get(path, limit=100_000))["items"]) == 500


async def test_what_is_said_of_an_owner_comes_from_the_owner_member() -> None:
    """Owner fields are null until there is an Owner, and follow a change of owner and of address."""
    p = panel()
    org = await p.make(f"/orgs/{p.sim.org_id}/customers", {"name": "Anna"})
    assert (await p.get(f"/orgs/{org}"))["ownerEmail"] is None
    anna = (await p.login(org, "anna@example.com")).json()["id"]
    bob = (await p.login(org, "bob@example.com")).json()["id"]
    first = await p.make(f"/orgs/{org}/members", {"loginId": anna, "roles": ["Owner"]})
    second = await p.make(f"/orgs/{org}/members", {"loginId": bob, "roles": ["SuperAdmin"]})
    shown = (await p.get(f"/orgs/{p.sim.org_id}/customers"))["items"][0]
    assert (shown["ownerEmail"], shown["ownerId"], shown["ownerLoginId"]) == ("anna@example.com", first, anna)
    await p.call("PUT", f"/orgs/{org}/owner", {"memberId": second})
    p.sim.change_email_by_hand(bob, "robert@example.com")
    assert (await p.get(f"/orgs/{org}"))["ownerEmail"] == "robert@example.com"
    owners = (await p.get(f"/orgs/{org}/members", role="Owner"))["items"]
    assert [one["id"] for one in owners] == [second]
    assert (await p.get(f"/orgs/{org}/members/{first}"))["roles"] == ["SuperAdmin"]


async def test_an_email_has_one_login_per_realm_whatever_its_capitals() -> None:
    """The second login of an address is a conflict; the first can own another org too."""
    p = panel()
    org, _ = await p.customer("Anna@Example.com")
    other = await p.make(f"/orgs/{p.sim.org_id}/customers", {"name": "Anna again"})
    assert said(await p.login(other, "anna@example.COM")) == (409, "already_exists", "login")
    login = next(iter(p.sim.logins))
    body = {"loginId": login, "roles": ["Owner"]}
    await p.make(f"/orgs/{other}/members", body)
    assert said(await p.call("POST", f"/orgs/{other}/members", body)) == (409, "already_exists", "member")
    assert (await p.get(f"/orgs/{other}"))["ownerLoginId"] == (await p.get(f"/orgs/{org}"))["ownerLoginId"] == login
    assert p.sim.world()["logins"] == 1


async def test_a_login_without_its_org_lingers_where_only_the_master_sees_it() -> None:
    """A login outlives its org: it still conflicts, is in the master's list and in no customer list."""
    p = panel()
    org, _ = await p.customer()
    await p.call("DELETE", f"/orgs/{org}", force="true")
    other = await p.make(f"/orgs/{p.sim.org_id}/customers", {"name": "Anna again"})
    assert (await p.login(other, "anna@example.com")).status_code == 409
    assert (await p.get(f"/v2/orgs/{p.sim.org_id}/customers/logins"))["total"] == 0
    assert (await p.get("/logins", realmId=p.sim.org_id))["total"] == 1


async def test_a_login_that_is_no_member_yet_can_be_found() -> None:
    """A crash between login and member leaves a login that both lists of its org still show."""
    p = panel()
    org = await p.make(f"/orgs/{p.sim.org_id}/customers", {"name": "Anna"})
    login = (await p.login(org, "anna@example.com")).json()["id"]
    for path in (f"/orgs/{org}/logins", f"/v2/orgs/{p.sim.org_id}/customers/logins"):
        assert [one["id"] for one in (await p.get(path))["items"]] == [login]


async def test_a_login_needs_an_org_an_address_and_a_long_password() -> None:
    """What the panel refuses of a login makes none."""
    p = panel()
    org = await p.make(f"/orgs/{p.sim.org_id}/customers", {"name": "Anna"})
    good = {"email": "anna@example.com", "password": GOOD_PASSWORD, "name": "Anna"}
    assert (await p.call("POST", "/logins", good)).status_code == 400
    for change in ({"email": "anna"}, {"password": "short"}):
        assert (await p.call("POST", "/logins", good | change, orgId=org)).status_code == 400
    assert p.sim.world()["logins"] == 0


async def test_password_recovery_always_succeeds_and_is_recorded_for_what_it_is() -> None:
    """The panel never says whether it knows an address or realm; the simulator remembers whether a mail was sent."""
    p = panel()
    org, _ = await p.customer()
    for email, realm in (("ANNA@example.com", p.sim.org_id), ("anna@example.com", org), ("who@example.com", org)):
        answer = await p.call("PUT", "/login/password-recovery", {"email": email}, realmId=realm)
        assert (answer.status_code, answer.content) == (200, b"")
    assert [one.login_id is not None for one in p.sim.recovery_mails] == [True, False, False]


async def test_a_single_sign_on_link_is_a_created_string_and_never_the_same() -> None:
    """The link is a GET with an effect: 201, quoted, new every time."""
    p = panel()
    org, _ = await p.customer()
    path = f"/orgs/{org}/members/{p.sim.orgs[org].owner_id}/sso"
    first, second = await p.call("GET", path), await p.call("GET", path)
    assert (first.status_code, first.text[0]) == (201, '"')
    assert first.json() != second.json()
    assert p.sim.sso_links == [first.json(), second.json()]


# --- plans and subscriptions ------------------------------------------------------------------


async def test_a_repeated_subscription_is_a_second_one_except_of_a_reseller_plan() -> None:
    """Nothing protects from a double create but reseller plans, of which an org has one."""
    p = panel()
    org, _ = await p.customer()
    assert (await p.subscribe(org, 1)).status_code == 201
    assert p.sim.world()["subscriptions"] == 2
    seller = p.sim.add_plan("Reseller", resources={"customers": None})
    assert (await p.subscribe(org, seller)).status_code == 201
    assert said(await p.subscribe(org, seller)) == (409, "already_exists", "subscription")
    assert said(await p.subscribe(org, 99)) == (404, "not_found", "plan")


async def test_a_suspension_reads_back_as_suspended_by_and_takes_the_websites_along() -> None:
    """Suspending leaves the status active, names the token's actor, disables the sites, and may be repeated."""
    p = panel()
    org, sub = await p.customer()
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    path = f"/orgs/{org}/subscriptions/{sub}"
    for _ in range(2):
        assert (await p.call("PATCH", path, {"isSuspended": True})).status_code == 204
    shown, shown_site = await p.get(path), await p.get(f"/orgs/{org}/websites/{site}")
    assert (shown["status"], shown["suspendedBy"]) == ("active", p.sim.actor_id)
    assert "isSuspended" not in shown
    assert (shown_site["status"], shown_site["suspendedBy"]) == ("disabled", p.sim.actor_id)
    await p.call("PATCH", path, {"isSuspended": False})
    assert (await p.get(path))["suspendedBy"] is None
    assert (await p.get(f"/orgs/{org}/websites/{site}"))["status"] == "active"


async def test_a_suspension_by_hand_carries_another_name_and_survives_ours() -> None:
    """What staff suspended stays theirs when the token suspends it again."""
    p = panel()
    org, sub = await p.customer()
    p.sim.suspend_by_hand(sub)
    await p.call("PATCH", f"/orgs/{org}/subscriptions/{sub}", {"isSuspended": True})
    assert p.sim.show(sub)["suspendedBy"] == p.sim.staff_id != p.sim.actor_id
    p.sim.resume_by_hand(sub)
    assert p.sim.show(sub)["suspendedBy"] is None


async def test_resuming_a_subscription_does_not_resume_its_org_or_its_site() -> None:
    """Org, subscription and website are suspended each for itself."""
    p = panel()
    org, sub = await p.customer()
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    for target in (org, sub, site):
        p.sim.suspend_by_hand(target)
    for resumed, status in ((sub, "disabled"), (org, "disabled"), (site, "active")):
        p.sim.resume_by_hand(resumed)
        assert p.sim.show(site)["status"] == status


async def test_a_plan_change_is_refused_when_what_is_used_does_not_fit() -> None:
    """A downgrade fails whole and changes nothing, not even the suspension in the same call."""
    p = panel()
    org, sub = await p.customer()
    small = p.sim.add_plan("Small", resources={"websites": 1, "diskspace": 10**9})
    path = f"/orgs/{org}/subscriptions/{sub}"
    p.sim.set_usage(sub, diskspace=2 * 10**9)
    refused = await p.call("PATCH", path, {"planId": small, "isSuspended": True})
    assert said(refused) == (400, "invalid_argument", "subscription")
    assert (p.sim.show(sub)["planId"], p.sim.show(sub)["suspendedBy"]) == (1, None)
    p.sim.set_usage(sub, diskspace=10**9)
    assert (await p.call("PATCH", path, {"planId": small})).status_code == 204
    assert (await p.get(path))["planName"] == "Small"


async def test_stale_usage_is_shown_until_it_is_calculated_anew() -> None:
    """The listed usage may be old; the panel's own refusals go by the real one."""
    p = panel()
    org, sub = await p.customer()
    path = f"/orgs/{org}/subscriptions/{sub}"
    p.sim.set_usage(sub, stale=True, diskspace=5)

    def usage(rows: list[Any]) -> int:
        return next(int(row["usage"]) for row in rows if row["name"] == "diskspace")

    assert usage((await p.get(path))["resources"]) == 0
    fresh = await p.call("PUT", f"{path}/calculate-resource-usage")
    assert usage(fresh.json()["items"]) == usage((await p.get(path))["resources"]) == 5
    assert p.sim.violations == []


async def test_a_soft_delete_keeps_the_row_and_blocks_the_domain() -> None:
    """A deleted subscription stays listed, its website is deleted, its domain is taken until it is wiped."""
    p = panel()
    org, sub = await p.customer()
    await p.website(org, sub, "anna.example")
    path = f"/orgs/{org}/subscriptions/{sub}"
    assert (await p.call("DELETE", path)).status_code == 204
    listed = (await p.get(f"/orgs/{p.sim.org_id}/customers/{org}/subscriptions"))["items"]
    assert [row["status"] for row in listed] == ["deleted"]
    assert (await p.get(f"/orgs/{org}/websites"))["items"][0]["status"] == "deleted"
    assert (await p.domain(org, "ANNA.example"))["status"] == "inUseDeletedSite"
    assert said(await p.call("PATCH", path, {"isSuspended": True}))[0] == 400
    second = (await p.subscribe(org, 1)).json()["id"]
    assert said(await p.website(org, second, "anna.example")) == (409, "already_exists", "domain")
    assert (await p.call("DELETE", path, force="true")).status_code == 204
    assert said(await p.call("GET", path)) == (404, "not_found", "subscription")
    assert (await p.website(org, second, "anna.example")).status_code == 201


async def test_what_was_soft_deleted_by_hand_can_come_back() -> None:
    """Restoring a subscription brings its website back with it."""
    p = panel()
    org, sub = await p.customer()
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    p.sim.delete_by_hand(org)
    assert p.sim.world() == {"orgs": 0, "logins": 1, "members": 0, "subscriptions": 0, "websites": 0}
    p.sim.restore_by_hand(org)
    p.sim.delete_by_hand(sub)
    assert p.sim.show(site)["status"] == "deleted"
    await p.call("PATCH", f"/orgs/{org}/subscriptions/{sub}", {"status": "active"})
    assert p.sim.show(site)["status"] == "active"


# --- websites and domains ---------------------------------------------------------------------


async def test_a_domain_check_knows_five_states() -> None:
    """Free, ours, somebody else's, deleted and prohibited; the website's id only where it is ours."""
    p = panel()
    org, sub = await p.customer()
    other, theirs = await p.customer("bob@example.com")
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    gone = (await p.website(org, sub, "gone.example")).json()["id"]
    await p.call("DELETE", f"/orgs/{org}/websites/{gone}")
    await p.website(other, theirs, "bob.example")
    p.sim.reserve_domain_elsewhere("foreign.example")
    p.sim.prohibit("forbidden.example")
    assert await p.domain(org, "anna.example") == {"status": "inUseCurrentOrg", "websiteId": site}
    for domain, state in (
        ("free.example", "notInUse"),
        ("bob.example", "inUseAnotherOrg"),
        ("foreign.example", "inUseAnotherOrg"),
        ("gone.example", "inUseDeletedSite"),
        ("forbidden.example", "prohibited"),
    ):
        assert await p.domain(org, domain) == {"status": state, "websiteId": None}
    for domain in ("bob.example", "foreign.example", "gone.example"):
        assert said(await p.website(org, sub, domain)) == (409, "already_exists", "domain")


async def test_a_domain_below_somebody_elses_looks_free_and_is_refused() -> None:
    """The check can't promise the creation: a subdomain of a foreign domain is a 403 with detail `domain`."""
    p = panel()
    org, sub = await p.customer()
    p.sim.reserve_domain_elsewhere("panel.example")
    assert (await p.domain(org, "anna.panel.example"))["status"] == "notInUse"
    refused = await p.website(org, sub, "anna.panel.example")
    assert said(refused) == (403, "unauthorized", "domain")
    assert refused.json()["message"] == "Unable to create website outside of the org"


async def test_a_website_needs_a_live_subscription_with_room() -> None:
    """A suspended or deleted subscription and a full one refuse a website, in words a test can change."""
    p = panel()
    org, sub = await p.customer()
    p.sim.suspend_by_hand(sub)
    assert said(await p.website(org, sub, "one.example")) == (400, "invalid_argument", "subscription")
    p.sim.resume_by_hand(sub)
    for domain in ("one.example", "two.example"):
        assert (await p.website(org, sub, domain)).status_code == 201
    assert said(await p.website(org, sub, "three.example")) == (400, "invalid_argument", "websites")
    p.sim.state.refusals["quota"] = (403, "quota_exceeded", None)
    assert said(await p.website(org, sub, "three.example")) == (403, "quota_exceeded", None)
    assert said(await p.website(org, 1, "three.example")) == (404, "not_found", "subscription")
    assert said(await p.website(org, sub, "no domain")) == (400, "invalid_argument", "domain")


async def test_a_website_moves_to_another_subscription_of_its_org() -> None:
    """Out of a suspended one it comes to life; a suspended, deleted or foreign target refuses, and nothing changes."""
    p = panel()
    org, sub = await p.customer()
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    path = f"/orgs/{org}/websites/{site}"
    _, theirs = await p.customer("bob@example.com")
    second, third = [(await p.subscribe(org, 1)).json()["id"] for _ in range(2)]

    async def move(target: int | str) -> tuple[int, Any]:
        answer = await p.call("PATCH", path, {"subscriptionId": target, "isSuspended": True})
        assert answer.status_code != 204
        shown = await p.get(path)
        assert (shown["subscriptionId"], shown["suspendedBy"]) == (sub, None)
        return answer.status_code, answer.json()["detail"]

    assert await move(theirs) == (404, "subscription")
    p.sim.suspend_by_hand(third)
    assert await move(third) == (400, "subscription")
    p.sim.resume_by_hand(third)
    p.sim.delete_by_hand(third)
    assert await move(third) == (400, "subscription")

    p.sim.suspend_by_hand(sub)
    assert (await p.get(path))["status"] == "disabled"
    assert (await p.call("PATCH", path, {"subscriptionId": second})).status_code == 204
    shown = await p.get(path)
    assert (shown["subscriptionId"], shown["status"], shown["suspendedBy"]) == (second, "active", None)
    await p.call("DELETE", f"/orgs/{org}/subscriptions/{sub}")
    assert (await p.get(path))["status"] == "active"
    assert p.sim.violations == []


async def test_the_number_of_a_subscription_is_a_number() -> None:
    """The panel's types are strict: the same digits as text move nothing."""
    p = panel()
    org, sub = await p.customer()
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    answer = await p.call("PATCH", f"/orgs/{org}/websites/{site}", {"subscriptionId": str(sub)})
    assert answer.status_code in (400, 422)
    assert p.sim.violations != []


async def test_only_the_master_org_moves_a_website_beyond_the_plan() -> None:
    """A reseller's token needs quota left; the master organisation's may overdraw it."""
    for role, status in (("reseller", 400), ("mo", 204)):
        p = panel(role=role)
        org, sub = await p.customer()
        second = (await p.subscribe(org, 1)).json()["id"]
        site = (await p.website(org, sub, "anna.example")).json()["id"]
        for domain in ("one.example", "two.example"):
            await p.website(org, second, domain)
        answer = await p.call("PATCH", f"/orgs/{org}/websites/{site}", {"subscriptionId": second})
        assert answer.status_code == status, role


async def test_a_panel_may_write_a_suspension_into_each_website() -> None:
    """Then a website that is moved out stays off until it is resumed itself; one that stays comes back by itself."""
    p = panel()
    p.sim.state.suspends_each_website = True
    org, sub = await p.customer()
    second = (await p.subscribe(org, 1)).json()["id"]
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    path = f"/orgs/{org}/websites/{site}"
    p.sim.suspend_by_hand(sub)
    p.sim.resume_by_hand(sub)
    assert (await p.get(path))["suspendedBy"] is None
    p.sim.suspend_by_hand(sub)
    await p.call("PATCH", path, {"subscriptionId": second})
    assert (await p.get(path))["suspendedBy"] == p.sim.staff_id
    await p.call("PATCH", path, {"isSuspended": False})
    assert (await p.get(path))["status"] == "active"


async def test_website_lists_filter_recurse_and_keep_deleted_rows() -> None:
    """Search is partial, recursion reaches customers, and the master's lists hold deleted sites unless told not to."""
    p = panel()
    org, sub = await p.customer()
    for domain in ("anna.example", "shop-anna.example"):
        await p.website(org, sub, domain)
    own = f"/orgs/{p.sim.org_id}/websites"
    assert (await p.get(own))["total"] == 0
    assert (await p.get(own, recursion="directCustomers", search="anna.example"))["total"] == 2
    assert (await p.get(f"/orgs/{org}/websites", subscriptionId=sub + 1))["total"] == 0
    first = (await p.get(f"/orgs/{org}/websites", sortBy="domain"))["items"][0]
    assert first["domain"]["domain"] == "anna.example"
    p.sim.delete_by_hand(first["id"])
    p.sim.suspend_by_hand(sub)
    for query, total in (
        ({}, 2),
        ({"showDeleted": "false"}, 1),
        ({"recursion": "infinite", "status": "deleted"}, 1),
        ({"recursion": "infinite", "status": "disabled"}, 1),
        ({"isSuspended": "false"}, 0),
    ):
        path = own if "recursion" in query else f"/orgs/{org}/websites"
        assert (await p.get(path, **query))["total"] == total, query
    assert p.sim.violations == []


# --- a reseller's token -----------------------------------------------------------------------


async def test_a_reseller_provisions_but_is_refused_what_is_the_masters() -> None:
    """A reseller's token makes customers, and gets 403 for wiping, all logins, servers and `showDeleted`."""
    p = panel(role="reseller")
    org, sub = await p.customer()
    site = (await p.website(org, sub, "anna.example")).json()["id"]
    for method, path in (
        ("GET", "/logins"),
        ("GET", "/servers/groups"),
        ("GET", "/licence"),
        ("DELETE", f"/orgs/{org}/subscriptions/{sub}?force=true"),
        ("DELETE", f"/orgs/{org}?force=true"),
        ("DELETE", f"/orgs/{org}/websites/{site}?force=true"),
    ):
        assert said(await p.call(method, path)) == (403, "only_mo_allowed", None), path
    assert said(await p.call("GET", f"/orgs/{org}/websites?showDeleted=true")) == (403, "unauthorized", None)
    assert said(await p.website(org, None, "other.example")) == (400, "invalid_argument", "subscription")
    assert (await p.get(f"/v2/orgs/{p.sim.org_id}/customers/logins"))["total"] == 1
    assert p.sim.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    await p.call("DELETE", f"/orgs/{org}/websites/{site}")
    assert (await p.get(f"/orgs/{org}/websites"))["total"] == 0
    assert said(await p.call("GET", f"/orgs/{org}/websites/{site}"))[0] == 404
    assert p.sim.violations == []


async def test_an_org_outside_the_tokens_own_is_unauthorized() -> None:
    """A reseller can't see the master org above it, and a customer org sells nothing."""
    p = panel(role="reseller")
    assert said(await p.call("GET", f"/orgs/{p.sim.state.master_id}")) == (403, "unauthorized", None)
    org, _ = await p.customer()
    refused = await p.call("POST", f"/orgs/{org}/customers", {"name": "Below"})
    assert refused.json()["message"] == "Only a reseller or the MO may perform this operation"
    assert (await p.get(f"/orgs/{org}/customers"))["total"] == 0


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
async def test_a_failure_on_demand_happens_before_or_after_the_effect(when: Any, made: int) -> None:
    """An injected error answer says nothing about whether the call took effect; the next call is well again."""
    p = panel()
    path = f"/orgs/{p.sim.org_id}/customers"
    p.sim.fail_next("POST", r"/customers$", status=503, when=when, retry_after=7)
    answer = await p.call("POST", path, {"name": "Anna"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert "html" in answer.headers["content-type"]
    assert (p.sim.world()["orgs"], p.sim.pending_faults) == (made, 0)
    await p.make(path, {"name": "Anna"})


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("real", [False, True])
async def test_a_dropped_connection_is_a_transport_error(when: Any, made: int, real: bool) -> None:
    """A cut connection is no answer at all, in process and over a socket, with or without the effect."""
    p = panel()
    server = serve(p.sim.app) if real else None
    base = server.start() if server else "http://panel.test"
    try:
        p.sim.drop_next("POST", r"/customers$", when=when)
        transport = None if real else httpx.ASGITransport(p.sim.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"{base}/api", headers=p.http.headers) as http:
            with pytest.raises(httpx.TransportError):
                await http.post(f"/orgs/{p.sim.org_id}/customers", json={"name": "Anna"})
            assert (await http.get("/version")).status_code == 200
    finally:
        if server:
            server.stop()
    assert p.sim.world()["orgs"] == made


async def test_a_held_call_takes_effect_while_its_caller_is_gone() -> None:
    """A call held after its effect, given up by the caller, has still made what it was asked for."""
    p = panel()
    gate = p.sim.hold_next("POST", r"/customers$", when="after")
    caller = asyncio.create_task(p.call("POST", f"/orgs/{p.sim.org_id}/customers", {"name": "Anna"}))
    assert (await gate.reached()).method == "POST"
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert p.sim.world()["orgs"] == 1


async def test_calls_that_overlap_are_counted() -> None:
    """Two creations at once raise the peak, so that a test can insist on one at a time."""
    p = panel()
    path = f"/orgs/{p.sim.org_id}/customers"
    gates = [p.sim.hold_next("POST", r"/customers$", when="after") for _ in range(2)]
    callers = [asyncio.create_task(p.call("POST", path, {"name": name})) for name in "AB"]
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.release()
    await asyncio.gather(*callers)
    assert p.sim.world()["orgs"] == 2
    assert p.sim.peak["POST /orgs/{org_id}/customers"] == 2


async def test_a_delayed_call_is_answered_all_the_same() -> None:
    """A delay alone changes nothing about the answer."""
    p = panel()
    p.sim.delay_next("GET", r"/version", seconds=0.0, times=2)
    assert [(await p.call("GET", "/version")).status_code for _ in range(2)] == [200, 200]
    assert p.sim.pending_faults == 0


async def test_a_panel_that_is_down_answers_nothing_else() -> None:
    """While the panel is down every call is a 503 of the web server before it, and nothing takes effect."""
    p = panel()
    p.sim.down = True
    assert (await p.call("GET", "/version")).status_code == 503
    assert (await p.call("POST", f"/orgs/{p.sim.org_id}/customers", {"name": "Anna"})).status_code == 503
    p.sim.down = False
    assert p.sim.world()["orgs"] == 0


async def test_a_hook_sees_every_call_twice_and_may_kill_it() -> None:
    """Hooks run before and after the effect; what they raise reaches the caller in process."""
    p = panel()
    seen: list[tuple[str, str]] = []

    async def hook(when: str, call: Call) -> None:
        seen.append((when, call.path))
        if when == "after" and call.method == "POST":
            raise Killed

    stop = p.sim.on_call(hook)
    await p.call("GET", "/version")
    with pytest.raises(Killed):
        await p.call("POST", f"/orgs/{p.sim.org_id}/customers", {"name": "Anna"})
    stop()
    await p.call("GET", "/version")
    assert [when for when, _ in seen] == ["before", "after", "before", "after"]
    assert p.sim.world()["orgs"] == 1


async def test_calls_are_recorded_with_what_they_carried() -> None:
    """A test can count calls and look into them; the prefix is left out."""
    p = panel()
    await p.call("POST", f"/orgs/{p.sim.org_id}/customers", {"name": "Anna"})
    await p.call("GET", f"/orgs/{p.sim.org_id}/customers", limit=5)
    path = f"/orgs/{p.sim.org_id}/customers"
    assert p.sim.calls == [("POST", path, {}, {"name": "Anna"}), ("GET", path, {"limit": "5"}, None)]
    assert (p.sim.count("GET", r"/customers$"), p.sim.count("POST", r"/logins")) == (1, 0)


async def test_a_large_panel_is_paged_through_completely() -> None:
    """Seeded customers each have an owner, a subscription and a website, and paging meets each of them once."""
    p = panel()
    p.sim.seed_many(3_000)
    for path, query in ((f"/orgs/{p.sim.org_id}/customers", {}),
                        (f"/orgs/{p.sim.org_id}/websites", {"recursion": "directCustomers"}),
                        ("/logins", {"sortBy": "email"})):  # fmt: skip
        found = {
            row["id"]
            for at in range(0, 3_000, 500)
            for row in (await p.get(path, offset=at, limit=500, **query))["items"]
        }
        assert len(found) == 3_000, path
    assert p.sim.world() == dict.fromkeys(("orgs", "logins", "members", "subscriptions", "websites"), 3_000)
    assert p.sim.violations == []


async def test_times_are_written_as_the_panel_writes_them() -> None:
    """Creation times are ISO strings in UTC with microseconds and a Z, and never equal."""
    p = panel()
    made = [p.sim.show(p.sim.add_customer(name))["createdAt"] for name in "abc"]
    assert made == sorted(set(made))
    assert all(len(one) == len("2026-01-01T00:00:00.000000Z") and one.endswith("Z") for one in made)
