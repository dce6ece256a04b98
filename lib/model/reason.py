"""Each word that says why something is as it is: why somebody is parked, what is waited for, by which rule.

Closed sets, with what each word means and what to do about it beside it: shown in the queue, and made into
`docs/reasons.md`. The same words stand in the database, in logs and in every answer.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Word(StrEnum):
    means: str
    """What has happened."""
    remedy: str
    """What to do about it."""

    def __new__(cls, word: str, means: str, remedy: str) -> Self:
        self = str.__new__(cls, word)
        self._value_ = word
        self.means, self.remedy = means, remedy
        return self


class Reason(_Word):
    """Why a customer can be parked, in the order of the operators' page."""

    UNMAPPED_PRICE = (
        "unmapped_price",
        "a price of theirs has no row in plan_mappings, or an add-on none in plan_rules",
        "Add a row to plan_mappings (kind 'ignore' if it means nothing) or plan_rules; it runs by itself.",
    )
    PLAN_NOT_FOUND = (
        "plan_not_found",
        "a mapping names a plan that the panel does not have",
        "Correct enhance_plan_id in plan_mappings (the plan's id, or its exact name), or create the plan in the panel.",
    )
    PLAN_AMBIGUOUS = (
        "plan_ambiguous",
        "two plans in the panel have the name that a mapping names",
        "Two plans in the panel have this name: write the plan's id into plan_mappings.",
    )
    NO_EMAIL = (
        "no_email",
        "the Stripe customer has no e-mail, so no login can be made",
        "Add an e-mail address to the customer in Stripe.",
    )
    INVALID_DOMAIN = (
        "invalid_domain",
        "what was typed as domain is none",
        "Correct metadata.domain of the subscription in Stripe.",
    )
    DOMAIN_IN_USE = (
        "domain_in_use",
        "another website in the panel has this domain; the detail names the customer, if it is another one of yours",
        "The domain is on another site of the panel: free it there, or set another metadata.domain.",
    )
    SAME_DOMAIN_PURCHASE = (
        "same_domain_purchase",
        "two live subscriptions of one customer name one domain; the detail names both",
        "Cancel one of the two in Stripe (the website goes to the other by itself), or set another domain.",
    )
    WEBSITE_HELD = (
        "website_held",
        "bought again, and the website's ended hosting is held by an admin, or was suspended in the panel",
        "The ended service is held: lift it, here or in the panel, and its website goes to the new one.",
    )
    WEBSITE_TOO_BIG = (
        "website_too_big",
        "bought again, and the website needs more than the new plan allows; the numbers are in the detail",
        "Have it reduced, or change the plan in Stripe, then retry; or move the website in the panel, then retry.",
    )
    DOMAIN_RESERVED = (
        "domain_reserved",
        "a deleted website still holds this domain",
        "A deleted website still holds the domain: purge or restore it in the panel, then retry.",
    )
    DOMAIN_PROHIBITED = (
        "domain_prohibited",
        "the panel does not allow this domain",
        "The panel forbids the domain: set another metadata.domain in Stripe.",
    )
    LOGIN_NOT_FOUND = (
        "login_not_found",
        "the panel says that the login exists, and lists it nowhere",
        "Look among the panel's deleted customers: restore or purge the login's, then retry.",
    )
    PANEL_DELETED = (
        "panel_deleted",
        "hosting that should be there was deleted in the panel by hand; it is never made again by itself",
        "It was deleted in the panel: restore it there and retry, or use recreate.",
    )
    PANEL_REFUSED = (
        "panel_refused",
        "the panel declined, with its words in the detail",
        "The panel refused the call: read its words, mend it there, then retry.",
    )
    PANEL_NOT_FOUND = (
        "panel_not_found",
        "the panel does not find what we remember, with its words in the detail",
        "The panel does not find what we remember: look there, then retry.",
    )
    PANEL_ORG_CLOSED = (
        "panel_org_closed",
        "the token works, but may not look at the customer's organisation",
        "The token may not look at their organisation: was it moved to another reseller, or wiped, in the panel?",
    )
    AMBIGUOUS_ORG = (
        "ambiguous_org",
        "two organisations carry our mark for one customer",
        "Two organisations carry the mark of one customer: delete the empty one in the panel, then retry.",
    )
    DUPLICATE_IN_PANEL = (
        "duplicate_in_panel",
        "two hosting subscriptions carry our mark for one service",
        "Two hosting subscriptions carry one mark: delete the surplus one in the panel, then retry.",
    )
    DOWNGRADE_BLOCKED = (
        "downgrade_blocked",
        "they use more than the smaller plan allows; the numbers are in the detail",
        "Have them clean up, then retry; or change the plan back in Stripe.",
    )
    DOUBLE_PURCHASE = (
        "double_purchase",
        "a second live subscription to the same price, with ON_DOUBLE_PURCHASE=hold",
        "Bought twice: release it, or refund and cancel one of the two in Stripe.",
    )
    NEVER_PAID = (
        "never_paid",
        "active, but its first invoice was voided or written off: nobody paid, so nothing was made",
        "Release it, if it is to be made all the same; or cancel the subscription in Stripe.",
    )
    ONLY_DRAFTS_LEFT = (
        "only_drafts_left",
        "unpaid at Stripe although every final invoice is paid: only drafts are left",
        "Finalize the drafts in Stripe and have them paid, or delete them.",
    )
    MAPPING_CHANGED = (
        "mapping_changed",
        "by plan_mappings, what they pay for is not hosting any more (ignore, addon, no row); it is kept as it is",
        "Put the mapping right; or release it, if that hosting is to end: nothing ends before.",
    )
    QUANTITY_UNUSUAL = (
        "quantity_unusual",
        "a quantity above QUANTITY_MAX; what is there stays, the rest is not made",
        "Correct the quantity in Stripe, or release it: then so many are made.",
    )
    UNKNOWN_CUSTOMER = (
        "unknown_customer",
        "Stripe does not know a customer whom we remember: another account or mode; nothing was changed",
        "Stripe denies a customer we know: is STRIPE_SECRET_KEY of the same account and mode?",
    )
    UNKNOWN_SUBSCRIPTION = (
        "unknown_subscription",
        "Stripe does not know a subscription that we remember: another account or mode; nothing was changed",
        "Stripe denies a subscription we know: is STRIPE_SECRET_KEY of the same account and mode?",
    )
    UNKNOWN_STATUS = (
        "unknown_status",
        "Stripe has a new subscription status; nothing was changed",
        "Stripe uses a status that this version does not know: update the product.",
    )
    PANEL_CONFLICT = (
        "panel_conflict",
        "the panel says that such a thing exists already; the detail says which",
        "The panel says that it exists already: look there, then retry.",
    )
    STRIPE_NOT_FOUND = (
        "stripe_not_found",
        "Stripe does not know an object that it named itself, with its words in the detail",
        "Stripe does not know the object: is STRIPE_SECRET_KEY of the same account and mode?",
    )
    STRIPE_REFUSED = (
        "stripe_refused",
        "Stripe declined a read, with its words in the detail",
        "Run ./scripts/doctor; if it finds nothing, open an issue with Stripe's words.",
    )
    NO_PROGRESS = (
        "no_progress",
        "a change was made, and the same one is called for again in the same pass",
        "A change was made and is called for again: compare both sides with explain, then retry.",
    )
    EVENT_REFUSED = (
        "event_refused",
        "one of your own systems did not take an outgoing event, again and again; what follows it waits",
        "Mend the receiver, and it goes on by itself; or skip the event with POST /api/admin/events.",
    )
    ORDER_MOVE_UNKNOWN = (
        "order_move_unknown",
        "what Stripe says of an order follows from nothing that the order has been through; it stays as it was",
        "Compare the order with its session and payments in Stripe; the detail names both sides.",
    )
    PAYMENT_NUMBERS_DIFFER = (
        "payment_numbers_differ",
        "the numbers of a payment contradict each other or one is missing, so none is frozen; the money counts as come",
        "Compare the invoice, the charge and its balance transaction in Stripe; report it, with the detail.",
    )
    PAID_TWICE = (
        "paid_twice",
        "an order that is paid once was paid by a second PaymentIntent; the amount that came too much is in the detail",
        "Give it back: POST /api/admin/orders, refund, with the paymentId of the order's newest payment.",
    )
    DEBT_PAID_TWICE = (
        "debt_paid_twice",
        "money came without Stripe for what is paid, is being paid or can still be paid there; the detail names both",
        "Refund one of the two orders, or void the open invoice in Stripe: it goes on by itself within a day.",
    )
    PAYMENT_UNFIT = (
        "payment_unfit",
        "money came by a PaymentIntent whose metadata name an order that it does not fit; the detail says why",
        "Refund it in Stripe, or correct metadata.order_id there; then retry.",
    )
    GAVE_UP = (
        "gave_up",
        "it failed for more than a day; the last error is in the detail",
        "It failed again and again: read the last error, mend its cause, then retry.",
    )


