"""A replica dies in the middle of an answer: its reader does not notice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gateway.engines.fleet import Answer, Fleet, answer, ask, fleet
from troupe.gateway.errors import BadRequest, UpstreamError
from troupe.gateway.types import GenerationRequest

REQUESTS = {
    "token ids": ask(),
    "messages": ask(token_ids=None, messages=[{"role": "user", "content": "hello the"}]),
    "stop strings": ask(stop=("\ufffd\ufffd\ufffd\ufffd", "zzz")),
    "greedy": ask(sampling={"temperature": 0.0, "seed": None}, tokens=30),
}


async def undisturbed(folder: Path, request: GenerationRequest) -> Answer:
    async with fleet([folder]) as one:
        return await answer(one.provider, request)


def same(found: Answer, whole: Answer) -> None:
    assert found.text == whole.text
    assert found.finish.reason == whole.finish.reason
    usage, expected = found.finish.usage, whole.finish.usage
    if "usage_estimated" not in found.finish.extra:  # nobody else knows a template's tokens
        assert usage.prompt_tokens == expected.prompt_tokens
    assert usage.completion_tokens == expected.completion_tokens
    assert 0 <= usage.ttft_ms <= usage.total_ms


async def broken(both: Fleet, request: GenerationRequest, at: int) -> tuple[Answer, bytes | None]:
    """The answer when its first replica breaks after `at` bytes, and comes back for the next; and
    what that one sent, or None if the answer was over by then: how many tokens an event brings
    varies."""
    first = both.home(request.conversation)
    first.breaks_at, first.returns = at, True
    found = await answer(both.provider, request)
    broke, first.breaks_at = first.breaks_at is None, None
    return found, first.kept if broke else None


@pytest.mark.parametrize("kind", REQUESTS)
async def test_wherever_the_stream_breaks_no_token_is_lost_or_doubled(
    folder: Path, kind: str
) -> None:
    request = REQUESTS[kind]
    whole = await undisturbed(folder, request)
    assert whole.finish.usage.completion_tokens > 8
    async with fleet([folder, folder]) as both:
        await answer(both.provider, request)
        sent = bytes(both.home("chat").sent)
        ends = [found.end() for found in re.finditer(rb"\n\n", sent)]
        at_finish = sent.index(b'"finish_reason":"')
        places = [0, 1, *ends[::2], *range(100, at_finish, at_finish // 10), at_finish + 4]
        resumed = []
        for at in sorted({place for place in places if place < ends[-2]}):
            found, kept = await broken(both, request, at)
            same(found, whole)
            if kept is None:
                continue
            told = kept[: kept.rfind(b"\n\n") + 2]
            begun, ended = b'"token_ids"' in told, b'"finish_reason":"' in told
            if not begun:  # three such in a row, and it would be left alone for a while
                await answer(both.provider, request)
            # Before the first token there is nothing to resume, nor once the end was told.
            assert found.finish.extra.get("resumed", 0) == (begun and not ended)
            resumed.append(begun and not ended)
        assert any(resumed)


async def test_an_end_whose_usage_was_lost_is_an_end(folder: Path) -> None:
    whole = await undisturbed(folder, ask())
    async with fleet([folder, folder]) as both:
        first = both.home("chat")
        first.breaks_before = b'"usage"'
        found = await answer(both.provider, ask())
        assert first.dead
        same(found, whole)
        assert found.finish.extra["usage_estimated"]
        assert found.finish.usage.prompt_tokens == 40
        assert sum(len(door.asked) for door in both.doors) == 1


async def test_a_stop_string_that_lies_across_the_cut_is_not_said(folder: Path) -> None:
    whole = await undisturbed(folder, ask())
    # Any three characters that the answer says side by side, drawn one by one.
    stop = next(
        whole.text[at : at + 3]
        for at in range(8, len(whole.text))
        if "\ufffd" not in whole.text[at : at + 3]
        and whole.text.find(whole.text[at : at + 3]) == at
    )
    ended = await undisturbed(folder, ask(stop=(stop,)))
    assert ended.finish.reason == "stop"
    assert ended.text == whole.text[: whole.text.index(stop)]
    async with fleet([folder, folder]) as both:
        await answer(both.provider, ask(stop=(stop,)))
        sent = bytes(both.home("chat").sent)
        last = [found.end() for found in re.finditer(rb"\n\n", sent)][-5:-3]
        for at in last:  # between the tokens of the stop string
            found, _ = await broken(both, ask(stop=(stop,)), at)
            same(found, ended)


async def test_one_engine_that_comes_back_goes_on_by_itself(folder: Path) -> None:
    whole = await undisturbed(folder, ask())
    async with fleet([folder]) as one:
        found, kept = await broken(one, ask(), 1000)
        same(found, whole)
        assert kept is not None
        assert len(one.doors[0].asked) == 2


async def test_a_request_that_kills_engines_is_given_up(folder: Path) -> None:
    async with fleet([folder] * 5) as many:
        for door in many.doors:
            door.breaks_before = b'"finish_reason":"'
        with pytest.raises(UpstreamError):
            await answer(many.provider, ask())
        assert sum(door.dead for door in many.doors) == 3


async def test_a_refusal_is_not_taken_to_another(folder: Path) -> None:
    async with fleet([folder, folder]) as both:
        with pytest.raises(BadRequest):
            await answer(both.provider, ask(sampling={"top_p": -1.0}))
        assert sum(len(door.asked) for door in both.doors) == 1


async def test_one_that_hangs_in_mid_stream_loses_its_stream(folder: Path) -> None:
    whole = await undisturbed(folder, ask())
    async with fleet([folder, folder]) as both:
        (model,) = await both.provider.models()
        events = both.provider.stream(ask(), model)
        text = (await anext(events)).text  # type: ignore[union-attr]
        both.home("chat").hangs = True
        async for event in events:
            text += getattr(event, "text", "")
        assert text == whole.text
        both.home("chat").hangs = False
