"""PostgreSQL as a part of Troupe: found, made, started, stopped, and never leaked.

`prepare` readies a data folder and says how to launch the server on it; the supervisor runs it.
`running` does both for tests and benchmarks.
"""

from troupe.ops.postgres.embedded import Embedded, address, prepare, status
from troupe.ops.postgres.server import Server, running

__all__ = ["Embedded", "Server", "address", "prepare", "running", "status"]
