"""Turns everything that can go wrong in a request into the one shape of an error answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from django.core.exceptions import RequestDataTooBig, TooManyFilesSent
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError

from troupe.core.cards import CardError, CardTooLarge
from troupe.core.errors import CoreError, NotSignedIn, TooMany

_CODES = {
    400: ("bad_request", "This request cannot be read."),
    401: ("not_signed_in", "Sign in first, or begin as a guest."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    413: ("too_large", "This is larger than is allowed."),
    503: ("unavailable", "The database does not answer. Try again in a moment."),
}
RETRY_S = 2


def answer(
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, str] | None = None,
    retry_after: int | None = None,
) -> HttpResponse:
    """An error answer."""
    problem: dict[str, Any] = {"code": code, "message": message, "fields": dict(fields or {})}
    response = HttpResponse(
        orjson.dumps({"error": problem}), status=status, content_type="application/json"
    )
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def plain(status: int) -> HttpResponse:
    """An error of which only the status is known."""
    code, message = _CODES.get(status, ("error", "Something went wrong here; it was written down."))
    return answer(status, code, message, retry_after=RETRY_S if status == 503 else None)


def of(error: BaseException) -> HttpResponse | None:
    """The answer to an error that was foreseen; `None` for one that was not."""
    match error:
        case CoreError():
            wait = error.retry_after if isinstance(error, TooMany) else None
            return answer(error.status, error.code, error.message, error.fields, wait)
        case CardError():
            status, code = (413, "too_large") if isinstance(error, CardTooLarge) else (422, "card")
            return answer(status, code, f"This card cannot be read: {error}", {"file": str(error)})
        case ValidationError():
            return _invalid(error)
        case AuthenticationError():
            return of(NotSignedIn(_CODES[401][1]))
        case HttpError():
            code, _ = _CODES.get(error.status_code, ("error", ""))
            return answer(error.status_code, code, error.message)
        case RequestDataTooBig() | TooManyFilesSent():
            return plain(413)
        case Http404():
            return plain(404)
        case OperationalError():
            return plain(503)
    return None


def handle(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:  # noqa: ARG001
    """What django-ninja calls. Errors that nobody foresaw go on to Django, which logs them."""
    response = of(error) if isinstance(error, Exception) else None
    if response is None:
        raise error
    return response


HANDLED: tuple[type[Exception], ...] = (
    CoreError,
    CardError,
    ValidationError,
    AuthenticationError,
    HttpError,
    RequestDataTooBig,
    TooManyFilesSent,
    Http404,
    OperationalError,
)


def _invalid(error: ValidationError) -> HttpResponse:
    fields: dict[str, str] = {}
    for fault in error.errors[:50]:
        fields.setdefault(_place(fault["loc"]), str(fault["msg"]).removeprefix("Value error, "))
    where, what = next(iter(fields.items()))
    return answer(422, "invalid", f"{where}: {what}", fields)


def _place(loc: tuple[Any, ...]) -> str:
    """`name`, `tags.3`: where in the body, query or path; the body itself is `body`."""
    source, *rest = loc
    if source in ("body", "query", "path") and len(rest) > 1:
        rest = rest[1:]  # django-ninja names its own parameter there
    elif source == "body" and rest:
        return "body"
    return ".".join(str(part) for part in rest) or str(source)
