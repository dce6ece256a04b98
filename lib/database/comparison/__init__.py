"""Both sides compared with what we remember, a page or a whole list in one statement; who differs is made due.

`subscriptions` compares Stripe's list, `offline` our own orders, `orgs` and `websites` the panel's; `walk` is what they
share.
"""

from lib.database.comparison.offline import compare_lines
from lib.database.comparison.orgs import SeenOrg, compare_orgs, missing_orgs, orgs_gone, strange_orgs
from lib.database.comparison.subscriptions import any_subscription, compare_subscriptions, missing_subscriptions
from lib.database.comparison.walk import meet, open_walk, whole
from lib.database.comparison.websites import SeenWebsite, compare_websites, missing_websites, websites_gone

__all__ = [
    "SeenOrg",
    "SeenWebsite",
    "any_subscription",
    "compare_lines",
    "compare_orgs",
    "compare_subscriptions",
    "compare_websites",
    "meet",
    "missing_orgs",
    "missing_subscriptions",
    "missing_websites",
    "open_walk",
    "orgs_gone",
    "strange_orgs",
    "websites_gone",
    "whole",
]
