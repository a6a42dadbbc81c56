"""Where conversations are kept: the `ChatStore` interface and its PostgreSQL implementation."""
