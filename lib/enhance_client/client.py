"""The panel's calls that provisioning needs, as model objects.

Two rules of the panel that are easily confused: lists and creation of a customer's subscriptions go through *our*
organisation, everything else about them through *theirs*. Optional fields arrive as `null`; unknown ones are ignored.
"""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from lib.config import Secret
from lib.enhance_client.rows import (
    DOMAIN_STATUSES,
    Org,
    Row,
    Website,
    email_of,
    known,
    new_id,
    new_number,
    read_org,
    read_plan,
    read_subscription,
    read_used,
    read_website,
    token_end,
)
from lib.enhance_client.transport import WEBSITE_TIMEOUT, Handling, Transport
from lib.errors import Conflict, Denied, Incomplete, NotFound, Refused
from lib.model import PanelPlan, PanelSubscription, Resource
from lib.model.reason import Reason, SettingsFault
from lib.policy.plan_references import plans_meant
from lib.reading import Answer

PAGE = 200
"""Rows of one list page; the panel's own maximum is not documented, 500 is in use elsewhere."""

LARGE_PAGE = 500
"""Rows of one page where everything is listed; other integrations use as many in production."""

PLANS_FRESH = 300.0
"""Seconds for which the plan list is taken as known: plans change by hand, and rarely."""

CREATED_MARGIN = timedelta(minutes=15)
"""How far the panel's clock may be off when a search goes back to the time of an intent."""

OWN_ORG_FRESH = 60.0
"""Seconds for which a wrong `ENHANCE_ORG_ID` is taken as known: it is asked about once, not for each customer."""


