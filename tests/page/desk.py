"""What the tests in a browser share: the world behind the page, and the operator in front of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect
from psycopg.rows import dict_row

from lib.stripe_events import SUBSCRIBE_TO
from scripts.demo_world.acts import open_checkout
from scripts.demo_world.people import charges_of
from scripts.demo_world.stage import PLAN, PRICE, Stage
from scripts.demo_world.watch import busy

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response

PATIENCE = 20.0
"""Seconds until what should happen soon counts as never."""

LOOKS = 20
"""After so many looks at what is due the cron comes, a second or so."""

SERIOUS = ("serious", "critical")
"""Of axe's grades of an obstacle, those that keep somebody from using the page."""

BROKEN_RULES = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`securitypolicyviolation: ${event.violatedDirective} refuses ${event.blockedURI} ${event.sample}`));
"""
"""Tells of each breach of the Content-Security-Policy in our own words; Chromium's differ from one to the next."""

FRAMES = """
() => new Promise((done) =>
  requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => setTimeout(done)))))
"""
"""Ends when the page has drawn twice, and so has begun whatever follows from what it shows."""


@dataclass(frozen=True)
class Buyer:
    """Somebody who bought something."""

    name: str
    email: str
    domain: str
    customer: str
    subscription: str


class World:
    """Stripe, the panel, the database and the functions; what happens outside of the page."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._buyers = 0
        endpoint: Any = {"url": f"{stage.base}/api/webhook", "enabled_events": [*SUBSCRIBE_TO]}
        stage.sdk.v1.webhook_endpoints.create(endpoint)

    @property
    def key(self) -> str:
        """What opens the page."""
        return self.stage.environ["ADMIN_API_KEY"]

    def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """The rows of one statement."""
        with self.stage.database.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *values: object) -> Any:
        """The only value of the only row."""
        (row,) = self.sql(statement, *values)
        (found,) = row.values()
        return found

    def admin(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """An answer of the admin's routes, which must be a good one."""
        headers = self.stage.bearer("ADMIN_API_KEY") | more.pop("headers", {})
        answer = httpx.request(method, f"{self.stage.base}{path}", headers=headers, timeout=PATIENCE, **more)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def map(self, price: str, plan: str | None, **columns: object) -> None:
        """Type a mapping the way an operator does."""
        row = {"billing_provider": "stripe", "billing_plan_id": price, "enhance_plan_id": plan, **columns}
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        self.sql(f"INSERT INTO plan_mappings ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", *row.values())  # noqa: S608

    def unmap(self, price: str) -> None:
        """Take a mapping away, the way an operator does."""
        self.sql("DELETE FROM plan_mappings WHERE billing_plan_id = %s", price)

    def buy(self, name: str, price: str = PRICE, *, settle: bool = True) -> Buyer:
        """Somebody new buys a plan by card, and has it unless something is in the way."""
        self._buyers += 1
        first = name.split(maxsplit=1)[0].lower()
        email, domain = f"{first}{self._buyers}@example.com", f"{first}{self._buyers}.example"
        customer = self.stage.stripe.create_customer(email=email, name=name)["id"]
        bought = self.stage.stripe.subscribe(customer, [price], metadata={"domain": domain})
        if settle:
            self.settle()
        return Buyer(name, email, domain, customer, bought["id"])

    def order(self, name: str, price: str = PRICE) -> Buyer:
        """Somebody new buys through Stripe's Checkout, as a seller's page opens it; it is an order of ours."""
        self._buyers += 1
        first = name.split(maxsplit=1)[0].lower()
        email, domain = f"{first}{self._buyers}@example.com", f"{first}{self._buyers}.example"
        session = open_checkout(self.stage, price=price)
        self.stage.stripe.complete_checkout(session["id"], email=email, name=name, domain=domain)
        self.settle()
        return Buyer(name, email, domain, session["customer"], session["subscription"])

    def fall_unpaid(self, buyer: Buyer) -> None:
        """The card fails until Stripe gives up, which nobody has heard of yet."""
        self.stage.stripe.fail_payment(buyer.subscription)
        self.stage.stripe.mark_unpaid(buyer.subscription)

    def dispute(self, buyer: Buyer) -> str:
        """The last payment is disputed at the bank; the dispute's id."""
        dispute = self.stage.stripe.dispute(self.charge(buyer)["id"], "needs_response")
        self.settle()
        return str(dispute["id"])

    def sell_by_transfer(self) -> None:
        """Map what is paid by bank transfer."""
        self.map("basic-by-transfer", PLAN, billing_provider="bank_transfer")

    def transfer(self, name: str) -> dict[str, Any]:
        """Somebody orders by bank transfer, 19.00 EUR, and has paid nothing yet; the order."""
        self._buyers += 1
        email = f"{name.split(maxsplit=1)[0].lower()}{self._buyers}@example.com"
        self.sell_by_transfer()
        sold = {"billingPlanId": "basic-by-transfer", "amount": 1900, "currency": "eur", "email": email, "name": name}
        body = {"action": "create", "provider": "bank_transfer", **sold}
        order: dict[str, Any] = self.admin("POST", "/api/admin/orders", json=body)["order"]
        return order

    def settle(self) -> None:
        """Deliver what happened at Stripe, and wait until no pass is running and none could.

        What comes due by its own date, such as the numbers of an earlier payment, no delivery runs, but the cron.
        """
        self.stage.courier.deliver_due()
        looks = 0

        def settled() -> bool:
            nonlocal looks
            looks += 1
            if looks % LOOKS == 0:
                self.drain()
            return not busy(self.stage)

        self.wait(settled)

    def wait(self, reached: Any) -> None:
        """Look until it is so."""
        end = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < end, "it never came to that"
            time.sleep(0.05)

    def service(self, buyer: Buyer) -> dict[str, Any]:
        """The one service of somebody, as we remember it."""
        (row,) = self.sql("SELECT * FROM services WHERE subscription_id = %s", buyer.subscription)
        return row

    def count_anew(self) -> None:
        """Have the brake forget what others did before, as it does after an hour."""
        self.sql("UPDATE brake SET released_at = now() WHERE engaged_at IS NULL")

    def charge(self, buyer: Buyer) -> Any:
        """The last charge of somebody at Stripe."""
        return charges_of(self.stage.stripe, self.stage.stripe.get(buyer.subscription))[0]

    def hosting(self, buyer: Buyer) -> Any:
        """The hosting of somebody as the panel itself has it."""
        found = [one for one in self.stage.panel.subscriptions.values() if buyer.subscription in one.friendly_name]
        assert len(found) == 1, f"{buyer.name} has {len(found)} hostings"
        return found[0]

    def suspended(self, buyer: Buyer) -> bool:
        """Whether somebody's hosting is off in the panel itself."""
        return self.hosting(buyer).suspended_by is not None

    def plan(self, buyer: Buyer) -> int:
        """The plan of somebody in the panel."""
        return int(self.hosting(buyer).plan_id)

    def fill_up(self, buyer: Buyer, diskspace: int) -> None:
        """Have somebody use so many bytes of their hosting."""
        self.stage.panel.set_usage(self.hosting(buyer).id, diskspace=diskspace)

    def drain(self) -> None:
        """Run what is due, as the cron does."""
        answer = httpx.get(
            f"{self.stage.base}/api/cron/drain", headers=self.stage.bearer("CRON_SECRET"), timeout=PATIENCE
        )
        assert answer.is_success, answer.text

    def problems(self, buyer: Buyer) -> list[str]:
        """The reasons that somebody is parked for."""
        rows = self.sql("SELECT problems FROM due WHERE key = %s", buyer.customer)
        return [problem["reason"] for row in rows for problem in row["problems"] or ()]


