"""What Django answers when something goes wrong outside a route of the API.

Under /api it is the API's error shape; in the admin it is a short page.
"""

from __future__ import annotations

import sys

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from .api import problems


def in_api(request: HttpRequest) -> bool:
    """Whether a program asks, and not a person in the admin."""
    return not request.path_info.startswith("/admin")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The token of a write is missing or wrong."""
    message = f"{reason} Send X-CSRFToken with the token that GET /api/v1/session gives."
    return problems.answer(403, "csrf", message) if in_api(request) else _page(403, message)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django refuses to look at."""
    status = 413 if isinstance(exception, RequestDataTooBig) else 400
    return problems.plain(status) if in_api(request) else _page(status, "This cannot be read.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The admin to those who may not."""
    if in_api(request):
        return problems.plain(403)
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """An address that nothing is at."""
    return problems.plain(404) if in_api(request) else _page(404, "There is nothing here.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Something failed. When it was the database, say so: it may be back in a moment."""
    failed = sys.exc_info()[1]
    status = 503 if isinstance(failed, OperationalError) else 500
    return problems.plain(status) if in_api(request) else _page(status, "This failed. Try again.")


def _page(status: int, message: str) -> HttpResponse:
    return HttpResponse(message, status=status, content_type="text/plain; charset=utf-8")