class SettingsFault(_Word):
    """What the settings are to blame for: it begins the last error, and parks nobody."""

    STRIPE_KEY = (
        "stripe_key",
        "Stripe refuses the key, or it lacks a permission",
        "Run ./scripts/doctor: it names the permission. See step 2 of docs/deploy.md.",
    )
    PANEL_TOKEN = (
        "panel_token",
        "the panel refuses the token: its role, its expiry, or the address it is used from",
        "Make a new token, or correct its list of addresses. See step 3 of docs/deploy.md.",
    )
    PANEL_ORG = (
        "panel_org",
        "ENHANCE_ORG_ID is deleted, unknown, or not above the customer's organisation",
        "Correct ENHANCE_ORG_ID (step 3 of docs/deploy.md); or was that organisation moved to another reseller?",
    )
    PANEL_URL = ("panel_url", "the panel answers with a redirect instead of an answer", "Correct ENHANCE_API_URL.")


class WaitReason(_Word):
    """What a service or a row of the queue waits for by itself."""

    FIRST_PAYMENT = (
        "first_payment",
        "the first invoice is not paid; Stripe calls the subscription incomplete",
        "Nothing: it runs once it is paid.",
    )
    SETTLEMENT = (
        "settlement",
        "the money of a bank debit or an invoice has not arrived yet",
        "Nothing: it runs once it arrives. activate_on=processing in plan_mappings waits for no debit under way.",
    )
    CHANGE_WAITS_FOR_PAYMENT = (
        "change_waits_for_payment",
        "another plan or more was bought, and the bill of the change is not paid; what is there stays as it is",
        "Nothing: it follows once that is paid.",
    )
    DOMAIN_DIFFERS = (
        "domain_differs",
        "metadata.domain was changed after the website was made, which keeps its domain; nobody is parked for it",
        "Change the domain in the panel, or set metadata.domain back. The dashboard lists all: domainsDiffer.",
    )
    WEBSITE_WAITED_FOR = (
        "website_waited_for",
        "this hosting has ended, and its website is kept because a purchase of the same customer waits for it",
        "See why that purchase waits; the website then goes over by itself.",
    )
    OUTCOME_UNKNOWN = (
        "outcome_unknown",
        "a change was begun and its answer was lost: it is looked for until it can't appear any more",
        "Nothing: then it is made again, if it is still missing.",
    )
    BRAKE = (
        "brake",
        "the brake is on: a suspension or termination of theirs is due and not made",
        "Look at who waits, then releaseBrake.",
    )
    STRIPE_LIMITS = (
        "stripe_limits",
        "Stripe takes no more requests a second; whoever else uses the account's keys counts, too",
        "Nothing: it goes on within seconds. If it stays for hours, see what else asks Stripe so much.",
    )
    WEBSITE_TURN = (
        "website_turn",
        "another website is being created just now; the panel makes one at a time",
        "Nothing.",
    )
    IN_GRACE = (
        "in_grace",
        "unpaid, and grace is not over: the date is grace_until",
        "Nothing; or set another date with grace.",
    )
    IN_ONE_OFF_GRACE = (
        "in_one_off_grace",
        "unpaid, and on until the date that an admin set",
        "Nothing; grace with null takes the date back.",
    )
    SUSPEND_WINDOW = (
        "suspend_window",
        "a debt is to be suspended for, and waits for the hours of SUSPEND_WINDOW: the date is grace_until",
        "Nothing; to suspend at once, use hold.",
    )
    RECEIVER_FAILS = (
        "receiver_fails",
        "one of your own systems does not take outgoing events just now: one is tried at a time until one arrives",
        "Mend the receiver; see GET /api/admin/events?direction=out.",
    )
    NOTICE_DATE = ("notice_date", "a mail to a customer, whose date has not come or whose server fails", "Nothing.")
    NOTICE_ANSWER = (
        "notice_answer",
        "a mail was handed over and the answer was lost: it is sent once more, under the same id",
        "Nothing.",
    )
    REST_OF_BILL = ("rest_of_bill", "a part of a bill has come, and the rest of it is open", "Nothing.")
    PERIOD = ("period", "an offline order: it falls due, or its next period is to be asked for", "Nothing.")
    PAGE_OPEN = (
        "page_open",
        "the buyer has not finished Stripe's page, which can be paid until it expires",
        "Nothing.",
    )
    MONEY_UNDER_WAY = (
        "money_under_way",
        "the money of an order is under way, for days with a bank debit",
        "Nothing: Stripe says when it came or failed.",
    )
    BALANCE_TRANSACTION = (
        "balance_transaction",
        "the money came, and Stripe has not said yet what it took of it",
        "Nothing: the numbers are frozen once they are there.",
    )
    ORDER_NOT_THERE = (
        "order_not_there",
        "a payment came before the purchase that it belongs to could be found at Stripe",
        "Nothing: it is looked for again.",
    )
    ESCROW = (
        "escrow",
        "the money of an order that was sold for somebody else is held for ESCROW_DAYS",
        "Nothing.",
    )
    MORE_TO_DO = ("more_to_do", "one pass made as many changes as it may; the next one goes on at once", "Nothing.")
    TIME = ("time", "this invocation had no time left; the next one goes on", "Nothing.")


