"""The gateway's metrics. docs/metrics.md explains each."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "troupe_gateway_requests_total",
    "Answers asked of providers, by outcome.",
    ["provider", "outcome"],
)
RETRIES = Counter("troupe_gateway_retries_total", "Attempts after the first.", ["provider"])
FIRST_TOKEN = Histogram(
    "troupe_gateway_first_token_seconds",
    "From asking a provider to the first piece of its answer.",
    ["provider"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
TOKENS = Counter(
    "troupe_gateway_tokens_total",
    "Tokens by kind: prompt, cached (of the prompt), completion.",
    ["provider", "kind"],
)
OPEN = Gauge("troupe_gateway_circuit_open", "1 while a provider's circuit is open.", ["provider"])
