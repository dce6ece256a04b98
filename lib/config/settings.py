"""Every setting: read once from an environment, all problems reported together, secrets never printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from lib.config import parsers
from lib.config.between import between
from lib.config.values import Alarm, Endpoint, KeyScope, Mail, Outlet, Secret, Window
from lib.errors import SettingsError

if TYPE_CHECKING:
    from lib.model.outgoing import OutgoingType
    from lib.model.shard import Shard


class Policy(Struct, frozen=True):
    """The choices of an operator that `lib.policy` decides by (design section 3)."""

    grace_days: int = 7
    retention_days: int | None = None
    pause_collection: Literal["keep", "suspend"] = "keep"
    on_dispute: Literal["suspend", "ignore"] = "suspend"
    on_dispute_lost: Literal["suspend", "ignore"] = "suspend"
    on_refund: Literal["ignore", "suspend"] = "ignore"
    on_double_purchase: Literal["provision", "hold"] = "provision"
    welcome: Literal["panel_recovery", "none"] = "panel_recovery"
    quantity_max: int = 100
    suspend_window: Window | None = None


POLICY = Policy()
"""What is decided unless the operator says otherwise."""

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
"""Where PagerDuty takes events; its service in the EU has an address of its own."""

REQUIRED = object()
"""Marks a setting without a default."""


class Setting(Struct, frozen=True):
    """How one field of `Settings` is read from an environment."""

    env: str
    parse: Callable[[str], Any]
    default: Any
    """`REQUIRED`: there is none."""
    help: str
    """Of a required one, what it is for and where it comes from."""


def _setting(env: str, parse: Callable[[str], Any], default: Any, help_text: str) -> Any:
    return Setting(env, parse, default, help_text)


class Settings(Struct, frozen=True, kw_only=True):
    """The environment, checked. Field order is that of ``.env.example`` and of `docs/settings.md`.

    Made by `load` alone: what stands beside a field is how it is read, and not its value.
    """

    database_url: Secret = _setting(
        "DATABASE_URL",
        parsers.read_database_url,
        REQUIRED,
        "all that is remembered and done stands in this Postgres. Neon: Connect, the pooled address (-pooler in its "
        "host); elsewhere postgresql://user:password@host/database.",
    )
    stripe_secret_key: Secret = _setting(
        "STRIPE_SECRET_KEY",
        parsers.stripe_key,
        REQUIRED,
        "reads at Stripe what is paid for. Stripe: Developers > API keys > Create restricted key, with the read "
        "permissions of step 2 in docs/deploy.md; it starts with rk_live_ or rk_test_, and that decides which events "
        "count.",
    )
    stripe_webhook_secrets: tuple[Secret, ...] = _setting(
        "STRIPE_WEBHOOK_SECRET",
        parsers.secrets,
        REQUIRED,
        "proves that an event comes from Stripe. Stripe: Developers > Webhooks > your endpoint > Signing secret, or "
        "what `stripe listen` prints; it starts with whsec_. Several, comma-separated, during rotation.",
    )
    enhance_api_url: str = _setting(
        "ENHANCE_API_URL",
        parsers.panel_url,
        REQUIRED,
        "where the panel answers. It is its address in a browser, such as https://panel.example.com.",
    )
    enhance_api_token: Secret = _setting(
        "ENHANCE_API_TOKEN",
        parsers.secret,
        REQUIRED,
        "lets this bridge work in the panel. Panel: Settings > Access tokens > create, role SuperAdmin, no expiry.",
    )
    enhance_org_id: str = _setting(
        "ENHANCE_ORG_ID",
        parsers.panel_id,
        REQUIRED,
        "the organisation whose customers and plans these are. Panel: Settings > Access tokens shows its id, a UUID.",
    )
    admin_keys: tuple[tuple[str, Secret], ...] = _setting(
        "ADMIN_API_KEY",
        parsers.admin_keys,
        REQUIRED,
        "guards /api/admin/ and the details of health. Make one: openssl rand -hex 32; several people: "
        "anna:key1,bob:key2.",
    )
    cron_secret: Secret = _setting(
        "CRON_SECRET",
        parsers.secret,
        REQUIRED,
        "guards /api/cron/drain and /api/cron/sweep, which Vercel calls with it and nobody else may. Make one: "
        "openssl rand -hex 32.",
    )
    key_scopes: tuple[tuple[str, KeyScope], ...] | None = _setting(
        "KEY_SCOPES",
        parsers.key_scopes,
        None,
        "How far named keys of ADMIN_API_KEY reach, comma-separated: `courier=collect` sees open offline orders and "
        "tells of their money (`courier=collect:cash_on_delivery`: of one way to pay alone), `mailer=bounce` tells "
        "of mails that came back, `books=read` changes nothing; all others may do all (docs/security.md).",
    )
    database_url_unpooled: Secret | None = _setting(
        "DATABASE_URL_UNPOOLED",
        parsers.read_database_url,
        None,
        "Direct Postgres address, for migrations; Neon's integration sets it.",
    )
    stripe_api_base: str = _setting(
        "STRIPE_API_BASE", parsers.http_url, "https://api.stripe.com", "Another host in Stripe's place, for simulators."
    )
    provisioning_mode: Literal["live", "shadow", "paused"] = _setting(
        "PROVISIONING_MODE",
        parsers.one_of("live", "shadow", "paused"),
        "live",
        "`live`; `shadow` decides and records, and writes nothing to the panel; `paused` runs no passes: events are"
        " stored, sweeps compare, alerts are told.",
    )
    welcome: Literal["panel_recovery", "none"] = _setting(
        "WELCOME",
        parsers.one_of("panel_recovery", "none"),
        POLICY.welcome,
        "The panel mails a set-password link after the first provisioning; `none`: nobody does.",
    )
    grace_days: int = _setting(
        "GRACE_DAYS",
        parsers.whole(0, 365),
        POLICY.grace_days,
        "Days from the open invoice until an unpaid service is suspended; a mapping may have its own.",
    )
    retention_days: int | None = _setting(
        "RETENTION_DAYS",
        parsers.whole(1, 3650),
        POLICY.retention_days,
        "Days from the end of a subscription until its hosting is soft-deleted; unset: never.",
    )
    pause_collection: Literal["keep", "suspend"] = _setting(
        "PAUSE_COLLECTION",
        parsers.one_of("keep", "suspend"),
        POLICY.pause_collection,
        "What a pause of payment collection at Stripe does to the service.",
    )
    on_dispute: Literal["suspend", "ignore"] = _setting(
        "ON_DISPUTE",
        parsers.one_of("suspend", "ignore"),
        POLICY.on_dispute,
        "What an open dispute does to the service. Inquiries never suspend.",
    )
    on_dispute_lost: Literal["suspend", "ignore"] = _setting(
        "ON_DISPUTE_LOST",
        parsers.one_of("suspend", "ignore"),
        POLICY.on_dispute_lost,
        "What a lost dispute does to the service.",
    )
    on_refund: Literal["ignore", "suspend"] = _setting(
        "ON_REFUND",
        parsers.one_of("ignore", "suspend"),
        POLICY.on_refund,
        "What a full refund of the invoice that pays the running period does to the service.",
    )
    on_double_purchase: Literal["provision", "hold"] = _setting(
        "ON_DOUBLE_PURCHASE",
        parsers.one_of("provision", "hold"),
        POLICY.on_double_purchase,
        "A second live subscription of one customer to one price: `provision` it, or `hold` it for a person.",
    )
    quantity_max: int = _setting(
        "QUANTITY_MAX",
        parsers.whole(1, 100_000),
        POLICY.quantity_max,
        "Highest quantity of one item that is made unasked; the rest of a higher one waits for a person.",
    )
    suspend_window: Window | None = _setting(
        "SUSPEND_WINDOW",
        parsers.suspend_window,
        POLICY.suspend_window,
        "When suspensions for debts and deletions may happen, with days on which they may not: `Mon-Thu 09:00-16:00 "
        "Europe/Berlin; not 2026-12-24, 12-25`. They wait for it, and the dates shown are those; running again never "
        "waits. Unset: at any time. See docs/operate.md.",
    )
    brake_max: int = _setting(
        "BRAKE_MAX",
        parsers.whole(1, 1_000_000),
        20,
        "Suspensions, or moves that Stripe did not ask for, within an hour before the brake stops more.",
    )
    brake_percent: int = _setting(
        "BRAKE_PERCENT", parsers.whole(1, 100), 5, "The same in percent of all live services, once there are 100."
    )
    panel_concurrency: int = _setting(
        "PANEL_CONCURRENCY", parsers.whole(1, 64), 4, "Customers worked on at one time, over all instances."
    )
    shard: Shard | None = _setting(
        "SHARD",
        parsers.shard,
        None,
        "Which part of the account's customers this deployment serves, where several do with a database each: `0/2` and"
        " `1/2`, or 4, 8 ... of them. Unset: all. See docs/capacity.md.",
    )
    event_retention_days: int = _setting(
        "EVENT_RETENTION_DAYS", parsers.whole(31, 3650), 90, "Days that received events are kept."
    )
    ledger_retention_days: int | None = _setting(
        "LEDGER_RETENTION_DAYS",
        parsers.whole(400, 36_500),
        None,
        "Days that a change in the panel, once it is over, stays in the ledger; unset: for good.",
    )
    health_max_lag: int = _setting(
        "HEALTH_MAX_LAG",
        parsers.whole(30, 86_400),
        300,
        "Seconds that what was asked for may wait before health answers 503.",
    )
    quiet_minutes: int = _setting(
        "QUIET_MINUTES",
        parsers.whole(0, 15),
        15,
        "Minutes at most for which the drain cron leaves a sleeping database alone while nothing can be due, as "
        "Vercel's functions tell each other; 0: it asks each minute (docs/costs.md).",
    )
    outbox_urls: tuple[str, ...] | None = _setting(
        "OUTBOX_URL",
        parsers.outbox_urls,
        None,
        "Where events for your own systems are sent, by https; several, comma-separated. Unset: none are written. See "
        "docs/events.md.",
    )
    outbox_secrets: tuple[tuple[Secret, ...], ...] | None = _setting(
        "OUTBOX_SECRET",
        parsers.outbox_secrets,
        None,
        "What signs them, one for each address in the same order, comma-separated; `old|new` while you change one.",
    )
    outbox_types: tuple[frozenset[OutgoingType], ...] | None = _setting(
        "OUTBOX_TYPES",
        parsers.outbox_types,
        None,
        "Which of them, one list for each address in the same order, comma-separated: `order.paid|service.*`; all "
        "unless set.",
    )
    outbox_allow_private: Literal["0", "1"] = _setting(
        "OUTBOX_ALLOW_PRIVATE",
        parsers.one_of("0", "1"),
        "0",
        "1 lets OUTBOX_URL and ALERT_WEBHOOK_URL be http and lead to addresses that are not public, for local use.",
    )
    orders: Literal["auto", "on", "off"] = _setting(
        "ORDERS",
        parsers.one_of("auto", "on", "off"),
        "auto",
        "Whether orders and payments are kept, with every number of each (docs/orders.md). auto: with public checkout "
        "or outgoing events.",
    )
    escrow_days: int = _setting(
        "ESCROW_DAYS",
        parsers.whole(0, 3650),
        14,
        "Days without refund or dispute after which the money of an order with a `sellerId` may be paid out.",
    )
    checkout_success_url: str | None = _setting(
        "CHECKOUT_SUCCESS_URL",
        parsers.page_url,
        None,
        "Where a buyer comes back to after paying: `/api/checkout` of this deployment, a page that needs no "
        "JavaScript, or a page of your own. This and the next one switch public checkout on (docs/checkout.md); "
        "unset: off.",
    )
    checkout_cancel_url: str | None = _setting(
        "CHECKOUT_CANCEL_URL",
        parsers.page_url,
        None,
        "Where a buyer comes back to who did not pay: the page that offers your plans.",
    )
    portal_return_url: str | None = _setting(
        "PORTAL_RETURN_URL",
        parsers.page_url,
        None,
        "Where a customer comes back to from Stripe's billing portal. Switches `/api/portal` on; unset: off.",
    )
    allowed_origins: tuple[str, ...] | None = _setting(
        "ALLOWED_ORIGINS",
        parsers.origins,
        None,
        "Sites whose pages may call `/api/checkout` and `/api/portal` by script, comma-separated: "
        "https://www.example.com. A plain form needs none.",
    )
    checkout_locale: str = _setting("CHECKOUT_LOCALE", parsers.locale, "auto", "Language of Stripe's page.")
    checkout_promotion_codes: Literal["on", "off"] = _setting(
        "CHECKOUT_PROMOTION_CODES", parsers.one_of("on", "off"), "off", "Whether Stripe's page takes promotion codes."
    )
    checkout_automatic_tax: Literal["on", "off"] = _setting(
        "CHECKOUT_AUTOMATIC_TAX",
        parsers.one_of("on", "off"),
        "off",
        "Whether Stripe computes the tax; needs Stripe Tax set up.",
    )
    checkout_tax_ids: Literal["on", "off"] = _setting(
        "CHECKOUT_TAX_IDS", parsers.one_of("on", "off"), "off", "Whether Stripe's page asks companies for their tax id."
    )
    checkout_terms: Literal["on", "off"] = _setting(
        "CHECKOUT_TERMS",
        parsers.one_of("on", "off"),
        "off",
        "Whether the buyer must accept your terms of service; their address stands in Stripe's public details.",
    )
    checkout_limit: int = _setting(
        "CHECKOUT_LIMIT",
        parsers.whole(1, 100_000),
        20,
        "Purchases that one address, and one mailbox, may begin in 10 minutes; asking is limited to ten times that.",
    )
    trusted_proxies: int = _setting(
        "TRUSTED_PROXIES",
        parsers.whole(0, 10),
        0,
        "How many proxies of yours stand in front, each adding to X-Forwarded-For from where it was called; 0: the "
        "header is ignored. On Vercel 1 by itself.",
    )
    mail_url: Secret | None = _setting(
        "MAIL_URL",
        parsers.mail_url,
        None,
        "The mail server that takes notices to customers, TLS verified; with MAIL_FROM. Unset: none are written. See "
        "docs/notices.md.",
    )
    mail_from: tuple[str, str] | None = _setting(
        "MAIL_FROM", parsers.mail_from, None, "Whom they come from: Example Hosting <billing@example.com>."
    )
    notice_days: int = _setting(
        "NOTICE_DAYS",
        parsers.whole(0, 60),
        2,
        "Days before a suspension or a deletion that customers are told once more; 0: they are not.",
    )
    notice_language: str = _setting(
        "NOTICE_LANGUAGE", parsers.language, "en", "Language for customers whose own there are no templates in."
    )
    notice_templates: str | None = _setting(
        "NOTICE_TEMPLATES", str, None, "A folder with templates of your own, such as notices-of-mine/en/suspended.txt."
    )
    alert_webhook_url: Secret | None = _setting(
        "ALERT_WEBHOOK_URL",
        parsers.alert_url,
        None,
        "Where it is told that somebody must know of something, by https; it is a secret. Unset, and without "
        "ALERT_EMAIL: the page shows it, and nobody is told. See docs/monitoring.md.",
    )
    alert_format: Literal["slack", "pagerduty", "json"] = _setting(
        "ALERT_FORMAT",
        parsers.one_of("slack", "pagerduty", "json"),
        "slack",
        "How: `slack` (Mattermost and Rocket.Chat take it, too), `pagerduty` (Events API v2), or plain `json`.",
    )
    alert_routing_key: Secret | None = _setting(
        "ALERT_ROUTING_KEY",
        parsers.secret,
        None,
        "The integration key of PagerDuty's service; with ALERT_FORMAT=pagerduty.",
    )
    alert_email: str | None = _setting(
        "ALERT_EMAIL",
        parsers.mailbox,
        None,
        "Who is told by mail, through MAIL_URL: oncall@example.com.",
    )
    database_allowance_mb: int | None = _setting(
        "DATABASE_ALLOWANCE_MB",
        parsers.whole(10, 100_000_000),
        None,
        "How large your database may become, in MB (Neon Free: 512); from four fifths of it on it is an alert.",
    )
    neon_cu_hours: int = _setting(
        "NEON_CU_HOURS",
        parsers.whole(0, 1_000_000),
        100,
        "CU hours a month that your Neon plan has, for `./scripts/doctor`: 100 on Free; 0: as many as you pay for.",
    )
    sentry_dsn: Secret | None = _setting(
        "SENTRY_DSN",
        parsers.dsn,
        None,
        "Where unforeseen errors are reported to, without secrets or personal data. Sentry: Settings > Client Keys.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "LOG_LEVEL", parsers.one_of("debug", "info", "warning", "error"), "info", "Least level that is logged."
    )
    app_version: str = _setting("APP_VERSION", str, "dev", "Version shown by health; on Vercel the commit by default.")

    @classmethod
    def each(cls) -> Iterator[tuple[str, Setting]]:
        """Every setting, by the name of its field."""
        return zip(cls.__struct_fields__, cast(tuple[Setting, ...], cls.__struct_defaults__), strict=True)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in `environ`. An empty variable counts as unset.

        Raises:
            SettingsError: naming every missing or wrong variable at once, without any value of it.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, setting in cls.each():
            raw = environ.get(setting.env, "").strip()
            if not raw:
                if setting.default is REQUIRED:
                    problems.append(f"{setting.env} is missing: {setting.help}")
                values[name] = setting.default
                continue
            try:
                values[name] = setting.parse(raw)
            except ValueError as problem:
                problems.append(f"{setting.env} {problem}")
        problems += between(values)
        if problems:
            raise SettingsError(problems)
        if not environ.get("APP_VERSION", "").strip() and environ.get("VERCEL_GIT_COMMIT_SHA"):
            values["app_version"] = environ["VERCEL_GIT_COMMIT_SHA"][:12]
        if not environ.get("TRUSTED_PROXIES", "").strip() and environ.get("VERCEL") == "1":
            values["trusted_proxies"] = 1  # its edge overwrites the header, whatever the caller sent
        return cls(**values)

    def scope_of(self, name: str) -> KeyScope:
        """How far the keys of this name reach."""
        return dict(self.key_scopes or ()).get(name, KeyScope.ALL)

    def holds(self, customer: str | None) -> bool:
        """Whether this deployment serves a customer (`CustomerKey` as text); `None`: what belongs to nobody."""
        return self.shard is None or self.shard.holds(customer)

    @property
    def livemode(self) -> bool:
        """Whether the Stripe key is a live one; objects of the other mode are never acted upon."""
        return "_live_" in self.stripe_secret_key.reveal()[:8]

    @property
    def outbox(self) -> Outlet:
        """Where outgoing events go; false when there is nowhere."""
        from lib.model.outgoing import OutgoingType

        urls = self.outbox_urls or ()
        types = self.outbox_types or (frozenset(OutgoingType),) * len(urls)
        endpoints = map(Endpoint, urls, self.outbox_secrets or (), types)
        return Outlet(tuple(endpoints), self.livemode, self.outbox_allow_private == "1")

    @property
    def sells(self) -> bool:
        """Whether public checkout is on."""
        return self.checkout_success_url is not None and self.checkout_cancel_url is not None

    @property
    def keeps_orders(self) -> bool:
        """Whether events make orders and payments due; without, only what concerns the services is done."""
        if self.orders == "auto":
            return bool(self.outbox_urls) or self.sells
        return self.orders == "on"

    @property
    def mail(self) -> Mail | None:
        """How customers are written to; `None`: they are not."""
        if self.mail_url is None or self.mail_from is None:
            return None
        parts = urlsplit(self.mail_url.reveal())
        implicit, (name, address) = parts.scheme == "smtps", self.mail_from
        return Mail(
            host=parts.hostname or "",
            port=parts.port or (465 if implicit else 587),
            implicit_tls=implicit,
            user=unquote(parts.username) if parts.username else None,
            password=Secret(unquote(parts.password)) if parts.password else None,
            name=name,
            address=address,
            days=self.notice_days,
            language=self.notice_language,
            templates=self.notice_templates,
        )

    @property
    def alarm(self) -> Alarm | None:
        """Who is told that somebody must know of something; `None`: nobody."""
        url = self.alert_webhook_url
        if url is None and self.alert_routing_key is not None and self.alert_format == "pagerduty":
            url = Secret(PAGERDUTY)
        if url is None and self.alert_email is None:
            return None
        private = self.outbox_allow_private == "1"
        return Alarm(url, self.alert_format, self.alert_routing_key, self.alert_email, self.mail, private)

    @property
    def policy(self) -> Policy:
        """The part of the settings that decisions depend on."""
        return Policy(**{choice: cast(Any, getattr(self, choice)) for choice in Policy.__struct_fields__})
