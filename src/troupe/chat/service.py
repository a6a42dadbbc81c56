"""What a person may do with their chats: the state changes that start no generation.

Every function checks ownership first; other people's chats do not exist. Called by `http.py`;
`turns.py` holds what starts a generation. Raises the errors of `errors.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from . import pins, views
from .auth import Viewer
from .catalog import Catalog, CharacterVersion
from .errors import Busy, NotFound
from .generations import Generations
from .greetings import first_messages
from .requests import ChatChange, ChatsQuery, NewChat, TurnsQuery
from .store.base import ChatStore
from .store.errors import Conflict
from .store.types import Chat, Member, Message, MessageKey, State, Turn
from .warm import Path, WarmChat, WarmChats, with_chosen

ORPHAN_AFTER_S = 15.0


@dataclass(frozen=True, slots=True)
class Chats:
    """The chats of everybody, as one person at a time may see and change them."""

    store: ChatStore
    catalog: Catalog
    generations: Generations
    warm: WarmChats

    async def create(self, viewer: Viewer, body: NewChat) -> views.ChatView:
        """Begin a chat with a character; turn 0 has its greetings."""
        version = await self.catalog.current(body.character, viewer.user_id)
        if version is None:
            raise NotFound("There is no such character, or it is private.")
        if body.persona is not None:
            persona = await self.catalog.persona(body.persona, viewer.user_id)
            if persona is None:
                raise NotFound("There is no such persona among yours.")
        else:
            persona = await self.catalog.default_persona(viewer.user_id)
        me = Member(
            speaker=viewer.speaker,
            name=persona.name if persona else viewer.name,
            persona_id=persona.persona_id if persona else None,
        )
        character = Member(
            speaker=f"char:{version.character_id}",
            name=version.name,
            version_id=version.version_id,
        )
        chat_id = uuid4()
        chat = await self.store.create_chat(
            chat_id,
            body.title or version.name,
            [me, character],
            first_messages(chat_id, version, me.name, datetime.now(UTC)),
            {},
        )
        return views.chat_view(chat, {version.version_id: version})

    async def inbox(self, viewer: Viewer, query: ChatsQuery) -> views.ChatList:
        """The viewer's chats, most recently active first."""
        before = query.before
        if before is not None and before.tzinfo is None:
            before = before.replace(tzinfo=UTC)
        entries = await self.store.inbox(viewer.speaker, before, query.limit)
        versions = await self.versions([m for entry in entries for m in entry.members])
        return views.ChatList(
            chats=[views.line_view(entry, versions) for entry in entries],
            next=entries[-1].last_at if len(entries) == query.limit else None,
        )

    async def get(self, viewer: Viewer, chat_id: UUID) -> views.ChatView:
        """A chat of the viewer's."""
        chat = await self.store.chat(chat_id)
        own(chat, viewer)
        return views.chat_view(chat, await self.versions(chat.members))

    async def change(self, viewer: Viewer, chat_id: UUID, body: ChatChange) -> views.ChatView:
        """Rename, choose model, sampling, persona or branch, write the memory: whatever the body
        names."""
        given = body.model_fields_set
        async with self.warm.hold(chat_id) as warm:
            chat = await self.owned(warm, viewer)
            me = await self._worn(chat, viewer, body.persona) if "persona" in given else None
            if body.branch is not None:
                known_branch(chat, body.branch)
            meta: dict[str, Any] = {}
            if "model" in given:
                meta["model"] = body.model
            if "sampling" in given:
                sampling = body.sampling
                meta["sampling"] = sampling.model_dump(exclude_none=True) if sampling else None
            if "memory" in given:
                meta["memory"] = body.memory or None
            warm.forget()
            if me is not None:
                await self.store.set_member(chat_id, me)
            if meta:
                await self.store.set_meta(chat_id, meta)
            if body.title is not None:
                await self.store.rename(chat_id, body.title)
            if body.branch is not None:
                await self.store.activate(chat_id, body.branch)
            chat = await self.warm.chat(warm)
        return views.chat_view(chat, await self.versions(chat.members))

    async def delete(self, viewer: Viewer, chat_id: UUID) -> None:
        """Delete a chat for good; what is being written in it is stopped first."""
        own(await self.store.chat(chat_id), viewer)
        await self.generations.cancel_chat(chat_id)
        async with self.warm.hold(chat_id):
            await self.store.delete_chat(chat_id)
            self.warm.drop(chat_id)

    async def turns(self, viewer: Viewer, chat_id: UUID, query: TurnsQuery) -> views.TurnList:
        """A page of a branch, oldest first, with what is being written as far as it has come."""
        chat = await self.store.chat(chat_id)
        own(chat, viewer)
        branch = chat.active_branch if query.branch is None else query.branch
        known_branch(chat, branch)
        turns = await self.store.path(chat_id, branch, query.before, query.limit + 1)
        more = len(turns) > query.limit
        names = views.names_of(chat)
        shown = [await self._fresh(turn) for turn in turns[more:]]
        return views.TurnList(
            turns=[views.turn_view(turn, names) for turn in shown], more=more, branch=branch
        )

    async def message(self, viewer: Viewer, key: MessageKey) -> views.MessageView:
        """One message, as far as it has come."""
        chat = await self.store.chat(key.chat_id)
        own(chat, viewer)
        turn = await self._turn(chat, key)
        return views.message_view(candidate(await self._fresh(turn), key.alt), views.names_of(chat))

    async def choose(self, viewer: Viewer, key: MessageKey, branch: int) -> views.BranchTurn:
        """Show another candidate; if turns follow, on a new branch."""
        async with self.warm.hold(key.chat_id) as warm:
            chat = await self.owned(warm, viewer)
            path, turn = await self.on_path(warm, chat, key, branch)
            candidate(turn, key.alt)
            self._idle(key.chat_id, branch)
            if turn.chosen == key.alt:
                return self._shown(chat, branch, turn)
            if is_tip(path, turn):
                try:
                    await self.store.choose(key)
                except Conflict:  # another process went on from here meanwhile
                    return await self._forked(warm, chat, key)
                shown = with_chosen(turn, candidate(turn, key.alt))
                path.put(shown)
                return self._shown(chat, branch, shown)
            return await self._forked(warm, chat, key)

    async def edit(
        self, viewer: Viewer, key: MessageKey, branch: int, text: str
    ) -> views.BranchTurn:
        """Add a candidate with this text and show it; if turns follow, on a new branch."""
        async with self.warm.hold(key.chat_id) as warm:
            chat = await self.owned(warm, viewer)
            path, turn = await self.on_path(warm, chat, key, branch)
            old = candidate(turn, key.alt)
            self._idle(key.chat_id, branch)
            tip = is_tip(path, turn)
            message = Message(
                key=key,
                speaker=old.speaker,
                state=State.COMPLETE,
                body=text,
                created_at=datetime.now(UTC),
                chosen=tip,
                meta={"edited_from": key.alt},
            )
            taken = await self.store.add_candidate(message)
            if not tip:
                return await self._forked(warm, chat, taken)
            shown = with_chosen(turn, message._replace(key=taken))
            path.put(shown)
            return self._shown(chat, branch, shown)

    async def pin(self, viewer: Viewer, key: MessageKey) -> views.ChatView:
        """Keep a message in every prompt of the branches that show it. Raises `StateConflict` where
        there are too many."""
        async with self.warm.hold(key.chat_id) as warm:
            chat = await self.owned(warm, viewer)
            message = candidate(await self._fresh(await self._turn(chat, key)), key.alt)
            if message.state is State.STREAMING:
                raise Busy
            return await self._keep_pins(warm, pins.with_pin(chat, message))

    async def unpin(self, viewer: Viewer, key: MessageKey) -> views.ChatView:
        """Leave a message to the history again."""
        async with self.warm.hold(key.chat_id) as warm:
            chat = await self.owned(warm, viewer)
            return await self._keep_pins(warm, pins.without(chat, key))

    async def _keep_pins(self, warm: WarmChat, kept: pins.Pins) -> views.ChatView:
        await self.store.set_meta(warm.chat_id, {"pins": kept or None})
        self.warm.stale(warm.chat_id)
        chat = await self.warm.chat(warm)
        return views.chat_view(chat, await self.versions(chat.members))

    async def branch(self, viewer: Viewer, chat_id: UUID, branch: int, seq: int) -> views.NewBranch:
        """A new branch that holds the turns up to and with `seq`."""
        async with self.warm.hold(chat_id) as warm:
            chat = await self.owned(warm, viewer)
            known_branch(chat, branch)
            turn = await self.turn_at(warm, branch, seq)
            made = await self.store.fork(chat_id, turn.branch, seq + 1, turn.chosen)
            warm.forget()
            return views.NewBranch(branch=made.branch)

    async def erase(self, viewer: Viewer, chat_id: UUID, branch: int, seq: int) -> None:
        """Erase a turn and all its candidates for good."""
        async with self.warm.hold(chat_id) as warm:
            chat = await self.owned(warm, viewer)
            known_branch(chat, branch)
            turn = await self.turn_at(warm, branch, seq)
            if any(self.generations.running(message.key) for message in turn.candidates):
                raise Busy
            await self.store.erase_turn(chat_id, turn.branch, seq)
            kept = pins.without_turn(chat, turn.branch, seq)
            if kept != chat.meta.get("pins", []):
                await self.store.set_meta(chat_id, {"pins": kept or None})
            warm.forget()

    async def owned(self, warm: WarmChat, viewer: Viewer) -> Chat:
        """The chat that is held, if the viewer is a member."""
        chat = await self.warm.chat(warm)
        own(chat, viewer)
        return chat

    async def on_path(
        self, warm: WarmChat, chat: Chat, key: MessageKey, branch: int
    ) -> tuple[Path, Turn]:
        """A message's turn as a branch shows it. Raises `NotFound` if the branch does not."""
        known_branch(chat, branch)
        turn = await self.turn_at(warm, branch, key.seq)
        if turn.branch != key.branch:
            raise NotFound
        return await self.warm.path(warm, branch), turn

    async def turn_at(self, warm: WarmChat, branch: int, seq: int) -> Turn:
        """A turn of a branch; one that is not kept warm is read."""
        path = await self.warm.path(warm, branch)
        turn = path.turn(seq)
        if turn is None and not path.whole:
            older = await self.store.path(warm.chat_id, branch, before=seq + 1, limit=1)
            turn = next((t for t in older if t.seq == seq), None)
        if turn is None:
            raise NotFound
        return turn

    async def versions(self, members: tuple[Member, ...] | list[Member]) -> views.Versions:
        """The character versions of these members."""
        wanted = {m.version_id for m in members if m.version_id is not None}
        found: dict[UUID, CharacterVersion] = {}
        for version_id in wanted:
            version = await self.catalog.version(version_id)
            if version is not None:
                found[version_id] = version
        return found

    def _idle(self, chat_id: UUID, branch: int) -> None:
        if self.generations.busy((chat_id, branch)):
            raise Busy

    def _shown(self, chat: Chat, branch: int, turn: Turn) -> views.BranchTurn:
        return views.BranchTurn(branch=branch, turn=views.turn_view(turn, views.names_of(chat)))

    async def _forked(self, warm: WarmChat, chat: Chat, key: MessageKey) -> views.BranchTurn:
        """A new branch that follows this candidate."""
        made = await self.store.fork(key.chat_id, key.branch, key.seq + 1, key.alt)
        warm.forget()
        turns = await self.store.path(key.chat_id, made.branch, limit=1)
        return self._shown(chat, made.branch, turns[-1])

    async def _worn(self, chat: Chat, viewer: Viewer, persona_id: UUID | None) -> Member:
        """The viewer's membership under another persona; None is the default one or none."""
        me = next(m for m in chat.members if m.speaker == viewer.speaker)
        if persona_id is None:
            persona = await self.catalog.default_persona(viewer.user_id)
        else:
            persona = await self.catalog.persona(persona_id, viewer.user_id)
            if persona is None:
                raise NotFound("There is no such persona among yours.")
        return replace(
            me,
            name=persona.name if persona else viewer.name,
            persona_id=persona.persona_id if persona else None,
        )

    async def _turn(self, chat: Chat, key: MessageKey) -> Turn:
        """The turn of a message on the branch that owns it."""
        known_branch(chat, key.branch)
        turns = await self.store.path(key.chat_id, key.branch, before=key.seq + 1, limit=1)
        turn = turns[-1] if turns else None
        if turn is None or (turn.branch, turn.seq) != (key.branch, key.seq):
            raise NotFound
        return turn

    async def _fresh(self, turn: Turn) -> Turn:
        """The turn with the text that this process has, which runs ahead of the store's."""
        if all(m.state is not State.STREAMING for m in turn.candidates):
            return turn
        fresh = [await self.mended(message) for message in turn.candidates]
        return turn._replace(candidates=tuple(fresh))

    async def mended(self, message: Message, alone: bool = False) -> Message:
        """A message as it truly stands: a STREAMING row that nobody writes is interrupted.

        `alone`: the chat is held and its branch idle, so a row of this process's own that is not
        running was left by an append whose answer got lost. Without it, or for another process's
        row, a young one may be just about to run.
        """
        if message.state is not State.STREAMING:
            return message
        generation = self.generations.find(message.key)
        if generation is not None:
            return message._replace(
                state=generation.state, body=generation.text, meta=generation.meta
            )
        live = await self.store.generation(message.key)
        ours = live is not None and live.owner == self.generations.owner
        age = (datetime.now(UTC) - message.created_at).total_seconds()
        if (live is not None and not ours) or not ((ours and alone) or age > ORPHAN_AFTER_S):
            return message
        await self.store.settle(message.key, State.INTERRUPTED, message.body, message.meta)
        return message._replace(state=State.INTERRUPTED)


def own(chat: Chat, viewer: Viewer) -> None:
    """Raises `NotFound` unless the viewer is a member."""
    if all(member.speaker != viewer.speaker for member in chat.members):
        raise NotFound


def known_branch(chat: Chat, branch: int) -> None:
    """Raises `NotFound` unless the chat has this branch."""
    if all(b.branch != branch for b in chat.branches):
        raise NotFound("This chat has no such branch.")


def candidate(turn: Turn, alt: int) -> Message:
    """A candidate of a turn. Raises `NotFound`."""
    for message in turn.candidates:
        if message.key.alt == alt:
            return message
    raise NotFound


def is_tip(path: Path, turn: Turn) -> bool:
    """Whether a candidate may be added in place: the branch's own last turn, and none erased
    after it."""
    return turn.branch == path.branch and path.next_seq == turn.seq + 1
