"""Django's sessions in the database, written once a request.

Django writes a session when it gets a new key and again when the answer goes out; here the second
write does for both. `SESSION_ENGINE` names this module.
"""

from __future__ import annotations

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """A session in the table `django_session`."""

    def cycle_key(self) -> None:
        """Take a new key, keeping the data. The row is written when the request is answered."""
        old = self.session_key
        self.keys()  # loads the data while its key is still known
        if old is not None:
            self.delete(old)
        self._session_key = None
        self.modified = True