class EnhanceClient:
    """One panel, seen from the organisation that the token belongs to, for one event loop.

    Raises what `answers.read_answer` says, from every method.
    """

    def __init__(self, url: str, token: Secret, org_id: str) -> None:
        self._transport = Transport(url, token)
        self._token = token
        self.pulse = self._transport.pulse
        self._org_id = org_id
        self._plans: tuple[float, tuple[PanelPlan, ...]] | None = None
        self._wrong_org: tuple[float, Denied] | None = None
        """Since when our own organisation is known to be wrong, on the steady clock."""

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    def forget(self) -> None:
        """Forget what is taken as known for a while: the plans, and that our own organisation is wrong."""
        self._plans = self._wrong_org = None

    # --- organisation, login, owner ---

    async def check(self) -> str:
        """Prove that token and organisation fit together; the organisation's name.

        Raises:
            Denied: `panel_org`, or the token's own trouble.
        """
        if self._wrong_org is not None and time.monotonic() - self._wrong_org[0] < OWN_ORG_FRESH:
            raise self._wrong_org[1]
        said = f"organisation {self._org_id} is deleted, unknown or not the token's own: check ENHANCE_ORG_ID"
        wrong = Denied(SettingsFault.PANEL_ORG, said)
        try:
            org = read_org(await self._transport.request("GET", f"/orgs/{self._org_id}"), self._org_id)
        except NotFound as error:
            self._wrong_org = time.monotonic(), wrong
            raise wrong from error
        if org.deleted:
            self._wrong_org = time.monotonic(), wrong
            raise wrong
        return org.name

    async def token_ends(self) -> datetime | None:
        """When our own token ends; `None`: never, or the panel does not show which of its tokens is ours.

        A token is listed with its first five characters only.
        """
        listed = await self._transport.request("GET", f"/orgs/{self._org_id}/access_tokens")
        return token_end(listed, self._token.reveal()[:5])

    async def create_org(self, name: str) -> str:
        """Create a customer organisation; its id. The name is its only field, so it carries the mark."""
        return new_id(await self._ours("POST", f"/orgs/{self._org_id}/customers", body={"name": name}))

    async def rename_org(self, org_id: str, name: str) -> None:
        """Give a customer organisation another name."""
        await self._transport.request("PATCH", f"/orgs/{org_id}", body={"name": name})

    async def org(self, org_id: str) -> Org:
        """One organisation as it stands, a soft-deleted one too."""
        return read_org(await self._transport.request("GET", f"/orgs/{org_id}"), org_id)

    async def orgs_page(self, offset: int) -> tuple[list[Org], int | None]:
        """A page of all customer organisations, oldest first, deleted ones too, and where the next one begins."""
        rows, after = await self._page(f"/orgs/{self._org_id}/customers", {"sortBy": "createdAt"}, offset, LARGE_PAGE)
        return [read_org(row) for row in rows], after

    async def find_org(self, mark: str, since: datetime) -> Org | None:
        """The living organisation whose name carries `mark` and that is not older than `since`, give or take.

        Raises:
            Refused: `ambiguous_org`, more than one carries the mark.
        """
        found = []
        newest_first = True
        previous = ""
        query: dict[str, str | int] = {"sortBy": "createdAt", "sortOrder": "desc"}
        async for row in self._each(f"/orgs/{self._org_id}/customers", query):
            created = str(row.get("createdAt") or "")
            newest_first = newest_first and (not previous or created <= previous)
            previous = created
            org = read_org(row)
            if mark in org.name and not org.deleted:
                found.append(org)
            when = _when(created)
            if newest_first and when is not None and when < since - CREATED_MARGIN:
                break
        if len(found) > 1:
            ids = ", ".join(org.id for org in found)
            raise Refused(
                Reason.AMBIGUOUS_ORG, f"several organisations carry the mark {mark}: {ids}; delete all but one"
            )
        return found[0] if found else None

    async def create_login(self, org_id: str, email: str, name: str) -> str:
        """Create the login with a password that nobody ever learns, or find the one that this e-mail has; its id.

        Raises:
            Refused: `login_not_found`, the panel says that it exists and shows it in no list.
        """
        body = {"email": email, "name": name, "password": _password()}
        try:
            return new_id(await self._transport.request("POST", "/logins", body=body, query={"orgId": org_id}))
        except Conflict as conflict:
            found = await self._find_login(email)
            if found is None:
                raise Refused(
                    Reason.LOGIN_NOT_FOUND,
                    "the panel has a login for this e-mail but lists it nowhere; see its deleted customers",
                ) from conflict
            return found

    async def _find_login(self, email: str) -> str | None:
        wanted = email.strip().casefold()
        async for row in self._each(f"/v2/orgs/{self._org_id}/customers/logins", {}):
            if email_of(row) == wanted:
                return known(row, "login").uuid("id")
        try:  # the whole realm, which only a token of the master organisation may see
            async for row in self._each("/logins", {"realmId": self._org_id}):
                if email_of(row) == wanted:
                    return known(row, "login").uuid("id")
        except (Denied, Refused):
            return None
        return None

    async def add_owner(self, org_id: str, login_id: str) -> str:
        """Make the login the organisation's owner, or find that it is; the member id."""
        body = {"loginId": login_id, "roles": ["Owner"]}
        try:
            return new_id(await self._transport.request("POST", f"/orgs/{org_id}/members", body=body))
        except Conflict:
            async for row in self._each(f"/orgs/{org_id}/members", {}):
                member = known(row, "member")
                if member.uuid("loginId") == login_id:
                    return member.uuid("id")
            raise

    async def sign_on(self, org_id: str, member_id: str) -> str:
        """A link that logs somebody in as this member, without a second factor: good once, for a short time.

        It is asked for once only: each answer is a key of its own.
        """
        route = f"/orgs/{org_id}/members/{member_id}/sso"
        link = await self._transport.request("GET", route, handling=Handling(repeat=False))
        if not isinstance(link, str) or not re.fullmatch(r"https?://[^\s/]+/[!-~]*", link):
            raise Refused(Reason.PANEL_REFUSED, f"GET {route}: the answer is no link")  # what it is is told to nobody
        return link

    async def send_recovery(self, email: str) -> None:
        """Have the panel mail a link to set a password. It answers 200 even when it knows no such e-mail."""
        await self._transport.request(
            "PUT",
            "/login/password-recovery",
            body={"email": email},
            query={"realmId": self._org_id},
            handling=Handling(repeat=False),
        )

    # --- plans ---

    async def plans(self, *, fresh: bool = False) -> tuple[PanelPlan, ...]:
        """Every plan of our organisation, at most `PLANS_FRESH` seconds old."""
        if fresh or self._plans is None or time.monotonic() - self._plans[0] > PLANS_FRESH:
            rows = await self._all(f"/orgs/{self._org_id}/plans")
            self._plans = (time.monotonic(), tuple(read_plan(row) for row in rows))
        return self._plans[1]

    async def plan(self, reference: str) -> PanelPlan:
        """The plan that a mapping means: by integer id, else by exact name.

        Raises:
            Refused: `plan_not_found`, or `plan_ambiguous` when two plans have that name.
        """
        for fresh in (False, True):
            found = plans_meant(reference, await self.plans(fresh=fresh))
            if len(found) == 1:
                return found[0]
            if len(found) > 1:
                raise Refused(
                    Reason.PLAN_AMBIGUOUS, f"the panel has {len(found)} plans named {reference!r}; map its id"
                )
        raise Refused(
            Reason.PLAN_NOT_FOUND, f"the panel has no plan {reference!r}; correct enhance_plan_id in plan_mappings"
        )

    # --- subscriptions ---

    async def subscriptions(self, org_id: str) -> tuple[PanelSubscription, ...]:
        """Every subscription of a customer, deleted ones too.

        Raises:
            NotFound: the organisation is gone.
        """
        return tuple(read_subscription(row) for row in await self._all(self._of_customer(org_id)))

    async def subscription(self, org_id: str, subscription_id: int) -> PanelSubscription:
        """One hosting subscription as it stands, a soft-deleted one too."""
        route = f"/orgs/{org_id}/subscriptions/{subscription_id}"
        found = read_subscription(await self._transport.request("GET", route))
        if found.id != subscription_id:
            raise Incomplete(f"GET {route}: the answer is another one, {found.id}")
        return found

    async def create_subscription(self, org_id: str, plan_id: int, friendly_name: str) -> int:
        """Create a hosting subscription; its id. Never repeat it without looking: the panel allows duplicates."""
        body = {"planId": plan_id, "friendlyName": friendly_name}
        answer = await self._ours("POST", self._of_customer(org_id), body=body)
        return new_number(answer)

    async def suspend(self, org_id: str, subscription_id: int) -> None:
        """Switch a hosting subscription off. The panel notes who did, in `suspendedBy`."""
        await self._update(org_id, subscription_id, {"isSuspended": True}, repeat_lost=False)

    async def resume(self, org_id: str, subscription_id: int) -> None:
        """Switch it on again, whoever had suspended it: the caller must know that it was we."""
        await self._update(org_id, subscription_id, {"isSuspended": False}, repeat_lost=False)

    async def change_plan(self, org_id: str, subscription_id: int, plan_id: int) -> None:
        """Move to another plan. Some moves down are refused, with an answer that nobody has documented."""
        await self._update(org_id, subscription_id, {"planId": plan_id})

    async def name_subscription(self, org_id: str, subscription_id: int, friendly_name: str) -> None:
        """Give it another friendly name, which carries our mark."""
        await self._update(org_id, subscription_id, {"friendlyName": friendly_name})

    async def terminate(self, org_id: str, subscription_id: int) -> None:
        """Soft-delete: services off, data kept; the panel's own retention follows."""
        await self._transport.request("DELETE", f"/orgs/{org_id}/subscriptions/{subscription_id}")

    async def hard_delete(self, org_id: str, subscription_id: int) -> None:
        """Wipe a subscription with all its data, for good. Only a token of the master organisation may."""
        route = f"/orgs/{org_id}/subscriptions/{subscription_id}"
        await self._transport.request("DELETE", route, query={"force": "true"}, handling=Handling(wipe=True))

    async def usage(self, org_id: str, subscription_id: int) -> tuple[Resource, ...]:
        """Fresh usage: the panel counts again before it answers.

        Raises:
            Incomplete: it counted nothing; what is used then nobody knows.
        """
        route = f"/orgs/{org_id}/subscriptions/{subscription_id}/calculate-resource-usage"
        said = Answer(await self._transport.request("PUT", route), f"the panel's usage of {subscription_id}")
        counted = tuple(read_used(row, said.what) for row in said.rows("items"))
        if not counted:
            raise said.lacks("items")
        return counted

    async def _update(
        self, org_id: str, subscription_id: int, change: dict[str, int | bool | str], *, repeat_lost: bool = True
    ) -> None:
        route = f"/orgs/{org_id}/subscriptions/{subscription_id}"
        await self._transport.request("PATCH", route, body=change, handling=Handling(repeat_lost=repeat_lost))

    # --- domains and websites ---

    async def check_domain(self, org_id: str, domain: str) -> tuple[str, str | None]:
        """Whether a website could have this domain: (status, the website that has it in this organisation)."""
        answer = await self._transport.request("POST", f"/orgs/{org_id}/domains/check", body={"domain": domain})
        said = Answer(answer, f"the panel's check of {domain}")
        status = said.one_of("status", DOMAIN_STATUSES)
        return status, said.uuid("websiteId") if status == "inUseCurrentOrg" else None

    async def domain_is_free(self, domain: str) -> bool:
        """Whether a customer who is yet to come could have a website with this domain, nobody's deleted one either."""
        status, _ = await self.check_domain(self._org_id, domain)
        return status == "notInUse"

    async def create_website(
        self, org_id: str, subscription_id: int, domain: str, server_group_id: str | None = None
    ) -> str:
        """Create a website; its id. One at a time over all processes, and never again after a lost answer."""
        body: dict[str, str | int] = {"domain": domain, "subscriptionId": subscription_id}
        if server_group_id:
            body["serverGroupId"] = server_group_id
        route = f"/orgs/{org_id}/websites"
        return new_id(
            await self._transport.request("POST", route, body=body, handling=Handling(patience=WEBSITE_TIMEOUT))
        )

    async def website(self, org_id: str, website_id: str) -> Website:
        """One website as it stands, a soft-deleted one too."""
        found = read_website(await self._transport.request("GET", f"/orgs/{org_id}/websites/{website_id}"))
        if found.id != website_id.lower():
            raise Incomplete(f"the panel showed website {found.id} instead of {website_id}")
        return found

    async def move_website(self, org_id: str, website_id: str, subscription_id: int) -> None:
        """Put a website under another subscription of its organisation; the panel may refuse what is over its quota."""
        await self._update_website(org_id, website_id, {"subscriptionId": subscription_id})

    async def resume_website(self, org_id: str, website_id: str) -> None:
        """Switch one website on again, whoever had suspended it: the caller must know that it was we."""
        await self._update_website(org_id, website_id, {"isSuspended": False})

    async def _update_website(self, org_id: str, website_id: str, change: dict[str, int | bool]) -> None:
        # Not repeated at once after no answer came: the first try may land when what it was for has ended.
        route = f"/orgs/{org_id}/websites/{website_id}"
        await self._transport.request("PATCH", route, body=change, handling=Handling(repeat_lost=False))

    async def website_of(self, domain: str) -> Website | None:
        """The website with this domain, of ourselves or any customer; a living one before a deleted one.

        The panel's search is partial, so every row is compared; one that knew no search would list everything, so only
        the first page is.
        """
        found = None
        query: dict[str, str | int] = {"search": domain, "recursion": "infinite"}
        rows, _ = await self._page(f"/orgs/{self._org_id}/websites", query, 0, PAGE)
        for row in rows:
            website = read_website(row)
            if website.domain == domain and (found is None or found.deleted):
                found = website
        return found

    async def websites_page(self, offset: int) -> tuple[list[Website], int | None]:
        """A page of the websites of all direct customers, deleted ones too, and where the next one begins."""
        query: dict[str, str | int] = {"recursion": "directCustomers", "sortBy": "createdAt"}
        rows, after = await self._page(f"/orgs/{self._org_id}/websites", query, offset, LARGE_PAGE)
        return [read_website(row) for row in rows], after

    # --- underneath ---

    def _of_customer(self, org_id: str) -> str:
        return f"/orgs/{self._org_id}/customers/{org_id}/subscriptions"

    async def _ours(self, method: str, route: str, **options: Any) -> Any:
        """A request to our own organisation. That *it* is unknown is no customer's matter.

        Raises:
            Denied: `panel_org`; known already, the panel is not asked again for a while.
        """
        if self._wrong_org is not None:
            await self.check()
        try:
            return await self._transport.request(method, route, **options)
        except NotFound:
            await self.check()
            raise

    async def _each(self, route: str, query: dict[str, str | int]) -> AsyncIterator[Row]:
        """Every row of a list. Ends by an empty page or by `total`: neither is promised alone."""
        offset: int | None = 0
        while offset is not None:
            rows, offset = await self._page(route, query, offset, PAGE)
            for row in rows:
                yield row

    async def _all(self, route: str) -> list[Row]:
        """Every row of a list from which something is missed, or made, when it is not whole.

        Raises:
            Incomplete: the panel counts more than it shows.
        """
        found: dict[str, Row] = {}
        total: int | None = None
        offset: int | None = 0
        while offset is not None:
            rows, total, offset = await self._counted(route, {}, offset, PAGE)
            found.update({str(row["id"]): row for row in rows})
        if total is not None and len(found) < total:
            raise Incomplete(f"GET {route}: the panel counts {total} and shows {len(found)}")
        return list(found.values())

    async def _page(
        self, route: str, query: dict[str, str | int], offset: int, limit: int
    ) -> tuple[list[Row], int | None]:
        rows, _, after = await self._counted(route, query, offset, limit)
        return rows, after

    async def _counted(
        self, route: str, query: dict[str, str | int], offset: int, limit: int
    ) -> tuple[list[Row], int | None, int | None]:
        """A page of a list, how many rows the panel counts in all, and where the next page begins.

        Raises:
            Incomplete: there is no list, or none of the rows that there should be: it must never be taken for "there
                is nothing", or all would be made again.
        """
        whole = {**query, "offset": offset, "limit": limit}
        ask = self._ours if route.startswith(f"/orgs/{self._org_id}/") else self._transport.request
        page = Answer(await ask("GET", route, query=whole), f"the panel's list {route}")
        rows = page.rows("items")
        for row in rows:
            if row.get("id") is None:
                raise Incomplete(f"a row of {page.what} lacks id")
        total = page.count("total") if page.maybe("total") else None
        offset += len(rows)
        if not rows and total is not None and offset < total:
            raise Incomplete(f"{page.what} counts {total} and shows none behind {offset}")
        return rows, total, offset if rows and (total is None or offset < total) else None


def _password() -> str:
    """A password that satisfies any policy: the panel's is undocumented, so all four classes and ample length."""
    classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#%+-_=?")
    letters = [secrets.choice(kind) for kind in classes for _ in range(7)]
    secrets.SystemRandom().shuffle(letters)
    return "".join(letters)


def _when(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else None
