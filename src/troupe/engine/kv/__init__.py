"""Memory between turns: which pages hold which tokens' keys and values.

`cache.py` leases pages to generations and keeps them, `index.py` finds a prefix by its hash.
"""

from troupe.engine.kv.cache import Copy, KVCache, Lease

__all__ = ["Copy", "KVCache", "Lease"]
