"""What must be true in the end, written from the design's text alone: it imports no decision and must never do so.

One subscription with one item is judged at a time, because "one subscription's trouble never touches another". Where
the text leaves a choice, the verdict names every permitted end, and the reason stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from lib.config import Policy
from lib.model import Hold, PanelSubscription, PlanMapping, Service, ServiceState, Subscription
from lib.structs import replace


class Fate(StrEnum):
    """How one service must end."""

    NOTHING = "nothing"
    """Never made, and nothing may be made."""
    ON = "on"
    OFF = "off"
    UNTOUCHED = "untouched"
    """Exactly as it was, in the panel and in our memory of its state."""
    DELETED = "deleted"
    """Soft-deleted in the panel."""


@dataclass(frozen=True)
class Circumstances:
    """All that a verdict may depend on."""

    subscription: Subscription
    mapping: PlanMapping | None
    service: Service | None
    """What was remembered at the start; `None` for a subscription never seen before."""
    panel: PanelSubscription | None
    """What the panel had at the start; `None` when it has nothing (any more)."""
    policy: Policy
    now: datetime
    domain_known: bool = True
    email_known: bool = True
    org_gone: bool = False
    unknown_to_stripe: bool = False
    customer_deleted: bool = False

    @property
    def made(self) -> bool:
        return self.service is not None and self.service.made

    @property
    def suspended_by_somebody_else(self) -> bool:
        if self.panel is None or self.panel.deleted or self.panel.suspended_by is None:
            return False
        return self.service is None or self.panel.suspended_by != self.service.suspended_by


class Verdict(Struct, frozen=True):
    """The permitted ends of one service."""

    fates: frozenset[Fate]
    holds: frozenset[Hold] = frozenset()
    """Must be there when it is off."""
    holds_allowed: frozenset[Hold] = frozenset()
    """May be there besides."""
    plan_moves: bool | None = False
    """True: it ends on the mapping's plan. False: no plan change. None: either."""
    website: bool | None = False
    """True: must have one in the end. False: none may be made. None: either."""
    parked: frozenset[str] | None = frozenset()
    """Reasons, one of which must be shown; empty: none; `None`: either. The design names only some reasons: "*"."""
    why: str = ""
    wakes_at: datetime | None = None
    """When it must be looked at again; `None`: not judged."""
    marked: bool | None = None
    """True: its name in the panel carries our mark in the end. `None`: either."""


def _some(*fates: Fate) -> frozenset[Fate]:
    return frozenset(fates)


NOBODY_WILL_PAY = "nobody will pay it"
ANY_REASON = frozenset({"*"})
LIVE_STATUSES = ("active", "trialing")
KNOWN_STATUSES = (
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
)


