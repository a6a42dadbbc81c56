"""Prometheus metrics: where all names are found, and the text that a scrape gets.

Metrics are made where they are counted, with `prometheus_client`, in its default registry (the
engine has one of its own). Here is what is common: memory and the age of a process, the exposition,
and the list of names against which the documentation is tested.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PREFIX = "troupe_"

PROCESS = Gauge("troupe_process_info", "1, labelled with the process's name.", ["process"])
STARTED = Gauge("troupe_process_started_seconds", "When the process started, in Unix seconds.")


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as the documentation names it: counters end in `_total`."""

    name: str
    kind: str
    help: str


def identify(process: str) -> None:
    """Label this process's metrics with its name."""
    PROCESS.labels(process=process).set(1)
    STARTED.set(time.time())


def exposition(registry: CollectorRegistry = REGISTRY) -> bytes:
    """All metrics in Prometheus's text format 0.0.4."""
    return generate_latest(registry)


def described(registry: CollectorRegistry = REGISTRY) -> list[Described]:
    """Troupe's own metrics in a registry, by name."""
    found = [
        Described(
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            family.documentation,
        )
        for family in registry.collect()
        if family.name.startswith(PREFIX)
    ]
    return sorted(found, key=lambda metric: metric.name)
