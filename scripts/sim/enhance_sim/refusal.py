"""How the panel says no: one exception that becomes an error answer."""

from __future__ import annotations


class Refusal(Exception):
    """An error answer: the panel's JSON body, or plain text when `text` is given."""

    def __init__(
        self,
        status: int,
        code: str = "invalid_argument",
        detail: str | None = None,
        message: str | None = None,
        *,
        text: str | None = None,
    ) -> None:
        super().__init__(text or f"{status} {code} {detail or ''}".strip())
        self.status = status
        self.code = code
        self.detail = detail
        self.message = message
        self.text = text

    @property
    def body(self) -> dict[str, str | None]:
        """The panel's HttpError, with nulls where live panels send nulls."""
        return {"code": self.code, "detail": self.detail, "message": self.message}


def not_found(kind: str) -> Refusal:
    """The 404 of an object that is not there."""
    return Refusal(404, "not_found", kind)


def not_allowed(message: str | None = None, detail: str | None = None) -> Refusal:
    """The one 403 the panel has for a bad token, a missing role and a foreign org."""
    return Refusal(403, "unauthorized", detail, message)


def taken(kind: str, message: str | None = None) -> Refusal:
    """The 409 of something that exists already."""
    return Refusal(409, "already_exists", kind, message)