def verdict(world: Circumstances) -> Verdict:
    """What the design's table and settled readings demand."""
    subscription, service, mapping = world.subscription, world.service, world.mapping
    as_it_is = _some(Fate.UNTOUCHED if world.made else Fate.NOTHING)

    # Row "subscription unknown to Stripe (404)": park, never act.
    if world.unknown_to_stripe:
        return Verdict(as_it_is, parked=ANY_REASON, why="404")

    # "Something deleted by hand in the panel is parked (`panel_deleted`), shown, and made again only when an admin
    # says so." Of something that should be off there is nothing to make again: parking it is a matter of taste.
    terminated = service is not None and service.state is ServiceState.TERMINATED
    if world.org_gone or (world.made and (world.panel is None or world.panel.deleted)):
        sold = world.mapping is not None and world.mapping.kind == "service"
        missed = sold and _on_or_off(world)[0] == {Fate.ON} and not terminated
        return Verdict(as_it_is, parked=frozenset({"panel_deleted"}) if missed else None, why="deleted by hand")

    # Enums are open: "Unknown status: change nothing, log, alert."
    if subscription.status not in KNOWN_STATUSES and not world.customer_deleted:
        means_nothing = mapping is not None and mapping.kind == "ignore" and not world.made
        parked = None if means_nothing else ANY_REASON
        if world.made and world.service is not None and Hold.ADMIN in world.service.holds:
            # An admin's word is no matter of Stripe's: it holds whatever the status means.
            return Verdict(_some(Fate.OFF), frozenset({Hold.ADMIN}), frozenset(Hold), parked=parked, why="admin hold")
        return Verdict(as_it_is, parked=parked, why="a status that nobody knows")

    # "A mapping was edited so that the item of a live subscription means nothing any more (`ignore`, `addon`, row
    # gone): the service is kept as it is and parked `mapping_changed` until an admin confirms." What Stripe says of
    # its subscription goes on to count. A price that was replaced by an ignored one is the customer's own doing.
    if (mapping is None or mapping.kind != "service") and world.made and not terminated:
        assert service is not None
        same = service.price_id == subscription.items[0].price_id
        if same or (mapping is not None and mapping.kind == "addon"):
            return _kept(world)

    # "`kind='ignore'` is a price that means nothing here." A service made for another one is one whose item is gone.
    if mapping is not None and mapping.kind == "ignore":
        return _surplus(world, "ignored price")
    # "An add-on without a rule, or a price without a mapping: the customer is parked as `unmapped_price`": a lone
    # add-on has no base that it could change.
    if mapping is not None and mapping.kind == "addon":
        live = subscription.status in LIVE_STATUSES and not world.customer_deleted
        parked = frozenset({"unmapped_price"}) if live else None
        return Verdict(as_it_is, parked=parked, why="add-on without a base")

    fates, holds, allowed, why = _on_or_off(world)

    if mapping is None:
        # What is there still follows its status; nothing new can be made, because nobody knows as which plan.
        if not world.made:
            parked = frozenset({"unmapped_price"}) if Fate.ON in fates and len(fates) == 1 else None
            return Verdict(_some(Fate.NOTHING), parked=parked, why="unmapped price")
        parked = frozenset({"unmapped_price"}) if fates == {Fate.ON} else None
        site = None if Fate.ON in fates else False
        return Verdict(fates, holds, allowed, website=site, parked=parked, why=f"unmapped, {why}")

    # "No mail address" is no row of the table: there can't be a login, so nothing new can be whole.
    if not world.email_known and not world.made and Fate.ON in fates:
        return Verdict(_some(Fate.NOTHING), parked=ANY_REASON, why="no e-mail address")

    moves: bool | None = False
    if not world.customer_deleted and fates & {Fate.ON, Fate.OFF}:
        due = _may_move(world, mapping)
        moves = due if fates == {Fate.ON} else None  # one that is off may be moved now or when it runs again

    # "No domain known: no website"; one that is off gets none.
    website: bool | None = False
    if Fate.ON in fates and mapping.create_website and world.domain_known:
        sure = fates == {Fate.ON} and not world.suspended_by_somebody_else
        website = True if sure else None  # whether a site can be made on what an admin suspended is the panel's secret

    # "`friendlyName` carries the Stripe subscription id: our permanent mark", and what was renamed by hand is put
    # right; of what an operator linked, and of what is off, the text does not say it.
    ours = world.service is None or not world.service.adopted
    marked = True if fates == {Fate.ON} and ours else None

    parked = frozenset({"never_paid"} if why == NOBODY_WILL_PAY else ())
    return Verdict(
        fates, holds, allowed, moves, website, parked, why=why, wakes_at=_wakes_at(world, fates), marked=marked
    )


def _may_move(world: Circumstances, mapping: PlanMapping) -> bool | None:
    """Row "plan changed": once that change is paid. What a hand in the panel put on another plan goes back at once."""
    if world.service is not None and world.service.plan == mapping.plan:
        return True
    edited = world.service is not None and world.service.made_for == ((mapping.price_id, 1),)
    if edited and world.subscription.status in LIVE_STATUSES:
        return True  # an operator's edit is no purchase
    respelt = world.service is not None and {world.service.plan, mapping.plan} <= {"2", "Pro"}
    if world.subscription.status not in LIVE_STATUSES:
        return None if respelt else False
    invoice = world.subscription.latest_invoice
    # "Drafts say nothing"; one that is open is of the present period, void and uncollectible ones do not pay.
    if invoice is None or invoice.status in ("paid", "draft"):
        return True
    return None if respelt else False


def _wakes_at(world: Circumstances, fates: frozenset[Fate]) -> datetime | None:
    """Waiting is "again at T": the end of the grace while it runs, the end of a retention that is configured."""
    subscription, policy = world.subscription, world.policy
    if subscription.status == "past_due" and fates == {Fate.ON}:
        return _grace_ends(world)
    if subscription.status == "canceled" and fates == {Fate.OFF} and policy.retention_days is not None:
        if subscription.ended_at is not None:
            return subscription.ended_at + timedelta(days=policy.retention_days)
    return None


def mapping_trusts(world: Circumstances) -> bool:
    """`activate_on=processing`: a bank debit that is under way counts."""
    return world.mapping is not None and world.mapping.activate_on == "processing"


