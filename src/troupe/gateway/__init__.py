"""Which model answers, and where: providers, routing, retries, circuit breaking."""