@dataclass
class Desk:
    """The operator's browser."""

    page: Page
    world: World
    _forgiven: list[str] = field(default_factory=list)
    _trouble: list[str] = field(default_factory=list)
    _asked: set[Request] = field(default_factory=set)
    """What the browser waits for."""
    _lost: int = 0
    """Answers so far that are errors."""
    _told: int = 0
    """Lost requests and such answers of which the browser has told."""

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.add_init_script(BROKEN_RULES)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self._trouble.append(f"error: {error}"))
        self.page.on("request", self._on_asked)
        self.page.on("requestfinished", self._on_answered)
        self.page.on("response", self._on_response)
        self.page.on("requestfailed", self._on_failed)

    def open(self, path: str = "/") -> None:
        """Go to an address of the page."""
        self.page.goto(path)

    def come_in(self) -> None:
        """Be in a tab in which the key has been entered before."""
        self.page.add_init_script(f"sessionStorage.setItem('bridge.key', {json.dumps(self.world.key)})")

    def see(self, view: str, **params: str) -> None:
        """Go to a screen by its address, and wait until all that it asks for has come."""
        self.open("/?" + urlencode({"view": view, **params}))
        self.at_rest()

    def at_rest(self) -> None:
        """Wait until nothing is being asked for any more, and what came is shown."""
        self.page.locator("main").wait_for()
        quiet = 0
        while quiet < 2:
            self.page.wait_for_timeout(30)
            self.page.evaluate(FRAMES)
            quiet = 0 if self._asked else quiet + 1
        self.page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")

    def see_customer(self, buyer: Buyer) -> None:
        """Go to the screen of one customer."""
        self.see("customer", id=buyer.customer)

    # --- what an operator does ---

    def act(self, button: str, *, go: str | None = None, **fields: str) -> str:
        """Press a button, fill in what its dialog asks for, confirm, and wait for the end; what the dialog then says.

        Args:
            button: the name of the button on the screen.
            go: the name of the one in the dialog, where it is another.
            fields: what to type or to choose, by the field's label (`_` for a blank or another sign).
        """
        self.page.locator("main").get_by_role("button", name=button, exact=True).click()
        self.fill(**fields)
        self.confirm(go or button)
        close = self.dialog.locator("footer").get_by_role("button", name="Close")
        expect(close).to_be_enabled()
        said = self.dialog.inner_text()
        close.click()
        self.at_rest()
        return said

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    def fill(self, **fields: str) -> None:
        """Fill in fields of the dialog, by their labels."""
        for label, value in fields.items():
            found = self.dialog.get_by_label(re.compile("^" + label.replace("_", ".")))
            if found.evaluate("one => one.tagName") == "SELECT":
                found.select_option(value)
            else:
                found.fill(value)

    def confirm(self, button: str) -> None:
        """Press a button at the foot of the dialog."""
        self.dialog.locator("footer").get_by_role("button", name=button, exact=True).click()

    def row(self, text: str) -> Locator:
        """The row of a table that has this text."""
        return self.page.locator("main tbody tr").filter(has_text=text)

    def theme(self, name: str) -> None:
        """Have the system ask for a light or a dark theme."""
        self.page.emulate_media(color_scheme="dark" if name == "dark" else "light")

    def on_a_phone(self) -> None:
        """Make the window as small as a small phone."""
        self.page.set_viewport_size({"width": 360, "height": 740})

    # --- what must not happen ---

    @contextmanager
    def forgiving(self, *patterns: str) -> Iterator[None]:
        """Expect trouble of these kinds meanwhile, and none else."""
        self._forgiven += patterns
        try:
            yield
            self.page.wait_for_timeout(50)
            # The browser tells of a failed request a moment after the page knows.
            self.wait(lambda: self._told >= self._lost)
        finally:
            for pattern in patterns:
                self._forgiven.remove(pattern)

    def wait(self, reached: Callable[[], bool]) -> None:
        """Look until it is so, while the browser goes on."""
        end = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < end, "it never came to that"
            self.page.wait_for_timeout(20)

    def trouble(self) -> list[str]:
        """Whatever the browser complained of since the last look: a breach of the policy, an error, a lost request."""
        found, self._trouble = self._trouble, []
        return found

    def obstacles(self, *rules: str) -> list[str]:
        """What axe finds on the page as it is now that keeps somebody from using it, by all its rules or by these."""
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = {"type": "rule", "values": rules}
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{one['id']}: {one['help']}\n  " + "\n  ".join(node["html"] for node in one["nodes"][:5])
            for one in found
            if one["impact"] in SERIOUS
        ]

    def is_wider_than_the_screen(self) -> bool:
        """Whether the page as a whole must be scrolled sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def cut_off(self) -> list[str]:
        """The tables that have to be scrolled sideways, so that a column of theirs is out of sight."""
        script = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"
        found: list[str] = self.page.locator(".scroll:not(.short)").evaluate_all(script)
        return found

    def secrets_left(self) -> list[str]:
        """Where a key or a setting's secret is, that should be nowhere but in this tab's own memory."""
        places = {
            "URL": self.page.url,
            "DOM": self.page.content(),
            "localStorage": self.page.evaluate("JSON.stringify(localStorage)"),
            "cookies": json.dumps(self.page.context.cookies()),
            "values": self.page.evaluate("[...document.querySelectorAll('input')].map((one) => one.value).join(' ')"),
        }
        hidden = ("ADMIN_API_KEY", "CRON_SECRET", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "ENHANCE_API_TOKEN")
        secrets = {name: self.world.stage.environ[name] for name in (*hidden, "OUTBOX_SECRET", "DATABASE_URL")}
        return [f"{name} in {place}" for place, text in places.items() for name, one in secrets.items() if one in text]

    def _on_console(self, message: ConsoleMessage) -> None:
        self._told += message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning"):
            self._complain(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _on_asked(self, request: Request) -> None:
        self._asked.add(request)

    def _on_answered(self, request: Request) -> None:
        self._asked.discard(request)

    def _on_response(self, response: Response) -> None:
        self._lost += response.status >= 400

    def _on_failed(self, request: Request) -> None:
        self._asked.discard(request)
        # A request that a newer one made superfluous was given up by the page itself.
        if request.failure != "net::ERR_ABORTED":
            self._complain(f"failed: {request.method} {request.url}: {request.failure}")

    def _complain(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in self._forgiven):
            self._trouble.append(text)
