"""HTTP in and out: one ASGI app from plain functions, guards, bounded bodies, problem documents (RFC 9457).

Bodies and lists with types stand in `typed` and `page`, which only the routes import that need them.
"""

from lib.vercel import keep_out
from lib.web.body import MAX_BODY, read_body, refuse_packed
from lib.web.deadline import work_deadline
from lib.web.endpoint import Answer, Ask, Handler, Verb, endpoint, is_form
from lib.web.guard import admin, cron, optional_admin, page_or_admin, public, signature
from lib.web.problem import answer, problem

__all__ = [
    "MAX_BODY",
    "Answer",
    "Ask",
    "Handler",
    "Verb",
    "admin",
    "answer",
    "cron",
    "endpoint",
    "is_form",
    "optional_admin",
    "page_or_admin",
    "problem",
    "public",
    "read_body",
    "refuse_packed",
    "signature",
    "work_deadline",
]

keep_out()
