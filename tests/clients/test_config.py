"""Settings: everything wrong is named at once, and no secret ever comes out."""

import base64
import json
import pickle
import re
import traceback

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.config import Policy, Secret, Setting, Settings
from lib.config.parsers import one_of
from lib.errors import SettingsError

GOOD = {
    "DATABASE_URL": "postgresql://app:dbpass_fake@db.example.com/app",
    "STRIPE_SECRET_KEY": "sk_test_fake_key",
    "STRIPE_WEBHOOK_SECRET": "whsec_fake_one",
    "ENHANCE_API_URL": "https://panel.example.com",
    "ENHANCE_API_TOKEN": "token_fake",
    "ENHANCE_ORG_ID": "00000000-0000-4000-8000-000000000001",
    "ADMIN_API_KEY": "anna:admin_fake_one, bob:admin_fake_two",
    "CRON_SECRET": "cron_fake",
}
HIDDEN = ("dbpass_fake", "sk_test_fake_key", "whsec_fake_one", "token_fake", "admin_fake_one", "admin_fake_two")


def problems(**changed: str) -> list[str]:
    """What is wrong with the good settings after these changes."""
    with pytest.raises(SettingsError) as error:
        Settings.load({**GOOD, **changed})
    return error.value.problems


def test_good_settings_load_with_the_documented_defaults() -> None:
    """The eight required settings suffice; everything else has the default that the design names."""
    settings = Settings.load(GOOD)
    assert settings.enhance_api_url == "https://panel.example.com/api"
    assert [name for name, _ in settings.admin_keys] == ["anna", "bob"]
    assert settings.admin_keys[1][1] == Secret("admin_fake_two")
    assert settings.policy == Policy()
    assert not settings.livemode
    defaults = (settings.grace_days, settings.panel_concurrency, settings.health_max_lag, settings.brake_max)
    assert defaults == (7, 4, 300, 20)
    assert (settings.brake_percent, settings.event_retention_days, settings.retention_days) == (5, 90, None)
    assert (settings.provisioning_mode, settings.stripe_api_base) == ("live", "https://api.stripe.com")


def test_everything_missing_is_named_in_one_message() -> None:
    """An empty environment gives one error with each required setting and what it is for; blanks count as missing."""
    for environ in ({}, dict.fromkeys(GOOD, "  ")):
        with pytest.raises(SettingsError) as error:
            Settings.load(environ)
        assert len(error.value.problems) == len(GOOD)
        for name, problem in zip(GOOD, error.value.problems, strict=True):
            assert problem.startswith(f"{name} is missing: ")
            assert problem in str(error.value)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named_with_what_it_is_for_and_how_to_get_it(name: str) -> None:
    """Nobody has to look elsewhere: the purpose comes first, then where it is copied from or how it is made."""
    (problem,) = problems(**{name: ""})
    purpose, _, source = problem.removeprefix(f"{name} is missing: ").partition(". ")
    assert len(purpose.split()) >= 4
    assert re.search(r"Stripe: |Panel: |Neon: |openssl rand|in a browser", source)


def test_a_missing_cron_secret_names_what_it_guards() -> None:
    """Whoever comes from the first version lacks this one alone, and reads what it protects and how to make it."""
    (problem,) = problems(CRON_SECRET="")
    for word in ("/api/cron/drain", "/api/cron/sweep", "Vercel", "openssl rand -hex 32"):
        assert word in problem


def test_the_first_versions_environment_starts_as_printed() -> None:
    """Its block of settings, with real values and the one secret that it did not have yet, is understood."""
    printed = {
        "DATABASE_URL": "postgresql://app:dbpass_fake@db.example.com/app",
        "STRIPE_SECRET_KEY": "sk_live_fake",
        "STRIPE_WEBHOOK_SECRET": "whsec_fake",
        "ENHANCE_API_URL": "https://panel.example.com/api",
        "ENHANCE_API_TOKEN": "token_fake",
        "ENHANCE_ORG_ID": "00000000-0000-4000-8000-00000000000A",
        "ADMIN_API_KEY": "admin_fake",
        "LOG_LEVEL": "INFO",
    }
    settings = Settings.load({**printed, "CRON_SECRET": "cron_fake"})
    assert settings.log_level == "info"


OUTBOX_SECRET = "whsec_" + base64.b64encode(b"fake" * 8).decode()

