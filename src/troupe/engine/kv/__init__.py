"""Memory between turns: which pages hold which tokens' keys and values.

`cache.py` leases pages to generations and keeps them between turns, in a `tree.py` of prefixes;
`index.py` finds a prefix by its hash. `tiers.py` moves pages between device, host and disk
(`stores.py`, `pool.py`, `lru.py`). `layout.py` says how many pages of each group of layers a budget
buys, `local.py` which pages of sliding layers are worth keeping. `snapshot.py` carries it all over
a restart, `check.py` audits it.
"""

from troupe.engine.kv.cache import KVCache, Lease
from troupe.engine.kv.check import audit, check
from troupe.engine.kv.layout import Layout

__all__ = ["KVCache", "Layout", "Lease", "audit", "check"]
