"""The generations that run in this process. They belong to the server, not to a socket: only
`cancel` stops one.

Keeps the buffers, checkpoints them to the store as they grow, settles them at the end, and tells
the store that this owner is alive. Knows nothing of prompts: a `Source` makes the text.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID, uuid4

from troupe.gateway.types import Delta, Finish
from troupe.telemetry import logs, traces

from .errors import Busy, Overloaded
from .generation import Generation
from .metrics import ANSWERS, FIRST_TOKEN, RECOVERED, STREAMS
from .outcome import TooMuchText, counts, ended, failed
from .store.base import ChatStore
from .store.errors import ChatNotFound, MessageNotFound, StoreError, StoreUnavailable
from .store.types import LiveGeneration, MessageKey, State
from .text import keepable

log = logs.get(__name__)

Source = Callable[[Generation], AsyncGenerator[Delta | Finish, None]]
Settled = Callable[[Generation, State], None]
Slot = tuple[UUID, int]  # a chat and the branch whose tip is written

CHECKPOINT_S = 1.0
TICK_S = 0.2
HEARTBEAT_S = 3.0
STALE_AFTER_S = 30.0
RECOVER_EVERY = 4  # heartbeats
MAX_ANSWER_CHARS = 200_000  # a provider that heeds no limit is cut off here
KEPT_S = 60.0  # how long a reader who lost its socket still finds the end of an answer
KEPT = 10_000
SETTLE_WAITS_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)


class Generations:
    """All that this process writes. `owner` names it in the store."""

    def __init__(self, store: ChatStore, instance: str, max_streams: int) -> None:
        self.store = store
        self.instance = instance
        self.incarnation = uuid4().hex
        self.owner = f"{instance}/{self.incarnation}"
        self.max_streams = max_streams
        self._slots: dict[Slot, Generation | None] = {}
        self._running: dict[MessageKey, Generation] = {}
        self._ended: OrderedDict[MessageKey, tuple[float, Generation]] = OrderedDict()
        self._checkpoints: set[asyncio.Task[None]] = set()
        self._closing = False

    def claim(self, slot: Slot) -> None:
        """Reserve a branch's tip before anything is written. Raises `Busy`, `Overloaded`. Follow
        it by `start` or `release`."""
        if slot in self._slots:
            raise Busy
        if self._closing or len(self._slots) >= self.max_streams:
            raise Overloaded(retry_after=2.0)
        self._slots[slot] = None

    def move(self, slot: Slot, to: Slot) -> None:
        """Take a claim to another branch, one that was just made."""
        self._slots[to] = self._slots.pop(slot)

    def release(self, slot: Slot) -> None:
        """Give a claim back."""
        self._slots.pop(slot, None)

    def started(self, slot: Slot) -> bool:
        """Whether the claim became a generation, which then gives it back itself."""
        return self._slots.get(slot) is not None or slot not in self._slots

    def live(self, key: MessageKey) -> LiveGeneration:
        """The store's row for a new generation of this process."""
        return LiveGeneration(key, self.owner, uuid4().hex, datetime.now(UTC))

    def start(self, slot: Slot, generation: Generation, source: Source, settled: Settled) -> None:
        """Write an answer in the background. Its row is STREAMING in the store already;
        `settled` is called once its end is durable."""
        self._slots[slot] = generation
        self._running[generation.key] = generation
        self._ended.pop(generation.key, None)
        generation.checkpoint_at = time.monotonic() + CHECKPOINT_S
        STREAMS.set(len(self._running))
        generation.task = asyncio.create_task(self._run(slot, generation, source, settled))

    def find(self, key: MessageKey) -> Generation | None:
        """A generation that runs here, or ended a moment ago."""
        running = self._running.get(key)
        if running is not None:
            return running
        ended = self._ended.get(key)
        return ended[1] if ended and time.monotonic() - ended[0] < KEPT_S else None

    def running(self, key: MessageKey) -> bool:
        """Whether this process is writing the message."""
        return key in self._running

    def busy(self, slot: Slot) -> bool:
        """Whether a branch's tip is being written, or about to be."""
        return slot in self._slots

    def of_chat(self, chat_id: UUID) -> list[Generation]:
        """What is being written in a chat."""
        return [g for (chat, _), g in self._slots.items() if chat == chat_id and g is not None]

    def cancel(self, generation: Generation, state: State = State.STOPPED) -> None:
        """Stop writing; what was produced is kept and settled as `state`."""
        if generation.stopping is None:
            generation.stopping = state
            if generation.producing and generation.task is not None:
                generation.task.cancel()

    async def cancel_chat(self, chat_id: UUID) -> None:
        """Stop all that is being written in a chat and wait until it is settled."""
        generations = self.of_chat(chat_id)
        for generation in generations:
            self.cancel(generation)
        tasks = [g.task for g in generations if g.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def recover(self) -> int:
        """Settle what earlier incarnations and silent owners left unfinished."""
        count = await self.store.recover(self.instance, self.incarnation, STALE_AFTER_S)
        RECOVERED.inc(count)
        return count

    async def close(self, deadline_s: float = 10.0) -> None:
        """Settle all as interrupted. What the deadline cuts off is recovered at the next start."""
        self._closing = True
        tasks = []
        for generation in list(self._running.values()):
            self.cancel(generation, State.INTERRUPTED)
            if generation.task is not None:
                tasks.append(generation.task)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=deadline_s)
            for task in late:
                task.cancel()
        for checkpoint in self._checkpoints:
            checkpoint.cancel()

    async def keep_checkpointing(self) -> None:
        """For ever: save what grew, about every `CHECKPOINT_S` a generation; forget old ends."""
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for generation in self._running.values():
                if generation.checkpoint_at <= now and not generation.checkpointing:
                    generation.checkpoint_at = now + CHECKPOINT_S
                    if generation.saved != len(generation.text):
                        self._checkpoint(generation)
            while self._ended:
                key, (ended_at, _) = next(iter(self._ended.items()))
                if now - ended_at < KEPT_S and len(self._ended) <= KEPT:
                    break
                del self._ended[key]

    async def keep_alive(self) -> None:
        """For ever: say that this owner is alive; settle what dead owners left."""
        beats = 0
        while True:
            try:
                await self.store.heartbeat(self.owner)
                if beats % RECOVER_EVERY == 0:
                    await self.recover()
            except Exception as error:
                # The database is away; what matters is said again at the next beat.
                log.warning("heartbeat failed", error=str(error))
            beats += 1
            await asyncio.sleep(HEARTBEAT_S)

    def _checkpoint(self, generation: Generation) -> None:
        generation.checkpointing = True
        task = asyncio.create_task(self._save(generation, generation.text))
        self._checkpoints.add(task)
        task.add_done_callback(self._checkpoints.discard)

    async def _save(self, generation: Generation, body: str) -> None:
        try:
            await self.store.checkpoint(generation.key, body)
            generation.saved = len(body)
        except Exception as error:
            # The next checkpoint, or the end, saves the same text and more.
            log.warning("checkpoint failed", message_id=generation.id, error=str(error))
        finally:
            generation.checkpointing = False

    async def _run(
        self, slot: Slot, generation: Generation, source: Source, settled: Settled
    ) -> None:
        try:
            with traces.span("chat.generation", message=generation.id, model=generation.model):
                state = await self._produce(generation, source)
            try:
                await self._settle(generation, state)
            except StoreError as error:
                # The store holds a checkpoint; the readers are told what is true of the rest.
                log.error("answer not kept", message_id=generation.id, error=str(error))
                state = State.INTERRUPTED
            settled(generation, state)
        finally:
            self._running.pop(generation.key, None)
            self.release(slot)
            STREAMS.set(len(self._running))
        self._ended[generation.key] = (time.monotonic(), generation)
        ANSWERS.labels(state.value).inc()
        log.info("answer ended", message_id=generation.id, state=state.value, **counts(generation))
        generation.finish(state)

    async def _produce(self, generation: Generation, source: Source) -> State:
        """Take text until the source ends, fails or is stopped."""
        if generation.stopping is not None:
            return generation.stopping
        began = time.monotonic()
        finish: Finish | None = None
        generation.producing = True
        try:
            async with aclosing(source(generation)) as events:
                async for event in events:
                    if type(event) is Delta:
                        if len(generation.text) == generation.prefix:
                            FIRST_TOKEN.observe(time.monotonic() - began)
                        generation.feed(keepable(event.text))
                        if len(generation.text) > MAX_ANSWER_CHARS:
                            raise TooMuchText
                    elif isinstance(event, Finish):
                        finish = event
        except asyncio.CancelledError:
            if generation.stopping is None:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            return generation.stopping
        except Exception as error:
            return failed(generation, error)
        finally:
            generation.producing = False
        return ended(generation, finish)

    async def _settle(self, generation: Generation, state: State) -> None:
        """Make the end durable, for as long as it takes the database to come back."""
        attempt = 0
        while True:
            try:
                await self.store.settle(generation.key, state, generation.text, generation.meta)
            except StoreUnavailable as error:
                wait = SETTLE_WAITS_S[min(attempt, len(SETTLE_WAITS_S) - 1)]
                attempt += 1
                log.warning(
                    "settle failed", message_id=generation.id, error=str(error), again_in_s=wait
                )
                await asyncio.sleep(wait)
            except (ChatNotFound, MessageNotFound):
                return  # deleted meanwhile: nobody asks for it any more
            else:
                return