CHOICES = {
    "LOG_LEVEL": "DEBUG",
    "PROVISIONING_MODE": "Shadow",
    "WELCOME": "None",
    "ORDERS": "ON",
    "PAUSE_COLLECTION": "SUSPEND",
    "ON_DISPUTE": "Ignore",
    "ON_DISPUTE_LOST": "IGNORE",
    "ON_REFUND": "Suspend",
    "ON_DOUBLE_PURCHASE": "Hold",
    "CHECKOUT_PROMOTION_CODES": "On",
    "CHECKOUT_AUTOMATIC_TAX": "On",
    "CHECKOUT_TAX_IDS": "On",
    "CHECKOUT_TERMS": "On",
    "OUTBOX_ALLOW_PRIVATE": "1",
    "ALERT_FORMAT": "Json",
}


@pytest.mark.parametrize(("field", "setting"), [pytest.param(*one, id=one[1].env) for one in Settings.each()])
def test_what_can_not_be_misunderstood_is_read_forgivingly(field: str, setting: Setting) -> None:
    """Blanks around any value, and the case of every closed choice, change nothing."""
    name = setting.env
    closed = setting.parse.__qualname__.startswith(f"{one_of.__name__}.")
    assert closed is (name in CHOICES)
    plain = CHOICES[name].lower() if closed else GOOD.get(name) or MORE[name]
    given = {**GOOD, **BESIDE.get(name, {})}
    expected = getattr(Settings.load({**given, name: plain}), field)
    for typed in (f"  {plain}\t", f"{plain}\n", *([CHOICES[name], CHOICES[name].upper()] if closed else [])):
        assert getattr(Settings.load({**given, name: typed}), field) == expected


MORE = {
    "KEY_SCOPES": "bob=read",
    "SHARD": "0/2",
    "DATABASE_URL_UNPOOLED": "postgresql://app:dbpass_fake@db.example.com/app",
    "STRIPE_API_BASE": "http://127.0.0.1:1",
    "GRACE_DAYS": "3",
    "RETENTION_DAYS": "30",
    "SUSPEND_WINDOW": "Mon-Thu 09:00-16:00 Europe/Berlin; not 2026-12-24, 12-25",
    "CHECKOUT_SUCCESS_URL": "https://www.example.com/thanks?id={CHECKOUT_SESSION_ID}",
    "CHECKOUT_CANCEL_URL": "https://www.example.com/plans",
    "PORTAL_RETURN_URL": "https://www.example.com/account",
    "ALLOWED_ORIGINS": "https://www.example.com, http://localhost:8080",
    "CHECKOUT_LOCALE": "pt-BR",
    "CHECKOUT_LIMIT": "5",
    "TRUSTED_PROXIES": "2",
    "QUANTITY_MAX": "50",
    "BRAKE_MAX": "9",
    "BRAKE_PERCENT": "9",
    "PANEL_CONCURRENCY": "2",
    "EVENT_RETENTION_DAYS": "60",
    "LEDGER_RETENTION_DAYS": "730",
    "HEALTH_MAX_LAG": "60",
    "QUIET_MINUTES": "5",
    "ESCROW_DAYS": "30",
    "APP_VERSION": "1.2.3",
    "OUTBOX_URL": "https://app.example.com/events",
    "OUTBOX_SECRET": OUTBOX_SECRET,
    "OUTBOX_TYPES": "order.paid|service.*",
    "MAIL_URL": "smtp://bridge:mailpass_fake@mail.example.com:587",
    "MAIL_FROM": "Example Hosting <billing@example.com>",
    "NOTICE_DAYS": "3",
    "NOTICE_LANGUAGE": "de",
    "NOTICE_TEMPLATES": "our-notices",
    "ALERT_WEBHOOK_URL": "https://hooks.example.com/services/hook_fake",
    "ALERT_ROUTING_KEY": "routing_fake",
    "ALERT_EMAIL": "oncall@example.com",
    "DATABASE_ALLOWANCE_MB": "512",
    "NEON_CU_HOURS": "0",
    "SENTRY_DSN": "https://key_fake@o1.ingest.example.com/2",
}

