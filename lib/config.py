"""Every setting: read once from an environment, all problems reported together, secrets never printed."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, Literal, cast
from urllib.parse import SplitResult, unquote, urlsplit

from lib.errors import SettingsError
from lib.model.outgoing import OutgoingType


class Secret:
    """A value that prints as stars. `reveal()` is the only way to read it, so that each use can be found."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('********')"

    def __str__(self) -> str:
        return "********"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


@dataclass(frozen=True, slots=True)
class Policy:
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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events for the operator's own systems go."""

    url: str
    secrets: tuple[Secret, ...]
    """Each signs; several while they are rotated."""
    types: frozenset[OutgoingType]

    @property
    def id(self) -> str:
        """Names it for good, whatever its place among the others is; it tells nothing of what the address hides."""
        return "ep_" + sha256(self.url.encode()).hexdigest()[:12]

    @property
    def shown(self) -> str:
        """The address without what may be secret in it."""
        return self.url.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Outlet:
    """What outgoing events are written for. Without an endpoint there is none, and nothing is written."""

    endpoints: tuple[Endpoint, ...]
    livemode: bool
    allow_private: bool

    def __bool__(self) -> bool:
        return bool(self.endpoints)

    def find(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint of that id; `None` when the settings have it no more."""
        return next((endpoint for endpoint in self.endpoints if endpoint.id == endpoint_id), None)


@dataclass(frozen=True, slots=True)
class Mail:
    """How mails to customers go out, and what they are made of."""

    host: str
    port: int
    implicit_tls: bool
    """From the first byte (`smtps`), else by STARTTLS; never without."""
    user: str | None
    password: Secret | None
    name: str
    """Of the sender, as people see it; may be empty."""
    address: str
    days: int
    """How long before a suspension or a deletion it is told once more; 0: not."""
    language: str
    """For whom the billing side names no language that there are templates in."""
    templates: str | None
    """A folder whose templates come before our own."""

    @property
    def domain(self) -> str:
        """Of the sender's address."""
        return self.address.rpartition("@")[2]


POLICY = Policy()
"""What is decided unless the operator says otherwise."""

REQUIRED = object()
"""Marks a setting without a default."""


def _setting(env: str, parse: Callable[[str], Any], default: Any, help_text: str) -> Any:
    """One setting; of a required one, `help_text` says what it is for and where it comes from."""
    return field(metadata={"env": env, "parse": parse, "default": default, "help": help_text})


def _secret(value: str) -> Secret:
    return Secret(value)


def _secrets(value: str) -> tuple[Secret, ...]:
    found = tuple(Secret(part.strip()) for part in value.split(",") if part.strip())
    if not found:
        raise ValueError("is empty")
    for secret in found:
        if not re.match("whsec_.", secret.reveal()):
            raise ValueError("must start with whsec_ (several are separated by commas)")
    return found


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - is only checked when it is read
    except ValueError:
        raise ValueError("is not a valid address") from None  # the original message repeats user and password
    return parts


def read_database_url(value: str) -> Secret:
    """The address of a Postgres database. ValueError says what is wrong with it, and never repeats it."""
    scheme, colon, rest = value.partition(":")
    if _split(value).scheme not in ("postgres", "postgresql"):
        raise ValueError("must start with postgresql://")
    if re.search("%(?![0-9A-Fa-f]{2})", value):
        raise ValueError("holds a % that encodes nothing; in a password, write % as %25")
    if re.search(r"\s", value):
        raise ValueError("holds a blank; in a password, write it as %20")
    return Secret(scheme.lower() + colon + rest)  # the driver knows it in small letters only


def _stripe_key(value: str) -> Secret:
    if not re.match(r"(sk|rk)_(test|live)_.", value):
        raise ValueError("must start with sk_test_, sk_live_, rk_test_ or rk_live_ (not the publishable pk_ key)")
    return Secret(value)


def _http_url(value: str) -> str:
    parts = _split(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be a URL such as https://panel.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be a plain address: no user, password, query or fragment")
    return value.rstrip("/")


def _page_url(value: str) -> str:
    """The address of a page of the operator's own, to which a buyer is sent back."""
    parts = _split(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
        raise ValueError("must be a page such as https://www.example.com/thanks")
    if re.search(r"\s", value):
        raise ValueError("holds a blank")
    return value


def _origins(value: str) -> tuple[str, ...]:
    found = []
    for part in (p.strip().rstrip("/") for p in value.split(",") if p.strip()):
        parts = _split(part)
        if parts.scheme not in ("https", "http") or not parts.hostname or part != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("must be origins such as https://www.example.com, separated by commas: no path, no *")
        found.append(part.lower())
    return tuple(dict.fromkeys(found))


def _locale(value: str) -> str:
    if not re.fullmatch(r"auto|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,4})?", value):
        raise ValueError("must be auto, or a language such as de or pt-BR")
    return value


def _panel_url(value: str) -> str:
    url = _http_url(value)
    return url if url.endswith("/api") else url + "/api"


def _uuid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError("must be the organisation's id, a UUID (panel: Settings > Access tokens shows it)") from None


def _admin_keys(value: str) -> tuple[tuple[str, Secret], ...]:
    keys: list[tuple[str, Secret]] = []
    for part in (p.strip() for p in value.split(",")):
        name, colon, key = part.partition(":")
        name, key = (name.strip(), key.strip()) if colon else ("admin", name.strip())
        if not key or not name:
            raise ValueError("must be a key, or name:key pairs separated by commas")
        keys.append((name, Secret(key)))
    if len({key for _, key in keys}) < len(keys):
        raise ValueError("gives one key to two names")
    return tuple(keys)


def _outbox_urls(value: str) -> tuple[str, ...]:
    urls = tuple(part.strip() for part in value.split(",") if part.strip())
    for url in urls:
        parts = _split(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("must be addresses such as https://app.example.com/events, separated by commas")
        if parts.username or parts.password or parts.fragment or re.search(r"\s", url):
            raise ValueError("must be plain addresses: no user, password, fragment or blank")
    if len(set(urls)) < len(urls):
        raise ValueError("names one address twice")
    return urls


def _outbox_secrets(value: str) -> tuple[tuple[Secret, ...], ...]:
    return tuple(tuple(_outbox_secret(one.strip()) for one in part.split("|")) for part in value.split(","))


def _outbox_secret(value: str) -> Secret:
    try:
        key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not value.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "must be whsec_ and then 24 to 64 bytes in base64, one for each address, old|new while you change it (make"
            " one: echo whsec_$(openssl rand -base64 32))"
        )
    return Secret(value)


def _outbox_types(value: str) -> tuple[frozenset[OutgoingType], ...]:
    return tuple(_types(part, number) for number, part in enumerate(value.split(","), 1))


def _types(value: str, number: int) -> frozenset[OutgoingType]:
    """Types separated by |, each exact or with a * at its end; nothing is all of them."""
    found: set[OutgoingType] = set()
    for place, name in enumerate((part.strip().lower() for part in value.split("|")), 1):
        stem = name.removesuffix("*")
        known = {one for one in OutgoingType if one == name or (name.endswith("*") and one.startswith(stem))}
        if name and not known:
            raise ValueError(
                "must be types such as order.paid|service.*, one list for each address separated by commas;"
                f" word {place} of list {number} is no type"
            )
        found |= known
    return frozenset(found or OutgoingType)


def _mail_url(value: str) -> Secret:
    """Where mails are handed over. ValueError says what is wrong with it, and never repeats it."""
    parts = _split(value)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be smtp://user:password@host:port (STARTTLS) or smtps:// (TLS from the start)")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must end with the port; in a user or password write / as %2F, ? as %3F, # as %23")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("must name both user and password, or neither; in them write @ as %40, : as %3A")
    if not value.isascii() or re.search(r"\s", value) or re.search("%(?![0-9A-Fa-f]{2})", value):
        raise ValueError("must write blanks, % and letters beyond ASCII encoded, such as %20")
    return Secret(value)


_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"


def _mail_from(value: str) -> tuple[str, str]:
    found = re.fullmatch(rf'(?:"?([^"<>]*?)"?\s*<({_ADDRESS})>|({_ADDRESS}))', value)
    if found is None or not value.isprintable():
        raise ValueError("must be an address such as billing@example.com, or Example Hosting <billing@example.com>")
    return (found[1] or "").strip(), found[2] or found[3]


def _language(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise ValueError("must be a language such as en, de or pt-BR")
    return value.lower()


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, checked. Field order is that of ``.env.example`` and of `docs/settings.md`."""

    database_url: Secret = _setting(
        "DATABASE_URL",
        read_database_url,
        REQUIRED,
        "all that is remembered and done stands in this Postgres. Neon: Connect, the pooled address (-pooler in its "
        "host); elsewhere postgresql://user:password@host/database.",
    )
    stripe_secret_key: Secret = _setting(
        "STRIPE_SECRET_KEY",
        _stripe_key,
        REQUIRED,
        "reads at Stripe what is paid for. Stripe: Developers > API keys > Create restricted key, with the read "
        "permissions of step 2 in docs/deploy.md; it starts with rk_live_ or rk_test_, and that decides which events "
        "count.",
    )
    stripe_webhook_secrets: tuple[Secret, ...] = _setting(
        "STRIPE_WEBHOOK_SECRET",
        _secrets,
        REQUIRED,
        "proves that an event comes from Stripe. Stripe: Developers > Webhooks > your endpoint > Signing secret, or "
        "what `stripe listen` prints; it starts with whsec_. Several, comma-separated, during rotation.",
    )
    enhance_api_url: str = _setting(
        "ENHANCE_API_URL",
        _panel_url,
        REQUIRED,
        "where the panel answers. It is its address in a browser, such as https://panel.example.com.",
    )
    enhance_api_token: Secret = _setting(
        "ENHANCE_API_TOKEN",
        _secret,
        REQUIRED,
        "lets this bridge work in the panel. Panel: Settings > Access tokens > create, role SuperAdmin, no expiry.",
    )
    enhance_org_id: str = _setting(
        "ENHANCE_ORG_ID",
        _uuid,
        REQUIRED,
        "the organisation whose customers and plans these are. Panel: Settings > Access tokens shows its id, a UUID.",
    )
    admin_keys: tuple[tuple[str, Secret], ...] = _setting(
        "ADMIN_API_KEY",
        _admin_keys,
        REQUIRED,
        "guards /api/admin/ and the details of health. Make one: openssl rand -hex 32; several people: "
        "anna:key1,bob:key2.",
    )
    cron_secret: Secret = _setting(
        "CRON_SECRET",
        _secret,
        REQUIRED,
        "guards /api/cron/drain and /api/cron/sweep, which Vercel calls with it and nobody else may. Make one: "
        "openssl rand -hex 32.",
    )
    database_url_unpooled: Secret | None = _setting(
        "DATABASE_URL_UNPOOLED",
        read_database_url,
        None,
        "Direct Postgres address, for migrations; Neon's integration sets it.",
    )
    stripe_api_base: str = _setting(
        "STRIPE_API_BASE", _http_url, "https://api.stripe.com", "Another host in Stripe's place, for simulators."
    )
    provisioning_mode: Literal["live", "shadow", "paused"] = _setting(
        "PROVISIONING_MODE",
        _one_of("live", "shadow", "paused"),
        "live",
        "`live`; `shadow` decides and records, and writes nothing to the panel; `paused` stores events, no more.",
    )
    welcome: Literal["panel_recovery", "none"] = _setting(
        "WELCOME",
        _one_of("panel_recovery", "none"),
        POLICY.welcome,
        "The panel mails a set-password link after the first provisioning; `none`: nobody does.",
    )
    grace_days: int = _setting(
        "GRACE_DAYS",
        _whole(0, 365),
        POLICY.grace_days,
        "Days from the open invoice until an unpaid service is suspended; a mapping may have its own.",
    )
    retention_days: int | None = _setting(
        "RETENTION_DAYS",
        _whole(1, 3650),
        POLICY.retention_days,
        "Days from the end of a subscription until its hosting is soft-deleted; unset: never.",
    )
    pause_collection: Literal["keep", "suspend"] = _setting(
        "PAUSE_COLLECTION",
        _one_of("keep", "suspend"),
        POLICY.pause_collection,
        "What a pause of payment collection at Stripe does to the service.",
    )
    on_dispute: Literal["suspend", "ignore"] = _setting(
        "ON_DISPUTE",
        _one_of("suspend", "ignore"),
        POLICY.on_dispute,
        "What an open dispute does to the service. Inquiries never suspend.",
    )
    on_dispute_lost: Literal["suspend", "ignore"] = _setting(
        "ON_DISPUTE_LOST",
        _one_of("suspend", "ignore"),
        POLICY.on_dispute_lost,
        "What a lost dispute does to the service.",
    )
    on_refund: Literal["ignore", "suspend"] = _setting(
        "ON_REFUND",
        _one_of("ignore", "suspend"),
        POLICY.on_refund,
        "What a full refund of the invoice that pays the running period does to the service.",
    )
    on_double_purchase: Literal["provision", "hold"] = _setting(
        "ON_DOUBLE_PURCHASE",
        _one_of("provision", "hold"),
        POLICY.on_double_purchase,
        "A second live subscription of one customer to one price: `provision` it, or `hold` it for a person.",
    )
    quantity_max: int = _setting(
        "QUANTITY_MAX",
        _whole(1, 100_000),
        POLICY.quantity_max,
        "Highest quantity of one item that is made unasked; the rest of a higher one waits for a person.",
    )
    brake_max: int = _setting(
        "BRAKE_MAX",
        _whole(1, 1_000_000),
        20,
        "Suspensions, or moves that Stripe did not ask for, within an hour before the brake stops more.",
    )
    brake_percent: int = _setting(
        "BRAKE_PERCENT", _whole(1, 100), 5, "The same in percent of all live services, once there are 100."
    )
    panel_concurrency: int = _setting(
        "PANEL_CONCURRENCY", _whole(1, 64), 4, "Customers worked on at one time, over all instances."
    )
    event_retention_days: int = _setting(
        "EVENT_RETENTION_DAYS", _whole(31, 3650), 90, "Days that received events are kept."
    )
    health_max_lag: int = _setting(
        "HEALTH_MAX_LAG",
        _whole(30, 86_400),
        300,
        "Seconds that what was asked for may wait before health answers 503.",
    )
    outbox_urls: tuple[str, ...] | None = _setting(
        "OUTBOX_URL",
        _outbox_urls,
        None,
        "Where events for your own systems are sent, by https; several, comma-separated. Unset: none are written. See "
        "docs/events.md.",
    )
    outbox_secrets: tuple[tuple[Secret, ...], ...] | None = _setting(
        "OUTBOX_SECRET",
        _outbox_secrets,
        None,
        "What signs them, one for each address in the same order, comma-separated; `old|new` while you change one.",
    )
    outbox_types: tuple[frozenset[OutgoingType], ...] | None = _setting(
        "OUTBOX_TYPES",
        _outbox_types,
        None,
        "Which of them, one list for each address in the same order, comma-separated: `order.paid|service.*`; all "
        "unless set.",
    )
    outbox_allow_private: Literal["0", "1"] = _setting(
        "OUTBOX_ALLOW_PRIVATE",
        _one_of("0", "1"),
        "0",
        "1 lets OUTBOX_URL be http and lead to addresses that are not public, for local use.",
    )
    orders: Literal["auto", "on", "off"] = _setting(
        "ORDERS",
        _one_of("auto", "on", "off"),
        "auto",
        "Whether orders and payments are kept, with every number of each (docs/orders.md). auto: with public checkout "
        "or outgoing events.",
    )
    escrow_days: int = _setting(
        "ESCROW_DAYS",
        _whole(0, 3650),
        14,
        "Days without refund or dispute after which the money of an order with a `sellerId` may be paid out.",
    )
    checkout_success_url: str | None = _setting(
        "CHECKOUT_SUCCESS_URL",
        _page_url,
        None,
        "Where a buyer comes back to after paying: `/success.html` of this deployment, or a page of your own. This and "
        "the next one switch public checkout on (docs/checkout.md); unset: off.",
    )
    checkout_cancel_url: str | None = _setting(
        "CHECKOUT_CANCEL_URL",
        _page_url,
        None,
        "Where a buyer comes back to who did not pay: the page that offers your plans.",
    )
    portal_return_url: str | None = _setting(
        "PORTAL_RETURN_URL",
        _page_url,
        None,
        "Where a customer comes back to from Stripe's billing portal. Switches `/api/portal` on; unset: off.",
    )
    allowed_origins: tuple[str, ...] | None = _setting(
        "ALLOWED_ORIGINS",
        _origins,
        None,
        "Sites whose pages may call `/api/checkout` and `/api/portal` by script, comma-separated: "
        "https://www.example.com. A plain form needs none.",
    )
    checkout_locale: str = _setting("CHECKOUT_LOCALE", _locale, "auto", "Language of Stripe's page.")
    checkout_promotion_codes: Literal["on", "off"] = _setting(
        "CHECKOUT_PROMOTION_CODES", _one_of("on", "off"), "off", "Whether Stripe's page takes promotion codes."
    )
    checkout_automatic_tax: Literal["on", "off"] = _setting(
        "CHECKOUT_AUTOMATIC_TAX",
        _one_of("on", "off"),
        "off",
        "Whether Stripe computes the tax; needs Stripe Tax set up.",
    )
    checkout_tax_ids: Literal["on", "off"] = _setting(
        "CHECKOUT_TAX_IDS", _one_of("on", "off"), "off", "Whether Stripe's page asks companies for their tax id."
    )
    checkout_terms: Literal["on", "off"] = _setting(
        "CHECKOUT_TERMS",
        _one_of("on", "off"),
        "off",
        "Whether the buyer must accept your terms of service; their address stands in Stripe's public details.",
    )
    checkout_limit: int = _setting(
        "CHECKOUT_LIMIT",
        _whole(1, 100_000),
        20,
        "Purchases that one address, and one mailbox, may begin in 10 minutes; asking is limited to ten times that.",
    )
    mail_url: Secret | None = _setting(
        "MAIL_URL",
        _mail_url,
        None,
        "The mail server that takes notices to customers, TLS verified; with MAIL_FROM. Unset: none are written. See "
        "docs/notices.md.",
    )
    mail_from: tuple[str, str] | None = _setting(
        "MAIL_FROM", _mail_from, None, "Whom they come from: Example Hosting <billing@example.com>."
    )
    notice_days: int = _setting(
        "NOTICE_DAYS",
        _whole(0, 60),
        2,
        "Days before a suspension or a deletion that customers are told once more; 0: they are not.",
    )
    notice_language: str = _setting(
        "NOTICE_LANGUAGE", _language, "en", "Language for customers whose own there are no templates in."
    )
    notice_templates: str | None = _setting(
        "NOTICE_TEMPLATES", str, None, "A folder with templates of your own, such as notices-of-mine/en/suspended.txt."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "LOG_LEVEL", _one_of("debug", "info", "warning", "error"), "info", "Least level that is logged."
    )
    app_version: str = _setting("APP_VERSION", str, "dev", "Version shown by health; on Vercel the commit by default.")

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in `environ`. An empty variable counts as unset.

        Raises:
            SettingsError: naming every missing or wrong variable at once, without any value of it.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for setting in fields(cls):
            env, default = setting.metadata["env"], setting.metadata["default"]
            raw = environ.get(env, "").strip()
            if not raw:
                if default is REQUIRED:
                    problems.append(f"{env} is missing: {setting.metadata['help']}")
                values[setting.name] = default
                continue
            try:
                values[setting.name] = setting.metadata["parse"](raw)
            except ValueError as problem:
                problems.append(f"{env} {problem}")
        problems += [*_outbox_problems(values), *_mail_problems(values)]
        if problems:
            raise SettingsError(problems)
        if not environ.get("APP_VERSION", "").strip() and environ.get("VERCEL_GIT_COMMIT_SHA"):
            values["app_version"] = environ["VERCEL_GIT_COMMIT_SHA"][:12]
        return cls(**values)

    @property
    def livemode(self) -> bool:
        """Whether the Stripe key is a live one; objects of the other mode are never acted upon."""
        return "_live_" in self.stripe_secret_key.reveal()[:8]

    @property
    def outbox(self) -> Outlet:
        """Where outgoing events go; false when there is nowhere."""
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
    def policy(self) -> Policy:
        """The part of the settings that decisions depend on."""
        return Policy(**{choice.name: cast(Any, getattr(self, choice.name)) for choice in fields(Policy)})


def _outbox_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong between the settings of outgoing events, as far as each could be read."""
    urls, secrets, types = (values.get(name) for name in ("outbox_urls", "outbox_secrets", "outbox_types"))
    if not urls or not {"outbox_secrets", "outbox_types"} <= set(values):
        return []
    problems = []
    if not secrets:
        problems.append(
            "OUTBOX_SECRET is missing: it signs what is sent (make one: echo whsec_$(openssl rand -base64 32))"
        )
    elif len(secrets) != len(urls):
        problems.append(f"OUTBOX_SECRET has {len(secrets)} and OUTBOX_URL {len(urls)}: give one for each address")
    if types and len(types) != len(urls):
        problems.append(f"OUTBOX_TYPES has {len(types)} lists and OUTBOX_URL {len(urls)}: give one for each address")
    if values.get("outbox_allow_private") == "0" and any(not url.lower().startswith("https:") for url in urls):
        problems.append("OUTBOX_URL must begin with https:// (OUTBOX_ALLOW_PRIVATE=1 allows http for local use)")
    return problems


def _mail_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong between the settings of mails, as far as each could be read."""
    if not {"mail_url", "mail_from"} <= set(values) or (values["mail_url"] is None) == (values["mail_from"] is None):
        return []
    missing = "MAIL_FROM" if values["mail_from"] is None else "MAIL_URL"
    return [f"{missing} is missing: customers are written to with MAIL_URL and MAIL_FROM, or with neither"]
