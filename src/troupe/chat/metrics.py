"""The chat service's metrics. docs/metrics.md explains each."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SOCKETS = Gauge("troupe_chat_sockets", "WebSockets held now.")
STREAMS = Gauge("troupe_chat_streams", "Answers being written now.")
SENDS = Counter("troupe_chat_sends_total", "Messages kept, by kind of request.", ["kind"])
FIRST_TOKEN = Histogram(
    "troupe_chat_first_token_seconds",
    "From the request being durable to the first piece of the answer.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ANSWERS = Counter("troupe_chat_answers_total", "Answers that ended, by state.", ["state"])
FRAMES = Counter("troupe_chat_frames_total", "Frames sent to readers.")
REFUSED = Counter("troupe_chat_refused_total", "Requests refused, by error code.", ["code"])
RECOVERED = Counter(
    "troupe_chat_recovered_total", "Answers of dead processes that were settled as interrupted."
)
