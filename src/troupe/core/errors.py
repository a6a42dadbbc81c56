"""What core refuses, and why. `api/problems.py` turns these into HTTP answers, in one place."""

from __future__ import annotations

from collections.abc import Mapping


class CoreError(Exception):
    """A request that cannot be done. Nothing was changed.

    `code` is for programs, `message` for people; `fields` says which part of the input is at
    fault, by its name.
    """

    status = 400
    code = "bad_request"

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})


class Invalid(CoreError):
    """What was sent does not fit; `fields` says where."""

    status = 422
    code = "invalid"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", {field: message})


class NotSignedIn(CoreError):
    """Only guests and users may do this."""

    status = 401
    code = "not_signed_in"


class WrongPassword(CoreError):
    """Name and password do not go together. Which of them is wrong is not told."""

    status = 401
    code = "wrong_password"


class AccountNeeded(CoreError):
    """A guest must register first."""

    status = 403
    code = "account_required"


class NotFound(CoreError):
    """There is no such thing, or it is not the asker's to see or change."""

    status = 404
    code = "not_found"


class Conflict(CoreError):
    """Something else stands in the way: a name taken, a limit on the number reached."""

    status = 409
    code = "conflict"


class TooLarge(CoreError):
    """A body or file over its limit."""

    status = 413
    code = "too_large"


class TooMany(CoreError):
    """Too many tries. `retry_after` is in seconds."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