def _on_or_off(world: Circumstances) -> tuple[frozenset[Fate], frozenset[Hold], frozenset[Hold], str]:
    subscription, policy = world.subscription, world.policy
    status = subscription.status
    kept = (world.service.holds if world.service else frozenset()) & {Hold.ADMIN}  # "each is lifted by its own cause"

    # Settled: a deleted Stripe customer's subscriptions are cancelled ones.
    if world.customer_deleted or status == "canceled":
        return _ended(world, kept)
    under_way = mapping_trusts(world) and world.subscription.first_payment == "processing"
    if status == "incomplete" and not under_way:
        return _some(Fate.UNTOUCHED if world.made else Fate.NOTHING), kept, frozenset(Hold), "nothing yet"
    if status == "incomplete_expired":
        return _off(world, kept | {Hold.ENDED}, "never paid", retention_may_apply=True)
    if status not in KNOWN_STATUSES:
        return _some(Fate.UNTOUCHED if world.made else Fate.NOTHING), kept, frozenset(Hold), "unknown status"

    holds, unsure = set(kept), frozenset[Hold]()
    # Row "pause_collection set": `PAUSE_COLLECTION=keep` (default) or `suspend`.
    if status == "paused" or (subscription.collection_paused and policy.pause_collection == "suspend"):
        holds.add(Hold.PAUSED)
    ends = _grace_ends(world)
    if status in ("active", "paused") and world.made and world.service and Hold.UNPAID in world.service.holds:
        # Row "active again because an invoice was written off": held stays held until money comes, and over a pause
        # too, for "each is lifted by its own cause". Who paid meanwhile is off for the pause alone, whatever is noted.
        latest = subscription.latest_invoice
        if latest is None or latest.status != "paid":
            holds.add(Hold.UNPAID)
        elif status == "paused":
            unsure = frozenset({Hold.UNPAID})
    if status == "unpaid" and not _promised(world):
        holds.add(Hold.UNPAID)
    elif status == "unpaid" or (status == "past_due" and ends is None):
        # The row says hold `unpaid`, and a one-off date may be read as a promise that outlives Stripe's own patience;
        # past_due without any open invoice has no start to count from.
        unsure = frozenset({Hold.UNPAID})
    elif status == "past_due" and ends is not None and world.now >= ends:
        holds.add(Hold.UNPAID)
    holds |= _money_back(world)
    match _waits_for_its_money(world):
        case True:
            holds.add(Hold.ENDED)
        case None:
            unsure |= {Hold.ENDED}
    if holds:
        return _off(world, frozenset(holds), status, unsure)
    if status in ("past_due", "unpaid") and not world.made and not _paid_once(world):
        return _some(Fate.NOTHING), frozenset(), frozenset(), "what was never made waits for its first money"
    if unsure:
        either = _some(Fate.ON, Fate.OFF if world.made else Fate.NOTHING)
        return either, frozenset(), unsure, f"{status}, as one reads it"
    if status == "active":
        return _active(world)
    return _some(Fate.ON), frozenset(), frozenset(), status


def _waits_for_its_money(world: Circumstances) -> bool | None:
    """What was held as ended and is bought again: a purchase, which comes back as new does, after its money.

    Nobody gets more of what is behind. What nothing bills by itself runs at once, unless something is open. `None`: a
    bill that nobody will pay may be that of the time before.
    """
    service, subscription = world.service, world.subscription
    if service is None or not service.made or Hold.ENDED not in service.holds:
        return False
    if subscription.status in ("trialing", "incomplete"):
        return False
    if subscription.status != "active":
        return True
    latest = subscription.latest_invoice
    if latest is not None and latest.status in ("void", "uncollectible"):
        return None
    return latest is not None and latest.status == "open"


def _money_back(world: Circumstances) -> set[Hold]:
    """Rows "open dispute" and "full refund of the invoice that pays the running period".

    `ON_DISPUTE` and `ON_DISPUTE_LOST` speak of different disputes: an open one, and one whose money is gone for good.
    Won: lifted. An inquiry (`warning_*`) moves no money: no hold.
    """
    disputes, policy = world.subscription.disputes, world.policy
    is_open = any(status in ("needs_response", "under_review") for status in disputes)
    found = set()
    if (is_open and policy.on_dispute == "suspend") or ("lost" in disputes and policy.on_dispute_lost == "suspend"):
        found.add(Hold.DISPUTE)
    latest = world.subscription.latest_invoice
    running = latest is not None and any(line.start <= world.now < line.end for line in latest.lines or ())
    paying = running and latest is not None and latest.status == "paid" and latest.id in world.subscription.refunded
    if paying and policy.on_refund == "suspend":
        found.add(Hold.REFUND)
    return found


