"""What a person may do that makes a character speak: send, regenerate, continue; and cancel and
resume what runs.

What was asked is durable before a generation starts. Called by `socket.py` and `http.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from . import views
from .answers import Answers, Asked
from .auth import Viewer
from .errors import BadFrame, Busy, NotFound, NotLast, StateConflict, TooLong
from .generation import Generation
from .metrics import SENDS
from .service import Chats, candidate, is_tip, known_branch, own
from .store.errors import Conflict
from .store.types import Chat, Member, Message, MessageKey, State, Turn
from .warm import Path, WarmChat, with_candidate, with_chosen

ANYONE: Final = "anyone"  # `speak` was left out: the only character answers


@dataclass(frozen=True, slots=True)
class Begun:
    """What was asked is durable; the generation runs (None when nobody answers)."""

    chat_id: UUID
    branch: int
    messages: list[views.MessageView]
    generation: Generation | None


@dataclass(frozen=True, slots=True)
class Turns:
    """The side of the service that starts generations."""

    chats: Chats
    answers: Answers
    max_message_chars: int

    async def send(
        self,
        viewer: Viewer,
        chat_id: UUID,
        branch: int | None,
        client_id: str,
        text: str,
        speak: str | None = ANYONE,
    ) -> Begun:
        """Keep a message and let a character answer. A client id that was seen before changes
        nothing and answers as the first time."""
        self.check_length(text)
        try:
            begun = await self._send(viewer, chat_id, branch, client_id, text, speak)
        except StateConflict:
            # Another process added to the chat: once more, after what it added.
            begun = await self._send(viewer, chat_id, branch, client_id, text, speak)
        SENDS.labels("send").inc()
        return begun

    async def _send(
        self,
        viewer: Viewer,
        chat_id: UUID,
        branch: int | None,
        client_id: str,
        text: str,
        speak: str | None,
    ) -> Begun:
        chats = self.chats
        async with chats.warm.hold(chat_id) as warm:
            chat = await chats.owned(warm, viewer)
            if client_id in warm.sends:
                return await self._again(chat, warm.sends[client_id])
            branch = chat.active_branch if branch is None else branch
            known_branch(chat, branch)
            answerer = _answerer(chat, speak)
            path = await self._settled_path(warm, branch)
            asked = await self.answers.asked(viewer, chat, answerer) if answerer else None
            slot = (chat_id, branch)
            chats.generations.claim(slot)
            try:
                return await self._append(warm, viewer, path, client_id, text, asked)
            finally:
                if not chats.generations.started(slot):
                    chats.generations.release(slot)

    def check_length(self, text: str) -> None:
        """Raises `TooLong` if a message may not be as long as this."""
        if len(text) > self.max_message_chars:
            raise TooLong(f"A message may have at most {self.max_message_chars} characters.")

    async def regenerate(self, viewer: Viewer, key: MessageKey, branch: int | None) -> Begun:
        """Write another candidate of an answer; if turns follow, on a new branch."""
        chats = self.chats
        async with chats.warm.hold(key.chat_id) as warm:
            chat = await chats.owned(warm, viewer)
            branch = key.branch if branch is None else branch
            await self._settled_path(warm, branch)
            path, turn = await chats.on_path(warm, chat, key, branch)
            answerer = _character(chat, candidate(turn, key.alt))
            asked = await self.answers.asked(viewer, chat, answerer)
            begun = await self._candidate(warm, chat, path, turn, asked, "")
        SENDS.labels("regenerate").inc()
        return begun

    async def write_on(self, viewer: Viewer, key: MessageKey, branch: int | None) -> Begun:
        """Write on at the end of the last answer. An answer that other branches show too is left
        as it is, and a longer candidate is written beside it."""
        chats = self.chats
        async with chats.warm.hold(key.chat_id) as warm:
            chat = await chats.owned(warm, viewer)
            branch = key.branch if branch is None else branch
            path = await self._settled_path(warm, branch)
            path, turn = await chats.on_path(warm, chat, key, branch)
            if path.last is None or path.last.seq != turn.seq or turn.chosen != key.alt:
                raise NotLast
            message = candidate(turn, key.alt)
            answerer = _character(chat, message)
            asked = await self.answers.asked(viewer, chat, answerer)
            if is_tip(path, turn) and not _shared(chat, key):
                begun = await self._reopen(warm, path, turn, message, asked)
            else:
                begun = await self._candidate(warm, chat, path, turn, asked, message.body)
        SENDS.labels("continue").inc()
        return begun

    async def cancel(self, viewer: Viewer, key: MessageKey) -> None:
        """Stop the generation of a message, if it runs here."""
        own(await self.chats.store.chat(key.chat_id), viewer)
        generation = self.chats.generations.find(key)
        if generation is not None:
            self.chats.generations.cancel(generation)

    async def find(self, viewer: Viewer, key: MessageKey) -> Generation | None:
        """A generation to follow: one that runs here or has just ended."""
        generation = self.chats.generations.find(key)
        if generation is None or generation.user_id != viewer.user_id:
            own(await self.chats.store.chat(key.chat_id), viewer)
        return generation

    async def _append(
        self,
        warm: WarmChat,
        viewer: Viewer,
        path: Path,
        client_id: str,
        text: str,
        asked: Asked | None,
    ) -> Begun:
        """One commit: the message, the answer's placeholder and its generation."""
        now = datetime.now(UTC)
        chats, chat = self.chats, asked.chat if asked else await self.chats.warm.chat(warm)
        key = MessageKey(warm.chat_id, path.branch, path.next_seq, 0)
        mine = Message(key, viewer.speaker, State.COMPLETE, text, now)
        messages, live = [mine], None
        if asked is not None:
            answer_key = key._replace(seq=key.seq + 1)
            live = chats.generations.live(answer_key)
            messages.append(asked.placeholder(answer_key, now))
        try:
            appended = await chats.store.append(messages, client_id, live)
        except Conflict as error:
            raise StateConflict from error
        warm.remember_send(client_id, appended.keys)
        if appended.repeated:
            warm.forget()
            return await self._again(chat, appended.keys)
        for message in messages:
            path.put(Turn(path.branch, message.key.seq, 0, (message,)))
        generation = None
        if asked is not None and live is not None:
            generation = await self.answers.start(
                warm, path, (warm.chat_id, path.branch), asked, messages[-1], live
            )
        return _begun(chat, path.branch, messages, generation)

    async def _candidate(
        self, warm: WarmChat, chat: Chat, path: Path, turn: Turn, asked: Asked, body: str
    ) -> Begun:
        """Write a new candidate of a turn that begins with `body`; on a new branch unless the
        turn is the tip of the branch that is shown."""
        chats = self.chats
        tip = is_tip(path, turn)
        slot = (warm.chat_id, path.branch if tip else -1 - turn.seq)
        chats.generations.claim(slot)
        try:
            key = MessageKey(warm.chat_id, turn.branch, turn.seq, 0)
            live = chats.generations.live(key)
            message = asked.placeholder(key, datetime.now(UTC))._replace(body=body, chosen=tip)
            key = await chats.store.add_candidate(message, live)
            message, live = message._replace(key=key), replace(live, key=key)
            if not tip:
                try:
                    made = await chats.store.fork(warm.chat_id, turn.branch, turn.seq + 1, key.alt)
                    warm.forget()
                    chat = await chats.warm.chat(warm)
                    path = await chats.warm.path(warm, made.branch)
                except Exception as error:
                    self.answers.abandon(slot, asked, message, live, error)
                    raise
                chats.generations.move(slot, (warm.chat_id, made.branch))
                slot = (warm.chat_id, made.branch)
            path.put(with_chosen(turn, message))
            generation = await self.answers.start(warm, path, slot, asked, message, live)
        finally:
            if not chats.generations.started(slot):
                chats.generations.release(slot)
        return _begun(chat, path.branch, [message], generation)

    async def _reopen(
        self, warm: WarmChat, path: Path, turn: Turn, message: Message, asked: Asked
    ) -> Begun:
        """Write on in the message itself."""
        chats = self.chats
        slot = (warm.chat_id, path.branch)
        chats.generations.claim(slot)
        try:
            live = chats.generations.live(message.key)
            try:
                message = await chats.store.reopen(message.key, live)
            except Conflict as error:
                raise StateConflict from error
            path.put(with_candidate(turn, message))
            generation = await self.answers.start(warm, path, slot, asked, message, live)
        finally:
            if not chats.generations.started(slot):
                chats.generations.release(slot)
        return _begun(asked.chat, path.branch, [message], generation)

    async def _settled_path(self, warm: WarmChat, branch: int) -> Path:
        """The branch, nothing of which is being written. Raises `Busy`."""
        chats = self.chats
        if chats.generations.busy((warm.chat_id, branch)):
            raise Busy
        path = await chats.warm.path(warm, branch)
        if path.last is None or path.last.message.state is not State.STREAMING:
            return path
        warm.path = None  # it may have been settled since it was read
        path = await chats.warm.path(warm, branch)
        if path.last is not None:
            message = await chats.mended(path.last.message, alone=True)
            if message.state is State.STREAMING:
                raise Busy
            path.put(with_candidate(path.last, message))
        return path

    async def _again(self, chat: Chat, keys: list[MessageKey]) -> Begun:
        """The answer to a send that was kept before."""
        first, last = keys[0], keys[-1]
        turns = await self.chats.store.path(
            chat.chat_id, first.branch, before=last.seq + 1, limit=len(keys)
        )
        found = {m.key: m for turn in turns for m in turn.candidates}
        messages = [await self.chats.mended(found[key], alone=True) for key in keys if key in found]
        generation = self.chats.generations.find(last)
        return _begun(chat, first.branch, messages, generation)