class Explained(StrEnum):
    """A closed set of words, each with its meaning beside it."""

    means: str

    def __new__(cls, word: str, means: str = "") -> Self:
        self = str.__new__(cls, word)
        self._value_ = word
        self.means = means
        return self


class Rule(Explained):
    """Why something should be so, and an action is made, where none of the words above says it."""

    ACTIVE = "active", "paid at Stripe: it runs"
    TRIALING = "trialing", "in its trial at Stripe: it runs"
    PROCESSING = "processing", "its first bank debit is under way, which activate_on=processing trusts"
    INCOMPLETE = "incomplete", "its first payment is missing: nothing is made"
    INCOMPLETE_EXPIRED = "incomplete_expired", "its first payment never came: nothing is made"
    MONEY_NOT_SETTLED = "money_not_settled", "never made, or bought again, and its money has not come"
    CANCELED = "canceled", "it has ended at Stripe"
    ITEM_GONE = "item_gone", "its item was taken out of the subscription, or the quantity lowered"
    MAPPING_CONFIRMED = (
        "mapping_confirmed",
        "by plan_mappings it is no hosting any more, as a person confirmed",
    )
    RETENTION_OVER = "retention_over", "it ended longer ago than RETENTION_DAYS: it is deleted"
    TERMINATED = "terminated", "it was deleted after its end"
    UNPAID = "unpaid", "Stripe has given up collecting: it is held"
    GRACE_OVER = "grace_over", "still not paid at the end of its grace: it is held"
    WRITTEN_OFF = "written_off", "what was owed was voided or written off, and no money came since"
    PAUSED = "paused", "paused at Stripe: it is held"
    COLLECTION_PAUSED = "collection_paused", "its collection is paused at Stripe, with PAUSE_COLLECTION=suspend"
    DISPUTE_OPEN = "dispute_open", "a dispute about its money is open, with ON_DISPUTE=suspend"
    DISPUTE_LOST = "dispute_lost", "a dispute about its money was lost, with ON_DISPUTE_LOST=suspend"
    REFUNDED = "refunded", "the running period was refunded in full, with ON_REFUND=suspend"
    ADMIN_HOLD = "admin_hold", "an admin holds it, until they lift it"
    UNREAD = "unread", "something of Stripe that it depends on could not be read: it stays as it is"
    MAPPING_EDITED = (
        "mapping_edited",
        "another plan, because an operator edited what is sold; the brake counts it",
    )
    PLAN_PUT_BACK = "plan_put_back", "somebody moved it to another plan in the panel; the brake counts it"
    WIN_BACK = "win_back", "bought again with its domain: the website comes from the ended service"
    OUR_MARK = "our_mark", "its name in the panel lost our mark, by which it is found again"
    NAME_FOLLOWS_STRIPE = "name_follows_stripe", "the organisation is called as the customer is at Stripe"
    FIRST_SERVICE = "first_service", "the set-password mail goes out with the first service"
    BY_HAND = "by_hand", "an admin asked for it, under their name"
    FOUND_AFTER_INTERRUPTION = "found_after_interruption", "begun by a pass that died, and found done"
    EMAIL_HAS_NO_CALL = "email_has_no_call", "another e-mail at Stripe, and the panel has no call to change a login's"
    PAID_AFTER_END = "paid_after_end", "an invoice was paid when its subscription had ended already"


