"""The panel's operations by method and path, and the few that concern the panel itself."""

from __future__ import annotations

from collections.abc import Callable

from scripts.sim.enhance_sim import hosting, people
from scripts.sim.enhance_sim.ask import Answer, Ask


def version(ask: Ask) -> Answer:
    """The panel's version, for anybody."""
    return Answer(200, ask.knobs.version)


def status(ask: Ask) -> Answer:
    """Whether the panel is ready, for anybody."""
    return Answer(200, ask.knobs.status)


def licence(ask: Ask) -> Answer:
    """The licence, for the master org."""
    ask.only_master()
    return Answer(200, {"key": None, "status": ask.knobs.licence})


def branding(ask: Ask) -> Answer:
    """Names and name servers of an org, for anybody."""
    org = ask.world.org(ask.query.get("orgId", ask.world.master_id))
    return Answer(
        200,
        {
            "orgName": org.name,
            "parent": None,
            "controlPanelDomain": "panel.example.net",
            "nameServers": ["ns1.example.net", "ns2.example.net"],
            "stagingDomain": None,
            "settings": [],
            "locale": "en",
        },
    )


def server_groups(ask: Ask) -> Answer:
    """The server groups, for the master org."""
    ask.only_master()
    group = {
        "id": "5f1d7a90-0000-4000-8000-000000000001",
        "name": "Default",
        "serverCount": 1,
        "createdAt": "2024-01-01T00:00:00.000000Z",
    }
    return Answer(200, {"items": [group]})


def activities(ask: Ask) -> Answer:
    """What was added and removed; suspensions leave no trace here."""
    org = ask.org()
    rows = [one for one in ask.world.activities if one["orgId"] == org.id]
    return Answer(200, ask.page(rows, lambda _, row: row))


def access_tokens(ask: Ask) -> Answer:
    """The token of its own org: its first five characters, and its end if it has one."""
    ask.org()
    row = {"id": "5f1d7a90-0000-4000-8000-000000000002", "firstFive": ask.knobs.token[:5], "roles": ["SuperAdmin"]}
    ends = {"tokenExpires": ask.knobs.token_expires} if ask.knobs.token_expires else {}
    return Answer(200, [{**row, **ends, "friendlyName": "bridge", "allowedIps": [], "ipRestricted": False}])


Handler = Callable[[Ask], Answer]

PUBLIC = {"/version", "/status", "/branding", "/login/password-recovery"}

ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/version"): version,
    ("GET", "/status"): status,
    ("GET", "/licence"): licence,
    ("GET", "/branding"): branding,
    ("GET", "/servers/groups"): server_groups,
    ("GET", "/v2/orgs/{org_id}/activities"): activities,
    ("GET", "/orgs/{org_id}"): people.get_org,
    ("GET", "/orgs/{org_id}/access_tokens"): access_tokens,
    ("PATCH", "/orgs/{org_id}"): people.patch_org,
    ("DELETE", "/orgs/{org_id}"): people.delete_org,
    ("POST", "/orgs/{org_id}/customers"): people.create_customer,
    ("GET", "/orgs/{org_id}/customers"): people.list_customers,
    ("POST", "/logins"): people.create_login,
    ("GET", "/logins"): people.list_logins,
    ("GET", "/orgs/{org_id}/logins"): people.list_org_logins,
    ("GET", "/v2/orgs/{org_id}/customers/logins"): people.list_customer_logins,
    ("PUT", "/login/password-recovery"): people.recover_password,
    ("PUT", "/v2/logins/{login_id}/password"): people.set_password,
    ("POST", "/orgs/{org_id}/members"): people.create_member,
    ("GET", "/orgs/{org_id}/members"): people.list_members,
    ("GET", "/orgs/{org_id}/members/{member_id}"): people.get_member,
    ("DELETE", "/orgs/{org_id}/members/{member_id}"): people.delete_member,
    ("GET", "/orgs/{org_id}/members/{member_id}/sso"): people.sign_on,
    ("PUT", "/orgs/{org_id}/owner"): people.put_owner,
    ("GET", "/orgs/{org_id}/plans"): hosting.list_plans,
    ("GET", "/orgs/{org_id}/plans/{plan_id}"): hosting.get_plan,
    ("POST", "/orgs/{org_id}/customers/{customer_org_id}/subscriptions"): hosting.create_subscription,
    ("GET", "/orgs/{org_id}/customers/{customer_org_id}/subscriptions"): hosting.list_customer_subscriptions,
    ("GET", "/orgs/{org_id}/subscriptions"): hosting.list_subscriptions,
    ("GET", "/orgs/{org_id}/subscriptions/{subscription_id}"): hosting.get_subscription,
    ("PATCH", "/orgs/{org_id}/subscriptions/{subscription_id}"): hosting.patch_subscription,
    ("DELETE", "/orgs/{org_id}/subscriptions/{subscription_id}"): hosting.delete_subscription,
    ("PUT", "/orgs/{org_id}/subscriptions/{subscription_id}/calculate-resource-usage"): hosting.recalculate,
    ("GET", "/orgs/{org_id}/subscriptions/{subscription_id}/bandwidth"): hosting.bandwidth,
    ("POST", "/orgs/{org_id}/websites"): hosting.create_website,
    ("GET", "/orgs/{org_id}/websites"): hosting.list_websites,
    ("GET", "/orgs/{org_id}/websites/{website_id}"): hosting.get_website,
    ("PATCH", "/orgs/{org_id}/websites/{website_id}"): hosting.patch_website,
    ("DELETE", "/orgs/{org_id}/websites/{website_id}"): hosting.delete_website,
    ("POST", "/orgs/{org_id}/domains/check"): hosting.check_domain,
}
