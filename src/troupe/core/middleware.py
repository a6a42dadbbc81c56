"""What happens to every request that Django answers: log, metrics, one shape of errors, CSRF."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from troupe.telemetry import logs

from . import metrics, pages
from .api import problems

_log = logs.get("troupe.core")
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

Handler = Callable[[HttpRequest], HttpResponseBase]

_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def observe(handle: Handler) -> Handler:
    """Write a line and count the request. Route, not path, labels it: paths are without number."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = handle(request)
        seconds = time.perf_counter() - started
        match = request.resolver_match
        route = match.route if match is not None else "none"
        method = request.method if request.method in _METHODS else "other"
        metrics.REQUESTS.labels(method, route, response.status_code).inc()
        metrics.SECONDS.labels(method, route).observe(seconds)
        _log.info(
            "request",
            method=method,
            path=request.path_info,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )
        return response

    return middleware


def shape(handle: Handler) -> Handler:
    """Give each error under /api the API's shape, and each answer its policy headers."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = handle(request)
        kind = response.headers.get("Content-Type", "")
        if response.status_code >= 400 and pages.in_api(request) and "json" not in kind:
            plain = problems.plain(response.status_code)
            if "Allow" in response.headers:
                plain["Allow"] = response["Allow"]
            response = plain
        page = "html" in response.headers.get("Content-Type", "")
        response.headers.setdefault(
            "Content-Security-Policy", _PAGE_POLICY if page else _API_POLICY
        )
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


class StrictCsrf(CsrfViewMiddleware):
    """Django's CSRF protection for every route: none can be exempted, as django-ninja's are."""

    def process_view(
        self,
        request: HttpRequest,
        callback: Any,  # noqa: ARG002
        callback_args: Any,
        callback_kwargs: Any,
    ) -> HttpResponseForbidden | None:
        """Check the token of whatever is not a read."""
        return super().process_view(request, _no_exemption, callback_args, callback_kwargs)


def _no_exemption(_: HttpRequest) -> HttpResponse:
    """Stands for every view: it lacks the mark by which one would be exempt."""
    raise AssertionError("never called")
