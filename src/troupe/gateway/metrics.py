"""The gateway's metrics. docs/metrics.md lists them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ANSWERS = Counter(
    "troupe_gateway_answers_total",
    "Answers asked of a provider, by outcome: stop, length, cancelled, or the error's kind.",
    ["provider", "outcome"],
)
FIRST_TOKEN = Histogram(
    "troupe_gateway_first_token_seconds",
    "From asking a provider to the first piece of its answer, retries included.",
    ["provider"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RETRIES = Counter("troupe_gateway_retries_total", "Times a provider was asked again.", ["provider"])
CIRCUIT_OPEN = Gauge(
    "troupe_gateway_circuit_open", "1 while a provider is left alone after failures.", ["provider"]
)
PROMPTS = Counter(
    "troupe_gateway_prompts_total",
    "Prompts of token ids sent to an engine, by kind: whole, delta (what is new, and the hash of "
    "the rest), resent (what a delta named was not held).",
    ["provider", "kind"],
)
MODELS = Gauge("troupe_gateway_models", "Models that a provider offers.", ["provider"])
TOKENS = Counter(
    "troupe_gateway_tokens_total",
    "Tokens of finished answers, by kind: prompt, cached, completion.",
    ["provider", "kind"],
)
IN_FLIGHT = Gauge(
    "troupe_gateway_replica_in_flight",
    "Answers that a replica of the engine makes now.",
    ["replica"],
)
REPLICA_READY = Gauge(
    "troupe_gateway_replica_ready",
    "1 while a replica of the engine is fit for answers.",
    ["replica"],
)
REPLICA_FAILURES = Counter(
    "troupe_gateway_replica_failures_total",
    "Times a replica of the engine could not be reached, or broke off.",
    ["replica"],
)
PASSED_OVER = Counter(
    "troupe_gateway_replica_passed_over_total",
    "Answers that went to their conversation's next choice, since this replica was at its bound or "
    "its queue was full.",
    ["replica"],
)
MOVED = Counter(
    "troupe_gateway_conversations_moved_total",
    "Conversations that came to a replica of the engine from another one.",
    ["replica"],
)
RESUMED = Counter(
    "troupe_gateway_streams_resumed_total",
    "Answers that a replica of the engine went on with after another broke off.",
    ["replica"],
)
BY_REPLICA: tuple[Counter | Gauge, ...] = (
    IN_FLIGHT,
    REPLICA_READY,
    REPLICA_FAILURES,
    PASSED_OVER,
    MOVED,
    RESUMED,
)