def _begun(
    chat: Chat, branch: int, messages: list[Message], generation: Generation | None
) -> Begun:
    names = views.names_of(chat)
    return Begun(chat.chat_id, branch, [views.message_view(m, names) for m in messages], generation)


def _answerer(chat: Chat, speak: str | None) -> Member | None:
    """Who answers. Raises `BadFrame` when it cannot be known, `NotFound` if it is no member."""
    characters = [m for m in chat.members if m.speaker.startswith("char:")]
    if speak is None or not characters:
        return None
    if speak == ANYONE:
        if len(characters) > 1:
            raise BadFrame("Several characters are here: name the one who answers in `speak`.")
        return characters[0]
    for member in characters:
        if member.speaker == speak:
            return member
    raise NotFound("Nobody of this name is in the chat.")


def _character(chat: Chat, message: Message) -> Member:
    """The character who said it. Raises `StateConflict` if it was a person."""
    for member in chat.members:
        if member.speaker == message.speaker and member.speaker.startswith("char:"):
            return member
    raise StateConflict("Only what a character said can be written anew. Edit yours instead.")


def _shared(chat: Chat, key: MessageKey) -> bool:
    """Whether another branch hangs on this very candidate."""
    place = (key.branch, key.seq + 1, key.alt)
    return any((b.parent, b.fork_seq, b.fork_alt) == place for b in chat.branches)