def _active(world: Circumstances) -> tuple[frozenset[Fate], frozenset[Hold], frozenset[Hold], str]:
    """`active`: on, once money is settled (`paid` default, or `processing` for SEPA-like methods)."""
    invoice = world.subscription.latest_invoice
    on = _some(Fate.ON), frozenset[Hold](), frozenset[Hold](), "active"
    if invoice is None or invoice.status == "paid" or world.made:
        return on  # A renewal's invoice is open for a while each month: what runs goes on running.
    if invoice.status in ("void", "uncollectible"):
        return _some(Fate.NOTHING), frozenset(), frozenset(), NOBODY_WILL_PAY
    if mapping_trusts(world) and world.subscription.first_payment == "processing":
        return on  # An invoice that was only sent is no money on its way.
    if invoice.billing_reason == "subscription_create":
        return _some(Fate.NOTHING), frozenset(), frozenset(), "the first money is not there yet"
    # A renewal's open invoice, and no other: the text can be read both ways.
    return _some(Fate.NOTHING, Fate.ON), frozenset(), frozenset(), "settled or not"


def _paid_once(world: Circumstances) -> bool:
    return any(invoice.status == "paid" for invoice in world.subscription.invoices or ())


def _grace_ends(world: Circumstances) -> datetime | None:
    """Oldest open invoice plus the mapping's length, else `GRACE_DAYS`; a one-off date wins over both."""
    if world.service is not None and world.service.grace_override is not None:
        return world.service.grace_override
    opened = [i.owed_since for i in world.subscription.invoices or () if i.status == "open"]
    start = min(opened, default=None)
    if start is None:
        return None
    own = world.mapping.grace_days if world.mapping is not None else None
    return start + timedelta(days=world.policy.grace_days if own is None else own)


def _ended(
    world: Circumstances, kept: frozenset[Hold]
) -> tuple[frozenset[Fate], frozenset[Hold], frozenset[Hold], str]:
    """`canceled`: hold `ended`; after `RETENTION_DAYS` (unset: never) soft-delete."""
    if world.made and world.policy.retention_days is not None:
        ended_at = world.subscription.ended_at or (world.service.ended_at if world.service else None) or world.now
        if world.now >= ended_at + timedelta(days=world.policy.retention_days):
            return _some(Fate.DELETED), kept | {Hold.ENDED}, frozenset(Hold), "retention is over"
    return _off(world, kept | {Hold.ENDED}, "ended")


def _promised(world: Circumstances) -> bool:
    override = world.service.grace_override if world.service is not None else None
    return override is not None and world.now < override


def _off(
    world: Circumstances,
    holds: frozenset[Hold],
    why: str,
    unsure: frozenset[Hold] = frozenset(),
    *,
    retention_may_apply: bool = False,
) -> tuple[frozenset[Fate], frozenset[Hold], frozenset[Hold], str]:
    # "Off states of something that was never made make nothing."
    if not world.made:
        return _some(Fate.NOTHING), frozenset(), frozenset(Hold), why + ", never made"
    # Of something that has ended, nobody asks any more why else it would be off.
    allowed = {Hold.PAUSED, Hold.UNPAID, Hold.DISPUTE, Hold.REFUND} if Hold.ENDED in holds else set(unsure)
    # The table names retention in the `canceled` row only; what else has ended may be read as being kept as long.
    deletable = retention_may_apply and world.policy.retention_days is not None
    return _some(Fate.OFF, *([Fate.DELETED] if deletable else [])), holds, frozenset(allowed), why


def _kept(world: Circumstances) -> Verdict:
    """Nothing ends by a mapping; what an admin has confirmed, and what Stripe ends, does."""
    fates, holds, allowed, why = _on_or_off(world)
    over = world.subscription.status in ("canceled", "incomplete_expired") or world.customer_deleted
    if over:
        return Verdict(fates, holds, allowed, why=f"means nothing, {why}", wakes_at=_wakes_at(world, fates))
    if world.service is not None and Hold.ENDED in world.service.holds:
        return replace(_surplus(world, "confirmed"), parked=None)
    return Verdict(fates, holds, allowed, parked=frozenset({"mapping_changed"}), why=f"means nothing now, {why}")


def _surplus(world: Circumstances, why: str) -> Verdict:
    """`item gone`: the surplus services get hold `ended`."""
    kept = (world.service.holds if world.service else frozenset()) & {Hold.ADMIN}
    if world.subscription.status == "canceled" or world.customer_deleted:
        fates, holds, allowed, why = _ended(world, kept)
    else:
        fates, holds, allowed, why = _off(world, kept | {Hold.ENDED}, why, retention_may_apply=True)
    return Verdict(fates, holds, allowed, parked=frozenset() if why == "ignored price" else None, why=why)
