"""Core's metrics: HTTP requests by route, method and status."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "troupe_core_requests", "HTTP requests that core answered.", ["method", "route", "status"]
)
SECONDS = Histogram(
    "troupe_core_request_seconds",
    "Time from a request's arrival in core to its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
