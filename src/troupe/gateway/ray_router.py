"""Ray Serve's request router with the gateway's rule: a conversation stays with its replica.

Where replicas are Ray's, one address stands for them all, and Ray's proxy chooses. It reads the
conversation from the header `x-session-id`, which the gateway sends, and orders the replicas by
rendezvous hashing with bounded load. Ray imports this by name in its proxies; it knows no engine.
"""

from __future__ import annotations

from typing import Any

from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter
from ray.serve.request_router import ReplicaID

from troupe.gateway.rendezvous import Bound, Node, tries


# Ray's own router for sessions gives the loop that routes, retries and backs off; what is ours is
# the order in which replicas are tried.
class RendezvousRouter(ConsistentHashRouter):  # type: ignore[misc]
    """The replica with the highest score first, unless it is at its bound."""

    def initialize_state(self, **given: Any) -> None:
        """`factor` and `floor` are those of `Bound`."""
        self._bound = Bound(**given)

    def _rebuild_ring(self, new_snapshot: frozenset[ReplicaID]) -> None:
        """There is no ring: only who there is."""
        self._replica_set_snapshot = new_snapshot

    def _lookup_ranked_replicas(self, routing_key: str) -> list[ReplicaID]:
        """All replicas in the order in which they are tried."""
        by_name = {replica.unique_id: replica for replica in self._replica_set_snapshot}
        # What is not known, or is too old, counts as no load: the replica is asked before it is
        # sent anything, and says no when it is full.
        loads = self.replica_queue_len_cache
        nodes = [Node(name, loads.get(replica) or 0) for name, replica in by_name.items()]
        return [by_name[name] for name in tries(routing_key, nodes, self._bound)]
