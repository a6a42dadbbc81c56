"""What can go wrong in running Troupe. The command line prints each as one line.

Every error says what is wrong and where, and what to do about it.
"""

from __future__ import annotations


class OpsError(Exception):
    """Something that keeps Troupe from running, and its remedy."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}".strip() if remedy else what)
        self.what = what
        self.remedy = remedy


class HomeError(OpsError):
    """The home folder cannot be used."""


class AlreadyRunning(OpsError):
    """Another supervisor holds the home folder."""


class PortTaken(OpsError):
    """Something else listens on a port that is needed."""


class DatabaseError(OpsError):
    """The database cannot be used: not found, not let in, or too old."""


class PostgresMissing(DatabaseError):
    """No PostgreSQL program fits."""


class PostgresFailed(DatabaseError):
    """The embedded PostgreSQL, or the making of its data folder, ended with an error."""


class ChildFailed(OpsError):
    """A supervised process does not come up."""


class PartMissing(OpsError):
    """A part of Troupe is not installed or not built."""


class ModelError(OpsError):
    """A model's folder or name is none, is taken, or does not fit."""


class HubError(OpsError):
    """A model cannot be downloaded: not there, not allowed, no room, or not as announced."""