BESIDE = {
    "OUTBOX_URL": {"OUTBOX_SECRET": OUTBOX_SECRET},
    "MAIL_URL": {"MAIL_FROM": "billing@example.com"},
    "MAIL_FROM": {"MAIL_URL": "smtp://mail.example.com:587"},
    "ALERT_ROUTING_KEY": {"ALERT_FORMAT": "pagerduty"},
    "ALERT_EMAIL": {"MAIL_URL": "smtp://mail.example.com:587", "MAIL_FROM": "billing@example.com"},
}
"""What must be set as well."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://app@db.example.com/app"),
        ("DATABASE_URL", "db.example.com"),
        ("DATABASE_URL", "postgresql://[::1/app"),
        ("DATABASE_URL", "postgresql://app:p℀ss@db.example.com/app"),
        ("DATABASE_URL", "postgresql://app:p%ss@db.example.com/app"),
        ("DATABASE_URL_UNPOOLED", "https://db.example.com"),
        ("STRIPE_SECRET_KEY", "pk_live_fake"),
        ("STRIPE_SECRET_KEY", "sk_fake"),
        ("STRIPE_SECRET_KEY", "sk_test_"),
        ("STRIPE_WEBHOOK_SECRET", "secret_fake"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_fake, other_fake"),
        ("STRIPE_WEBHOOK_SECRET", " , "),
        ("STRIPE_WEBHOOK_SECRET", "whsec_"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "plainhost.test"),
        ("ALLOWED_ORIGINS", "https://www.example.com/plans"),
        ("CHECKOUT_SUCCESS_URL", "/thanks"),
        ("CHECKOUT_CANCEL_URL", "https://user:pass_fake@www.example.com"),
        ("PORTAL_RETURN_URL", "https://www.example.com/my account"),
        ("CHECKOUT_LOCALE", "german"),
        ("STRIPE_API_BASE", "ftp://api.stripe.com"),
        ("ENHANCE_API_URL", "panel.hosting.example"),
        ("ENHANCE_API_URL", "https://"),
        ("ENHANCE_API_URL", "https://:443"),
        ("ENHANCE_API_URL", "https://panel.example.com:https"),
        ("ENHANCE_API_URL", "https://anna:hunter2@panel.hosting.example"),
        ("ENHANCE_API_URL", "https://anna:p℀ss@panel.example.com"),
        ("ENHANCE_API_URL", "https://panel.example.com/?a=1"),
        ("ENHANCE_API_URL", "https://panel.example.com/#a"),
        ("ENHANCE_ORG_ID", "12345"),
        ("ADMIN_API_KEY", "anna:"),
        ("ADMIN_API_KEY", ":key"),
        ("ADMIN_API_KEY", "anna:key1,,bob:key2"),
        ("GRACE_DAYS", "-1"),
        ("GRACE_DAYS", "366"),
        ("GRACE_DAYS", "7.5"),
        ("GRACE_DAYS", "seven"),
        ("RETENTION_DAYS", "0"),
        ("PANEL_CONCURRENCY", "0"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
        ("BRAKE_PERCENT", "101"),
        ("EVENT_RETENTION_DAYS", "30"),
        ("LEDGER_RETENTION_DAYS", "399"),
        ("HEALTH_MAX_LAG", "9" * 5000),
        ("PROVISIONING_MODE", "alive"),
        ("PAUSE_COLLECTION", "yes"),
        ("ON_DISPUTE", "hold"),
        ("ON_DISPUTE_LOST", "hold"),
        ("ON_REFUND", "hold"),
        ("ON_DOUBLE_PURCHASE", "suspend"),
        ("WELCOME", "mail"),
        ("LOG_LEVEL", "trace"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(name: str, value: str) -> None:
    """The message names the setting, says what it must be, and repeats nothing of a value that may be a secret."""
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name} ")
    if len(value.strip()) > 8:
        assert value.strip() not in problem
    assert "hunter2" not in problem
    assert "p℀ss" not in problem
    assert "p%ss" not in problem


def test_wrong_and_missing_settings_are_reported_together() -> None:
    """One start shows the whole list, in the order of the documentation."""
    found = problems(CRON_SECRET="", GRACE_DAYS="x", DATABASE_URL="nope", ENHANCE_ORG_ID="x")
    assert [problem.split()[0] for problem in found] == ["DATABASE_URL", "ENHANCE_ORG_ID", "CRON_SECRET", "GRACE_DAYS"]


@given(st.sampled_from(sorted(setting.env for _, setting in Settings.each())), st.text(min_size=6))
def test_no_value_ever_stands_in_a_message(name: str, value: str) -> None:
    """Whatever text a setting has, it either loads or is refused without being repeated."""
    marked = f"geheim{value}geheim"
    said = ""
    try:
        Settings.load({**GOOD, name: marked})
    except SettingsError as error:
        said = str(error)
    assert "geheim" not in said


def shown(settings: Settings) -> str:
    """Every way in which settings or a secret become text by accident."""
    secret = settings.stripe_secret_key
    trace = "".join(traceback.format_exception(ValueError(f"{settings} {secret}")))
    return "\n".join(
        [
            repr(settings),
            str(settings),
            f"{secret} {secret!r} {secret!s:>20} {[secret]} {settings.admin_keys}",
            "%s %r" % (secret, secret),  # noqa: UP031
            json.dumps(msgspec.structs.asdict(settings), default=str),
            str(msgspec.structs.asdict(settings)),
            msgspec.json.encode(settings, enc_hook=str).decode(),
            trace,
        ]
    )


def test_no_secret_becomes_text() -> None:
    """Printing, formatting, dumping or raising settings shows stars where a secret is."""
    text = shown(Settings.load(GOOD))
    for hidden in HIDDEN:
        assert hidden not in text
    assert "********" in text


def test_a_secret_equals_only_the_same_secret() -> None:
    """Secrets can be compared and kept in sets; a plain text is never equal to one."""
    assert Secret("a") == Secret("a")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"
    assert pickle.loads(pickle.dumps(Secret("a"))).reveal() == "a"  # noqa: S301


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://panel.example.com", "https://panel.example.com/api"),
        ("https://panel.example.com/", "https://panel.example.com/api"),
        ("https://panel.example.com/api", "https://panel.example.com/api"),
        ("https://panel.example.com/api/", "https://panel.example.com/api"),
        (" http://127.0.0.1:8080 ", "http://127.0.0.1:8080/api"),
    ],
)
def test_the_panels_address_is_taken_with_or_without_api(url: str, base: str) -> None:
    """Both spellings that people copy from the panel lead to the same base."""
    assert Settings.load({**GOOD, "ENHANCE_API_URL": url}).enhance_api_url == base


@pytest.mark.parametrize(
    ("key", "live"), [("sk_live_x", True), ("rk_live_x", True), ("sk_test_x", False), ("rk_test_x_live_y", False)]
)
def test_the_mode_is_that_of_the_key(key: str, live: bool) -> None:
    """The prefix of the key alone decides between live and test."""
    assert Settings.load({**GOOD, "STRIPE_SECRET_KEY": key}).livemode is live


def test_a_bare_admin_key_is_the_actor_admin() -> None:
    """A key without a name works, beside named ones too."""
    keys = Settings.load({**GOOD, "ADMIN_API_KEY": "one_fake,bob:two_fake"}).admin_keys
    assert keys == (("admin", Secret("one_fake")), ("bob", Secret("two_fake")))


def test_several_webhook_secrets_are_kept_in_order() -> None:
    """While a secret is rolled both are listed; spaces and a comma at the end do no harm."""
    found = Settings.load({**GOOD, "STRIPE_WEBHOOK_SECRET": "whsec_new_fake, whsec_old_fake,"}).stripe_webhook_secrets
    assert [secret.reveal() for secret in found] == ["whsec_new_fake", "whsec_old_fake"]


def test_the_edge_of_vercel_is_believed_and_no_other_proxy_unasked() -> None:
    """It overwrites what a caller sends; whatever else stands in front has to be declared."""
    assert Settings.load(GOOD).trusted_proxies == 0
    assert Settings.load({**GOOD, "VERCEL": "1"}).trusted_proxies == 1
    assert Settings.load({**GOOD, "VERCEL": "1", "TRUSTED_PROXIES": "0"}).trusted_proxies == 0


def test_the_version_is_the_commit_on_vercel() -> None:
    """Vercel's commit is shown where nothing else was set."""
    commit = {"VERCEL_GIT_COMMIT_SHA": "0123456789abcdef"}
    assert Settings.load({**GOOD, **commit}).app_version == "0123456789ab"
    assert Settings.load({**GOOD, **commit, "APP_VERSION": "1.2.3"}).app_version == "1.2.3"
    assert Settings.load(GOOD).app_version == "dev"
