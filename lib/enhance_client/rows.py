"""What the panel's objects say, read as model objects: what a decision needs must be there (`lib.reading`).

Optional fields arrive as `null` or not at all; unknown ones are ignored. What is required stands in the panel's OpenAPI
description.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from lib.errors import Incomplete, OutcomeUnknown
from lib.model import PanelPlan, PanelSubscription, Resource
from lib.reading import Answer

_LIVES = frozenset({"active", "deleted"})
_WEBSITE_LIVES = frozenset({"active", "disabled", "deleted"})
DOMAIN_STATUSES = frozenset({"notInUse", "inUseCurrentOrg", "inUseAnotherOrg", "inUseDeletedSite", "prohibited"})
"""Closed sets for us: on a word that is not among them nothing is decided."""

Row = dict[str, Any]


class Org(Struct, frozen=True):
    """A customer organisation as a listing shows it."""

    id: str
    name: str
    deleted: bool
    suspended_by: str | None
    owner_email: str | None
    owner_login_id: str | None
    owner_member_id: str | None
    subscriptions_count: int = 0


class Website(Struct, frozen=True):
    """A website: its primary domain and the subscription it lives in."""

    id: str
    domain: str
    subscription_id: int | None
    org_id: str
    deleted: bool
    off: bool = False
    """Disabled or suspended, by itself or with its subscription."""
    plan_id: int | None = None
    suspended_by: str | None = None
    """Who suspended it, by itself or with its subscription or organisation."""
    size: int = 0
    """Bytes on disk."""


def new_id(answer: object) -> str:
    """The id of what was just made; without one nobody knows what the panel's yes meant."""
    try:
        return Answer(answer, "the panel's answer").uuid("id")
    except Incomplete as error:
        raise OutcomeUnknown(f"the panel accepted and named no id: {error}", answered=True) from error


def new_number(answer: object) -> int:
    """`_new_id` of what the panel numbers."""
    try:
        return Answer(answer, "the panel's answer").count("id")
    except Incomplete as error:
        raise OutcomeUnknown(f"the panel accepted and named no id: {error}", answered=True) from error


def known(row: object, kind: str) -> Answer:
    return Answer(row, f"the panel's {kind} {row.get('id') if isinstance(row, dict) else ''}".rstrip())


def email_of(row: Row) -> str:
    return known(row, "login").text("email").strip().casefold()


def _optional(said: Answer, name: str) -> str | None:
    """A field that the panel leaves out, or shows as null, where there is nothing."""
    return said.text(name) if said.maybe(name) else None


def read_org(row: object, wanted: str | None = None) -> Org:
    said = known(row, "organisation")
    if wanted is not None and said.uuid("id") != wanted.lower():
        raise Incomplete(f"the panel showed {said.what} instead of {wanted}")
    return Org(
        id=said.uuid("id"),
        name=said.text("name", empty=True),
        deleted=said.one_of("status", _LIVES) == "deleted",
        suspended_by=_optional(said, "suspendedBy"),
        owner_email=_optional(said, "ownerEmail"),
        owner_login_id=said.uuid("ownerLoginId") if said.maybe("ownerLoginId") else None,
        owner_member_id=said.uuid("ownerId") if said.maybe("ownerId") else None,
        subscriptions_count=said.count("subscriptionsCount"),
    )


def _resource(row: Row, where: str) -> Resource:
    """What a plan allows; no total is no limit."""
    said = Answer(row, f"a resource of {where}")
    return Resource(said.text("name"), said.number("total") if said.maybe("total") else None)


def read_used(row: Row, where: str) -> Resource:
    """What is used of a resource: never taken for nothing because it is not said."""
    limit = _resource(row, where)
    return Resource(limit.name, limit.total, Answer(row, f"{limit.name} of {where}").number("usage"))


def read_plan(row: Row) -> PanelPlan:
    said = known(row, "plan")
    resources = tuple(_resource(r, said.what) for r in said.rows("resources"))
    return PanelPlan(said.count("id"), said.text("name"), resources)


def read_subscription(row: object) -> PanelSubscription:
    said = known(row, "hosting subscription")
    return PanelSubscription(
        id=said.count("id"),
        plan_id=said.count("planId"),
        plan_name=said.text("planName"),
        friendly_name=said.text_or_none("friendlyName") or "",
        deleted=said.one_of("status", _LIVES) == "deleted",
        suspended_by=said.uuid("suspendedBy") if said.maybe("suspendedBy") else None,
        resources=tuple(read_used(r, said.what) for r in said.rows("resources")),
    )


def read_website(row: object) -> Website:
    said = known(row, "website")
    status = said.one_of("status", _WEBSITE_LIVES)
    suspended_by = said.uuid("suspendedBy") if said.maybe("suspendedBy") else None
    return Website(
        id=said.uuid("id"),
        domain=said.inner("domain").text("domain").lower(),
        subscription_id=said.count("subscriptionId") if said.maybe("subscriptionId") else None,
        org_id=said.uuid("orgId"),
        deleted=status == "deleted",
        off=status == "disabled" or suspended_by is not None,
        plan_id=said.count("planId") if said.maybe("planId") else None,
        suspended_by=suspended_by,
        size=said.number("size"),
    )


def token_end(listed: object, first_five: str) -> datetime | None:
    """When the one token of a listing ends that begins so; `None`: never, or there is not exactly one, or no such list.

    Nothing is decided by it but a warning, so that an answer of another shape is no trouble.
    """
    rows = listed.get("items") if isinstance(listed, dict) else listed
    tokens = rows if isinstance(rows, list) else []
    ours = [one for one in tokens if isinstance(one, dict) and one.get("firstFive") == first_five]
    ends = ours[0].get("tokenExpires") if len(ours) == 1 else None
    try:
        at = datetime.fromisoformat(ends) if isinstance(ends, str) else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
