"""Models that training runs, each a plain module for one device; parallelism comes from outside."""
