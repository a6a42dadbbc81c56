"""What the server has of a visitor's chat, read past the page and the wire."""

from __future__ import annotations

import time
from typing import Any

from tests.e2e.visitor import Visitor

LIMIT_S = 30.0

Message = dict[str, Any]


class Record:
    """Reads with the visitor's own session, from the platform's own address."""

    def __init__(self, visitor: Visitor, url: str) -> None:
        self._ask = visitor.page.context.request
        self._api = f"{url}/api/v1"
        self._service = f"{url}/chat/v1"
        self._chat = visitor.page.url.rsplit("/", 1)[1]

    def messages(self) -> list[Message]:
        """The messages that are shown, oldest first."""
        turns = self._read(f"chats/{self._chat}/turns")["turns"]
        return [turn["candidates"][turn["chosen"]] for turn in turns]

    def last(self) -> Message:
        return self.messages()[-1]

    def wait_for(self, state: str) -> None:
        """Wait until the last message has this state."""
        deadline = time.monotonic() + LIMIT_S
        while self.last()["state"] != state:
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.1)

    def _read(self, path: str) -> Any:
        csrf = self._ask.get(f"{self._api}/session").json()["csrf"]
        token = self._ask.post(f"{self._api}/chat-token", headers={"X-CSRFToken": csrf}).json()
        answer = self._ask.get(
            f"{self._service}/{path}", headers={"Authorization": f"Bearer {token['token']}"}
        )
        assert answer.ok, answer.text()
        return answer.json()
