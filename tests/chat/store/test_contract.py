"""What every `ChatStore` does. Nothing here knows how one is made."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from troupe.chat.store.base import ChatStore
from troupe.chat.store.errors import BadText, ChatNotFound, Conflict, MessageNotFound
from troupe.chat.store.types import ROOT, Member, MessageKey, State

from .making import ANNA, BRAM, MEMBERS, bodies, live, message, new_chat


async def test_a_new_chat_reads_back_as_it_was_made(store: ChatStore) -> None:
    chat_id = uuid4()
    greetings = [
        message(chat_id, 0, "Hello there.", speaker=BRAM, meta={"model": "m", "n": [1, None]}),
        message(chat_id, 0, "Go away.", alt=1, speaker=BRAM, chosen=False),
    ]
    made = await store.create_chat(chat_id, "Tea", MEMBERS, greetings, {"model": "small"})
    assert made == await store.chat(chat_id)
    assert (made.title, made.active_branch, made.meta) == ("Tea", ROOT, {"model": "small"})
    assert made.members == MEMBERS
    (turn,) = await store.path(chat_id, ROOT)
    assert turn.candidates == tuple(greetings)
    assert (turn.branch, turn.seq, turn.chosen) == (ROOT, 0, 0)


async def test_a_chat_is_made_once(store: ChatStore) -> None:
    chat_id = await new_chat(store)
    with pytest.raises(Conflict):
        await store.create_chat(chat_id, "Again", MEMBERS, [], {})
    assert (await store.chat(chat_id)).title == "A chat"


async def test_every_method_on_a_chat_that_is_not_there_says_so(store: ChatStore) -> None:
    key = MessageKey(uuid4(), ROOT, 0, 0)
    chat_id = key.chat_id
    for call in (
        store.chat(chat_id),
        store.path(chat_id, ROOT),
        store.next_seq(chat_id, ROOT),
        store.append([message(chat_id, 0)]),
        store.add_candidate(message(chat_id, 0)),
        store.settle(key, State.COMPLETE, "", {}),
        store.reopen(key, live(key)),
        store.choose(key),
        store.fork(chat_id, ROOT, 1, 0),
        store.activate(chat_id, ROOT),
        store.erase_turn(chat_id, ROOT, 0),
        store.rename(chat_id, "x"),
        store.set_meta(chat_id, {}),
        store.set_member(chat_id, MEMBERS[0]),
        store.delete_chat(chat_id),
    ):
        with pytest.raises(ChatNotFound):
            await call
    await store.checkpoint(key, "nothing to save it in")
    assert await store.generation(key) is None


async def test_appended_messages_follow_in_order(store: ChatStore) -> None:
    chat_id = await new_chat(store)
    question, answer = message(chat_id, 1, "Why?"), message(chat_id, 2, "Because.", speaker=BRAM)
    appended = await store.append([question, answer])
    assert appended == ([question.key, answer.key], False)
    turns = await store.path(chat_id, ROOT)
    assert bodies(turns) == ["turn 0", "Why?", "Because."]
    assert [turn.message for turn in turns[1:]] == [question, answer]


async def test_a_page_holds_the_last_turns_before_a_turn(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=30)
    assert bodies(await store.path(chat_id, ROOT, limit=3)) == ["turn 27", "turn 28", "turn 29"]
    assert bodies(await store.path(chat_id, ROOT, before=5, limit=2)) == ["turn 3", "turn 4"]
    assert bodies(await store.path(chat_id, ROOT, before=2)) == ["turn 0", "turn 1"]
    assert await store.path(chat_id, ROOT, before=0) == []
    assert await store.path(chat_id, ROOT, limit=0) == []
    assert len(await store.path(chat_id, ROOT, before=100, limit=100)) == 30


async def test_a_page_counts_turns_not_candidates_and_not_erased_turns(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=12)
    for _ in range(5):
        await store.add_candidate(message(chat_id, 11, "other", chosen=False))
    for seq in (4, 5, 6, 9):
        await store.erase_turn(chat_id, ROOT, seq)
    page = await store.path(chat_id, ROOT, limit=5)
    assert [turn.seq for turn in page] == [3, 7, 8, 10, 11]
    assert len(page[-1].candidates) == 6


async def test_the_same_client_id_writes_nothing_twice(store: ChatStore) -> None:
    chat_id = await new_chat(store)
    first = await store.append([message(chat_id, 1), message(chat_id, 2)], "client-1")
    again = await store.append([message(chat_id, 3)], "client-1")
    assert again == (first.keys, True)
    assert not first.repeated
    same_place = await store.append([message(chat_id, 1), message(chat_id, 2)], "client-1")
    assert same_place == (first.keys, True)
    assert len(await store.path(chat_id, ROOT)) == 3
    other = await new_chat(store)
    assert not (await store.append([message(other, 1)], "client-1")).repeated


async def test_appending_the_very_same_messages_again_is_the_same_append(store: ChatStore) -> None:
    """What happens inside when an acknowledgement was lost."""
    chat_id = await new_chat(store)
    sent = [message(chat_id, 1), message(chat_id, 2, "", speaker=BRAM, state=State.STREAMING)]
    assert await store.append(sent, "c") == await store.append(sent, "c")
    assert not (await store.append(sent)).repeated
    assert len(await store.path(chat_id, ROOT)) == 3


async def test_a_taken_place_is_a_conflict_and_writes_nothing(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=2)
    with pytest.raises(Conflict):
        await store.append([message(chat_id, 1, "mine"), message(chat_id, 2)], "client-1")
    with pytest.raises(Conflict):
        await store.append([message(chat_id, 2), message(chat_id, 1, "mine")])
    assert bodies(await store.path(chat_id, ROOT)) == ["turn 0", "turn 1"]
    assert not (await store.append([message(chat_id, 2)], "client-1")).repeated


async def test_appending_before_a_branch_begins_is_refused(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=4)
    made = await store.fork(chat_id, ROOT, 3, 0)
    with pytest.raises(MessageNotFound):
        await store.append([message(chat_id, 2, branch=made.branch)])
    with pytest.raises(MessageNotFound):
        await store.append([message(chat_id, 4, branch=99)])


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "x" * 1_000_001])
async def test_text_that_cannot_be_kept_is_refused(store: ChatStore, text: str) -> None:
    chat_id = await new_chat(store, turns=2)
    key = MessageKey(chat_id, ROOT, 1, 0)
    for call in (
        store.append([message(chat_id, 2, text)]),
        store.append([message(chat_id, 2, meta={"a": [text]})]),
        store.append([message(chat_id, 2)], text),
        store.add_candidate(message(chat_id, 1, text)),
        store.checkpoint(key, text),
        store.settle(key, State.COMPLETE, text, {}),
        store.settle(key, State.COMPLETE, "", {text: 1}),
        store.rename(chat_id, text),
        store.set_meta(chat_id, {"a": text}),
        store.set_member(chat_id, Member(ANNA, text)),
        store.create_chat(uuid4(), text, MEMBERS, [], {}),
    ):
        with pytest.raises(BadText):
            await call
    assert len(await store.path(chat_id, ROOT)) == 2


async def test_text_of_every_script_is_kept_as_it_is(store: ChatStore) -> None:
    chat_id = await new_chat(store)
    text = "naïve 😀 \\u0000 \\x00 '\"; DROP TABLE --\n\t\r\u2028 \U0010ffff 漢字 %s {}"
    await store.append([message(chat_id, 1, text, meta={text: text, "f": 0.1, "t": True})])
    kept = (await store.path(chat_id, ROOT))[-1].message
    assert kept.body == text
    assert kept.meta == {text: text, "f": 0.1, "t": True}


async def test_a_candidate_of_the_last_turn_becomes_the_chosen_one(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=2)
    key = await store.add_candidate(message(chat_id, 1, "better"))
    assert key == MessageKey(chat_id, ROOT, 1, 1)
    (turn,) = await store.path(chat_id, ROOT, limit=1)
    assert (turn.chosen, turn.message.body, len(turn.candidates)) == (1, "better", 2)
    assert [m.chosen for m in turn.candidates] == [False, True]


async def test_a_candidate_in_mid_history_waits_for_a_fork(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=4)
    key = await store.add_candidate(message(chat_id, 1, "better"))
    assert bodies(await store.path(chat_id, ROOT)) == ["turn 0", "turn 1", "turn 2", "turn 3"]
    made = await store.fork(chat_id, ROOT, key.seq + 1, key.alt)
    assert bodies(await store.path(chat_id, made.branch)) == ["turn 0", "better"]
    assert bodies(await store.path(chat_id, ROOT)) == ["turn 0", "turn 1", "turn 2", "turn 3"]
    assert (await store.chat(chat_id)).active_branch == made.branch


async def test_a_candidate_needs_a_turn(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=2)
    with pytest.raises(MessageNotFound):
        await store.add_candidate(message(chat_id, 2))
    await store.erase_turn(chat_id, ROOT, 1)
    with pytest.raises(MessageNotFound):
        await store.add_candidate(message(chat_id, 1))


async def test_the_last_turn_can_be_swiped_back_and_forth(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=2)
    await store.add_candidate(message(chat_id, 1, "second"))
    for alt, body in ((0, "turn 1"), (1, "second"), (0, "turn 1")):
        await store.choose(MessageKey(chat_id, ROOT, 1, alt))
        assert bodies(await store.path(chat_id, ROOT))[-1] == body
    with pytest.raises(MessageNotFound):
        await store.choose(MessageKey(chat_id, ROOT, 1, 7))
    await store.append([message(chat_id, 2)])
    with pytest.raises(Conflict):
        await store.choose(MessageKey(chat_id, ROOT, 1, 1))


async def test_a_branch_keeps_its_candidate_whatever_the_parent_chooses(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=2)
    made = await store.fork(chat_id, ROOT, 2, 0)
    await store.append([message(chat_id, 2, "on the branch", branch=made.branch)])
    await store.add_candidate(message(chat_id, 1, "second"))
    await store.choose(MessageKey(chat_id, ROOT, 1, 1))
    assert bodies(await store.path(chat_id, ROOT)) == ["turn 0", "second"]
    assert bodies(await store.path(chat_id, made.branch)) == ["turn 0", "turn 1", "on the branch"]


async def test_choosing_never_changes_what_a_branch_further_down_shows(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=3)
    await store.add_candidate(message(chat_id, 2, "swiped"))
    made = await store.fork(chat_id, ROOT, 3, 1)
    await store.erase_turn(chat_id, ROOT, 2)
    with pytest.raises(Conflict):
        await store.choose(MessageKey(chat_id, ROOT, 1, 0))
    assert bodies(await store.path(chat_id, made.branch)) == ["turn 0", "turn 1"]


async def test_branches_of_branches_share_their_prefix(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=6)
    one = await store.fork(chat_id, ROOT, 4, 0)
    await store.append([message(chat_id, seq, f"one {seq}", branch=one.branch) for seq in (4, 5)])
    two = await store.fork(chat_id, one.branch, 5, 0)
    await store.append([message(chat_id, 5, "two 5", branch=two.branch)])
    higher = await store.fork(chat_id, two.branch, 2, 0)
    assert bodies(await store.path(chat_id, two.branch)) == [
        *(f"turn {seq}" for seq in range(4)),
        "one 4",
        "two 5",
    ]
    assert bodies(await store.path(chat_id, two.branch, before=5, limit=2)) == ["turn 3", "one 4"]
    assert bodies(await store.path(chat_id, higher.branch)) == ["turn 0", "turn 1"]
    assert bodies(await store.path(chat_id, higher.branch, limit=1)) == ["turn 1"]
    assert (await store.chat(chat_id)).branches[1:] == (one, two, higher)


async def test_a_branch_can_only_follow_what_its_parent_shows(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=3)
    for fork_seq, fork_alt in ((0, 0), (4, 0), (2, 1)):
        with pytest.raises(MessageNotFound):
            await store.fork(chat_id, ROOT, fork_seq, fork_alt)
    with pytest.raises(MessageNotFound):
        await store.fork(chat_id, 9, 1, 0)
    assert len((await store.chat(chat_id)).branches) == 1


async def test_a_branch_can_be_shown_again(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=3)
    await store.fork(chat_id, ROOT, 2, 0)
    await store.activate(chat_id, ROOT)
    assert (await store.chat(chat_id)).active_branch == ROOT
    with pytest.raises(MessageNotFound):
        await store.activate(chat_id, 5)


async def test_an_erased_turn_is_gone_and_its_number_stays_taken(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=4)
    await store.erase_turn(chat_id, ROOT, 1)
    await store.erase_turn(chat_id, ROOT, 3)
    assert [turn.seq for turn in await store.path(chat_id, ROOT)] == [0, 2]
    assert await store.next_seq(chat_id, ROOT) == 4
    with pytest.raises(Conflict):
        await store.append([message(chat_id, 3)])
    await store.erase_turn(chat_id, ROOT, 3)
    with pytest.raises(MessageNotFound):
        await store.erase_turn(chat_id, ROOT, 4)


async def test_the_next_turn_has_a_number(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=0)
    assert await store.next_seq(chat_id, ROOT) == 0
    chat_id = await new_chat(store, turns=5)
    assert await store.next_seq(chat_id, ROOT) == 5
    made = await store.fork(chat_id, ROOT, 2, 0)
    assert await store.next_seq(chat_id, made.branch) == 2


async def test_an_answer_is_streamed_and_settled(store: ChatStore) -> None:
    chat_id = await new_chat(store)
    answer = message(chat_id, 2, "", speaker=BRAM, state=State.STREAMING)
    generation = live(answer.key)
    await store.append([message(chat_id, 1), answer], "c", generation)
    assert await store.generation(answer.key) == generation
    await store.checkpoint(answer.key, "Once upon")
    (turn,) = await store.path(chat_id, ROOT, limit=1)
    assert (turn.message.body, turn.message.state) == ("Once upon", State.STREAMING)
    meta = {"model": "small", "usage": {"prompt": 12}}
    await store.settle(answer.key, State.COMPLETE, "Once upon a time.", meta)
    (turn,) = await store.path(chat_id, ROOT, limit=1)
    assert turn.message == answer._replace(
        state=State.COMPLETE, body="Once upon a time.", meta=meta
    )
    assert await store.generation(answer.key) is None


async def test_a_settled_answer_stays_as_it_is(store: ChatStore) -> None:
    chat_id = await new_chat(store)
    answer = message(chat_id, 1, "", state=State.STREAMING)
    await store.append([answer], None, live(answer.key))
    await store.settle(answer.key, State.STOPPED, "half", {})
    await store.checkpoint(answer.key, "late")
    await store.settle(answer.key, State.COMPLETE, "later still", {})
    kept = (await store.path(chat_id, ROOT))[-1].message
    assert (kept.state, kept.body) == (State.STOPPED, "half")
    with pytest.raises(MessageNotFound):
        await store.settle(MessageKey(chat_id, ROOT, 9, 0), State.COMPLETE, "", {})


async def test_a_candidate_can_stream(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=2)
    candidate = message(chat_id, 1, "", state=State.STREAMING)
    generation = live(candidate.key)
    key = await store.add_candidate(candidate, generation)
    assert await store.generation(key) == replace(generation, key=key)
    assert await store.add_candidate(candidate, generation) == key  # its acknowledgement was lost
    await store.settle(key, State.COMPLETE, "new", {})
    assert bodies(await store.path(chat_id, ROOT)) == ["turn 0", "new"]


async def test_the_last_answer_can_be_reopened(store: ChatStore) -> None:
    chat_id = await new_chat(store, turns=2)
    key = MessageKey(chat_id, ROOT, 1, 0)
    generation = live(key)
    message_again = await store.reopen(key, generation)
    assert (message_again.state, message_again.body) == (State.STREAMING, "turn 1")
    assert await store.generation(key) == generation
    assert await store.reopen(key, generation) == message_again
    with pytest.raises(Conflict):
        await store.reopen(key, live(key))
    await store.settle(key, State.COMPLETE, "turn 1 and more", {})
    assert bodies(await store.path(chat_id, ROOT))[-1] == "turn 1 and more"
    with pytest.raises(Conflict):
        await store.reopen(MessageKey(chat_id, ROOT, 0, 0), generation)


async def test_an_instance_that_starts_again_settles_what_it_left(store: ChatStore) -> None:
    instance = f"web-{uuid4().hex}"
    chat_id = await new_chat(store)
    answer = message(chat_id, 1, "", state=State.STREAMING)
    await store.append([answer], None, live(answer.key, f"{instance}/old"))
    await store.checkpoint(answer.key, "so far")
    await store.heartbeat(f"{instance}/old")
    assert await store.recover(instance, "old", 3600) == 0
    assert await store.recover(instance + "x", "new", 3600) == 0
    assert await store.recover(instance, "new", 3600) == 1
    assert await store.recover(instance, "new", 3600) == 0
    kept = (await store.path(chat_id, ROOT))[-1].message
    assert (kept.state, kept.body) == (State.INTERRUPTED, "so far")
    assert await store.generation(answer.key) is None
    reopened = await store.reopen(answer.key, live(answer.key, f"{instance}/new"))
    assert reopened.body == "so far"


async def test_an_owner_that_was_only_slow_has_the_last_word(store: ChatStore) -> None:
    instance = f"web-{uuid4().hex}"
    chat_id = await new_chat(store)
    answer = message(chat_id, 1, "", state=State.STREAMING)
    await store.append([answer], None, live(answer.key, f"{instance}/old"))
    assert await store.recover(instance, "new", 3600) == 1
    await store.settle(answer.key, State.COMPLETE, "all of it", {"n": 1})
    kept = (await store.path(chat_id, ROOT))[-1].message
    assert (kept.state, kept.body, kept.meta) == (State.COMPLETE, "all of it", {"n": 1})


async def test_a_list_of_chats_is_newest_first_and_pages(store: ChatStore) -> None:
    user = f"user:{uuid4()}"
    chats = [await new_chat(store, user=user) for _ in range(4)]
    await store.append([message(chats[1], 1, "the\nlast   line")])
    entries = await store.inbox(user)
    assert [e.chat_id for e in entries] == [chats[1], chats[3], chats[2], chats[0]]
    assert [e.last_line for e in entries] == ["the last line", "turn 0", "turn 0", "turn 0"]
    assert entries[0].title == "A chat"
    assert [m.name for m in entries[0].members] == ["Anna", "Bram"]
    page = await store.inbox(user, before=entries[1].last_at, limit=1)
    assert page == [entries[2]]
    assert await store.inbox(f"user:{uuid4()}") == []


async def test_settling_and_erasing_tell_the_list_of_chats(store: ChatStore) -> None:
    user = f"user:{uuid4()}"
    chat_id = await new_chat(store, user=user)
    await new_chat(store, user=user)
    answer = message(chat_id, 1, "", speaker=BRAM, state=State.STREAMING)
    await store.append([answer], None, live(answer.key))
    await store.settle(answer.key, State.COMPLETE, "a secret", {})
    entry = (await store.inbox(user))[0]
    assert (entry.chat_id, entry.last_line) == (chat_id, "a secret")
    await store.erase_turn(chat_id, ROOT, 1)
    assert all("secret" not in e.last_line for e in await store.inbox(user))


async def test_titles_meta_and_members_change(store: ChatStore) -> None:
    chat_id = await new_chat(store)
    await store.rename(chat_id, "New title")
    await store.set_meta(chat_id, {"model": "m", "deep": {"a": None}})
    await store.set_meta(chat_id, {"model": None, "style": 1})
    joined = Member(f"user:{uuid4()}", "Cleo")
    await store.set_member(chat_id, joined)
    await store.set_member(chat_id, replace(joined, name="Cleopatra", persona_id=uuid4()))
    chat = await store.chat(chat_id)
    assert chat.title == "New title"
    assert chat.meta == {"deep": {"a": None}, "style": 1}
    assert [m.name for m in chat.members] == ["Anna", "Bram", "Cleopatra"]
    assert [e.chat_id for e in await store.inbox(joined.speaker)] == [chat_id]


async def test_a_deleted_chat_is_gone(store: ChatStore) -> None:
    user = f"user:{uuid4()}"
    chat_id = await new_chat(store, turns=3, user=user)
    await store.fork(chat_id, ROOT, 2, 0)
    await store.delete_chat(chat_id)
    for call in (
        store.chat(chat_id),
        store.path(chat_id, ROOT),
        store.append([message(chat_id, 3)]),
        store.settle(MessageKey(chat_id, ROOT, 1, 0), State.COMPLETE, "", {}),
    ):
        with pytest.raises(ChatNotFound):
            await call
    assert await store.inbox(user) == []