Why = Rule | Reason | WaitReason
"""Any of the words by which something is as it is."""


def waited_for(word: str | None) -> Reason | WaitReason | None:
    """What a service waits for, as it is written down; `None` for a word of another version."""
    return _REASONS.get(word or "") or _WAITS.get(word or "")


def remedy(word: str) -> str:
    """What to do about whatever somebody is parked for, also by a word of another version."""
    known = _REASONS.get(word)
    return known.remedy if known else "Read the detail, mend its cause, then retry."


def what_to_do(*, parked: str | None, waits_for: str | None, error: str | None) -> str | None:
    """What to do about a row of the queue, whatever it stands for; `None` where it only has its turn before it."""
    if parked is not None:
        return remedy(parked)
    if error is not None:
        fault = _FAULTS.get(error.partition(":")[0])
        return fault.remedy if fault else FAILED_ONCE_MORE
    if waits_for is None:
        return None
    known = waited_for(waits_for)
    return known.remedy if known else NOTHING_UNTIL_THEN


FAILED_ONCE_MORE = "Nothing: it is tried again by itself. Where the other side is well again, retry tries at once."
NOTHING_UNTIL_THEN = "Nothing: it is looked at again on that date, or with the next event."


def means(word: str) -> str | None:
    """What a word says has happened; `None` for one of another version."""
    known = _REASONS.get(word) or _WAITS.get(word) or _RULES.get(word)
    return known.means if known else None


_REASONS = {reason.value: reason for reason in Reason}
_WAITS = {reason.value: reason for reason in WaitReason}
_RULES = {rule.value: rule for rule in Rule}
_FAULTS = {fault.value: fault for fault in SettingsFault}
