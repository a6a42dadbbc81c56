"""Keeping processes alive: started in order, restarted when they die, stopped in reverse.

Knows nothing of what the processes are; `ops/up.py` says that.
"""

from troupe.ops.supervisor.backoff import Backoff
from troupe.ops.supervisor.child import Child, Event, Stop
from troupe.ops.supervisor.logfile import LogFile
from troupe.ops.supervisor.supervisor import Supervisor

__all__ = ["Backoff", "Child", "Event", "LogFile", "Stop", "Supervisor"]
