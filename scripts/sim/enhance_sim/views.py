"""The panel's objects as its API shows them, with the nulls and the extra fields of a live panel."""

from __future__ import annotations

from typing import Any

from scripts.sim.enhance_sim.world import Login, Member, Org, Plan, Subscription, Website, World

Json = dict[str, Any]


def org(world: World, one: Org) -> Json:
    """An Org; whatever is said of the owner is derived from the Owner member's login."""
    owner = world.members.get(one.owner_id or "")
    login = world.logins[owner.login_id] if owner else None
    return {
        "id": one.id,
        "parentId": one.parent_id,
        "name": one.name,
        "status": "deleted" if world.gone(one) else "active",
        "suspendedBy": one.suspended_by,
        "owner": login.name if login else None,
        "ownerEmail": login.email if login else None,
        "ownerId": one.owner_id,
        "ownerLoginId": login.id if login else None,
        "ownerAvatarPath": None,
        "subscriptionsCount": sum(not world.subscription_gone(world.subscriptions[s]) for s in one.subscription_ids),
        "websitesCount": sum(world.website_status(world.websites[w]) != "deleted" for w in one.website_ids),
        "createdAt": one.created_at,
        "locale": one.locale,
        "slackNotificationWebhookUrl": None,
        "tier": None,
    }


def login(_world: World, one: Login) -> Json:
    """A Login; never its password."""
    return {
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "colorCode": "#4f46e5",
        "registeredAt": one.registered_at,
        "passwordLastChangedAt": one.password_changed_at,
        "avatarPath": None,
        "authMethod": "basic",
        "locale": "en",
        "realmId": one.realm_id,
    }


def member(world: World, one: Member) -> Json:
    """A Member with the name and address of its login."""
    person = world.logins[one.login_id]
    return {
        "id": one.id,
        "loginId": one.login_id,
        "isActive": True,
        "email": person.email,
        "name": person.name,
        "roles": one.roles,
        "siteAccesses": [],
        "notifications": [],
        "joinedAt": one.joined_at,
        "avatarPath": None,
        "colorCode": "#4f46e5",
        "authMethod": "basic",
    }


def plan(_world: World, one: Plan) -> Json:
    """A Plan; a null total is no limit."""
    return {
        "id": one.id,
        "name": one.name,
        "orgId": one.org_id,
        "resources": [{"name": name, "total": total} for name, total in one.resources.items()],
        "allowances": [{"name": "featureSSH"}],
        "selections": [],
        "subscriptionsCount": one.subscriptions,
        "serverGroupId": None,
        "serverGroupIds": [],
        "allowServerGroupSelection": False,
        "createdAt": one.created_at,
        "planType": "shared",
        "cgroupLimits": None,
        "fsQuotaLimit": None,
        "allowedPhpVersions": [],
        "defaultPhpVersion": "php83",
        "redisAllowed": True,
        "preinstallWordpressTheme": None,
        "persistentAppsAllowed": True,
        "allowedApps": None,
    }


def used_resources(world: World, one: Subscription) -> list[Json]:
    """What a subscription may use and does use."""
    used = world.used(one)
    totals = world.plans[one.plan_id].resources
    names = [*totals, *(name for name in used if name not in totals)]
    return [{"name": name, "total": totals.get(name), "usage": used.get(name, 0)} for name in names]


def subscription(world: World, one: Subscription) -> Json:
    """A Subscription: suspended is a `suspendedBy`, never a status."""
    bought = world.plans[one.plan_id]
    return {
        "id": one.id,
        "planId": one.plan_id,
        "planName": bought.name,
        "subscriberId": one.org_id,
        "vendorId": one.vendor_id,
        "status": "deleted" if world.subscription_gone(one) else "active",
        "suspendedBy": one.suspended_by,
        "resources": used_resources(world, one),
        "allowances": [{"name": "featureSSH"}],
        "selections": [],
        "dedicatedServers": None,
        "planType": "shared",
        "allowedPhpVersions": [],
        "defaultPhpVersion": "php83",
        "redisAllowed": True,
        "serverGroups": [],
        "preinstallWordpressTheme": None,
        "friendlyName": one.friendly_name,
        "persistentAppsAllowed": True,
        "allowedApps": None,
    }


def website(world: World, one: Website, *, full: bool = False) -> Json:
    """A Website; its host name is `domain.domain`. The single view says more than a list row."""
    held = world.subscriptions[one.subscription_id] if one.subscription_id is not None else None
    bought = world.plans[held.plan_id] if held else None
    row: Json = {
        "id": one.id,
        "domain": {
            "id": one.domain_id,
            "domain": one.domain,
            "documentRoot": "public_html",
            "kind": "primary",
            "cloudflareStatus": "Disconnected",
        },
        "aliases": [],
        "subdomains": [],
        "subscriptionId": one.subscription_id,
        "planId": bought.id if bought else None,
        "plan": bought.name if bought else None,
        "status": world.website_status(one),
        "suspendedBy": world.website_suspender(one),
        "colorCode": "#4f46e5",
        "tags": [],
        "size": 0,
        "orgId": one.org_id,
        "org": world.orgs[one.org_id].name,
        "kind": one.kind,
        "parent": None,
        "parentId": None,
        "phpVersion": one.php_version,
        "createdAt": one.created_at,
        "ssh": False,
    }
    if full:
        row["unixUser"] = f"u{one.id[:8]}"
        row["serverIps"] = [{"ip": "192.0.2.10", "isPrimary": True}]
        row["canUse"] = {
            "ftp": True,
            "fileManager": True,
            "phpVersions": ["php83", "php84"],
            "redis": True,
            "modSec": True,
            "backup": True,
            "mysqlKind": "mariaDbLts",
            "persistentApps": True,
            "roundcubeSso": None,
            "postgresql": False,
        }
    return row
