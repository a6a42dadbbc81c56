"""What the engine tells Prometheus. Each engine has a registry of its own, so that several can
live in one process. Called by the worker and the server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_FILL = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Metrics:
    """The metrics, by attribute. Names begin with `troupe_engine_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "troupe_engine_"

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(prefix + name, text, labels, registry=self.registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(prefix + name, text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(prefix + name, text, buckets=buckets, registry=self.registry)

        self.running = gauge("running", "Generations being worked on.")
        self.waiting = gauge("waiting", "Generations in the queue.")
        self.swapped = gauge(
            "swapped", "Generations that gave way when memory ran out, and are to go on."
        )
        self.ready = gauge("ready", "1 when the model is loaded and the worker runs.")
        self.kv_bytes = gauge(
            "kv_bytes", "Bytes of keys and values in use on the device, kept ones included."
        )
        self.kv_limit_bytes = gauge(
            "kv_limit_bytes", "Bytes that keys and values may take on the device."
        )
        self.requests = counter(
            "requests", "Generations ended, by how: stop, length, cancelled, failed.", ("outcome",)
        )
        self.refused = counter("refused", "Requests refused because the queue was full.")
        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens of admitted generations.")
        self.cached_tokens = counter(
            "cached_tokens",
            "Prompt tokens found in memory and not run, by the tier that held them: device, host, "
            "disk.",
            ("tier",),
        )
        self.kv_pages = gauge(
            "kv_pages",
            "Pages of keys and values in use, by tier and by group of layers: global, local.",
            ("tier", "group"),
        )
        self.kv_damaged_pages = counter(
            "kv_damaged_pages", "Pages found damaged on disk, or lost there; they are run again."
        )
        self.preempted = counter(
            "preempted", "Times that a running generation gave way because memory ran out."
        )
        self.rerun_tokens = counter(
            "rerun_tokens", "Tokens run again because their generation had given way."
        )
        self.computed_tokens = counter(
            "computed_tokens", "Rows of prompts that were run: what was not cached."
        )
        self.generated_tokens = counter("generated_tokens", "Tokens drawn.")
        self.prefixes = counter(
            "prefixes",
            "Prefixes that requests named by hash, by outcome: held, gone.",
            ("outcome",),
        )
        self.shared_prefills = counter(
            "shared_prefills", "Times that a prompt waited for rows that another was running."
        )
        self.step_tokens = gauge("step_tokens", "Where the dial stands: rows of a step, at most.")
        self.queue_target_seconds = gauge(
            "queue_target_seconds",
            "Where the dial stands: the longest wait a request is queued for; +Inf is no limit.",
        )
        self.guessed_tokens = counter("guessed_tokens", "Tokens guessed from the prompt and run.")
        self.guessed_right = counter("guessed_right_tokens", "Guessed tokens that were then drawn.")
        self.steps = counter("steps", "Inference steps.")
        self.batch_fill = histogram(
            "batch_fill", "Rows of a step over the most that a step may have.", _FILL
        )
        self.step_seconds = histogram("step_seconds", "Time of one inference step.", _SECONDS)
        self.model_flops = counter(
            "model_flops", "Operations that the steps needed, by the model's shape."
        )
        self.peak_flops = gauge(
            "peak_flops",
            "Operations a second that the machine could do at best, measured at start.",
        )
        self.flops_utilisation = gauge(
            "flops_utilisation", "Operations of late over those possible in the steps' time."
        )
        self.queue_seconds = histogram("queue_seconds", "Time from request to admission.", _SECONDS)
        self.first_token_seconds = histogram(
            "first_token_seconds", "Time from request to first token.", _SECONDS
        )
        self.token_seconds = histogram(
            "token_seconds", "Mean time between the tokens of a generation.", _SECONDS
        )

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
