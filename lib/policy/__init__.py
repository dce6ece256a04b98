"""The only place where policy lives: pure functions from what was observed, and the time, to what to do.

`decide` is the whole decision about a customer: `observe` and `recognise` lay what the panel shows onto what we
remember, `desired` says what should be true (and what must be read of Stripe before it is certain), and the one change
that leads there is found. `remembered` says what an action has changed, `imagine` what it would; `settlement` what the
end of a pass means for its row in the queue. No network, database, clock or environment.
"""

from lib.policy.checkout_domain import seeking_on, sought_domains
from lib.policy.decide import decide, with_domain
from lib.policy.desired import desired
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.policy.effects import imagine, remembered, with_service
from lib.policy.fingerprint import fingerprint, with_money_back
from lib.policy.invoices import closed, paid_after_end
from lib.policy.naming import clean_name, friendly_name, mark, marked_name, marks, readable
from lib.policy.next_action import MAY_STILL_APPEAR, outcome_known_at
from lib.policy.plan_references import UNASKED_MOVES, on_plan, plans_meant
from lib.policy.recognise import observe, plans_arrived, recognise
from lib.policy.retry import ENDLESS_ATTEMPTS, MAX_ATTEMPTS, retry_at
from lib.policy.settlement import as_settled, settlement
from lib.policy.usage import may_be_over, over, over_with, uncounted
from lib.policy.websites import has_ended, held_website, kept_back, same_domain

__all__ = [
    "ENDLESS_ATTEMPTS",
    "MAX_ATTEMPTS",
    "MAY_STILL_APPEAR",
    "UNASKED_MOVES",
    "InvalidDomain",
    "as_settled",
    "clean_name",
    "closed",
    "decide",
    "desired",
    "fingerprint",
    "friendly_name",
    "has_ended",
    "held_website",
    "imagine",
    "kept_back",
    "mark",
    "marked_name",
    "marks",
    "may_be_over",
    "normalise_domain",
    "observe",
    "on_plan",
    "outcome_known_at",
    "over",
    "over_with",
    "paid_after_end",
    "plans_arrived",
    "plans_meant",
    "readable",
    "recognise",
    "remembered",
    "retry_at",
    "same_domain",
    "seeking_on",
    "settlement",
    "sought_domains",
    "uncounted",
    "with_domain",
    "with_money_back",
    "with_service",
]
