"""What one sees when something goes away in mid-sentence: nothing is lost, and it goes on."""

from __future__ import annotations

import contextlib
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.record import Record
from tests.e2e.upstream import Upstream, answer_to
from tests.e2e.visitor import Visitor
from tests.e2e.wire import Wire
from tests.support.platform import Platform

SEED = "tock"
LIMIT_S = 60.0
BABBLE = "babble"  # the engine's own model
CHECKPOINTED_MS = 2500  # what was written by then is in the database for sure


def wait_for_engine(platform: Platform) -> None:
    """Wait until the engine is back."""
    address = f"http://127.0.0.1:{platform.env['TROUPE_ENGINE_PORT']}/readyz"
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(address, timeout=5).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("the engine did not come back")


@pytest.fixture
def distant(visit: Visit, wire: Wire) -> Visitor:
    """Somebody at the far end of a network that can be cut."""
    visitor = visit(url=wire.url)
    visitor.lossy = True
    return visitor


def test_an_answer_whose_engine_dies_goes_on_when_it_is_back(
    guest: Visitor, platform: Platform
) -> None:
    guest.begin_chat(SEED)
    record = Record(guest, platform.url)
    guest.button("Chat settings").click()
    guest.page.get_by_label("Model", exact=True).select_option(label=BABBLE)
    guest.page.keyboard.press("Escape")
    expect(guest.page.get_by_test_id("model")).to_have_text(BABBLE)
    guest.send("Talk to me.")
    guest.writes()
    engine = platform.children()["engine"]
    engine.suspend()  # so that the answer does not end before the engine does
    guest.page.wait_for_timeout(CHECKPOINTED_MS)
    kept = record.last()["body"]
    assert kept != ""
    engine.kill()
    engine.wait(LIMIT_S)

    wait_for_engine(platform)
    guest.sees("complete")
    whole = record.last()["body"]
    assert whole.startswith(kept)
    assert len(whole) > len(kept)
    expect(guest.said).to_have_text(["Talk to me."])


def test_an_answer_that_the_web_process_broke_off_is_kept_and_can_be_continued(
    guest: Visitor, platform: Platform, upstream: Upstream
) -> None:
    guest.lossy = True
    guest.begin_chat(SEED)
    record = Record(guest, platform.url)
    with upstream.held():
        guest.send("Do not stop.")
        guest.writes()
        guest.page.wait_for_timeout(CHECKPOINTED_MS)
        platform.kill("web")
        guest.sees("interrupted")
    platform.wait_ready()
    kept = record.last()
    assert kept["state"] == "interrupted"
    assert answer_to("Do not stop.", 1).startswith(kept["body"])
    guest.reads(kept["body"].strip())
    expect(guest.said).to_have_text(["Do not stop."])

    guest.button("Continue").click()
    guest.sees("complete")
    guest.reads(f"{kept['body']} And so it goes on.")


def test_an_answer_written_while_the_network_was_cut_is_whole_afterwards(
    distant: Visitor, wire: Wire, platform: Platform, upstream: Upstream
) -> None:
    distant.begin_chat(SEED)
    record = Record(distant, platform.url)
    with upstream.held():
        distant.send("Go on without me.")
        distant.writes()
        wire.cut()
        distant.is_cut_off()
    record.wait_for("complete")
    wire.mend()
    distant.sees("complete")
    distant.reads(answer_to("Go on without me.", 1).replace("*", ""))
    assert record.last()["body"] == answer_to("Go on without me.", 1)


def test_a_stream_goes_on_after_the_network_was_cut(
    distant: Visitor, wire: Wire, platform: Platform, upstream: Upstream
) -> None:
    distant.begin_chat(SEED)
    with upstream.held():
        distant.send("Wait for me.")
        distant.writes()
        wire.cut()
        distant.is_cut_off()
        wire.mend()
        distant.is_connected()
        distant.sees("streaming")
    distant.sees("complete")
    distant.reads(answer_to("Wait for me.", 1).replace("*", ""))


def test_what_is_sent_without_a_network_arrives_once(
    distant: Visitor, wire: Wire, platform: Platform
) -> None:
    distant.begin_chat(SEED)
    record = Record(distant, platform.url)
    wire.cut()
    distant.is_cut_off()
    distant.send("Can you hear me?")
    expect(distant.page.get_by_test_id("letter")).to_contain_text("Can you hear me?")
    expect(distant.page.get_by_text("It is sent once you are connected.")).to_be_visible()
    wire.mend()
    expect(distant.answers).to_have_count(2)
    distant.sees("complete")
    distant.reads(answer_to("Can you hear me?", 1).replace("*", ""))
    expect(distant.page.get_by_test_id("letter")).to_have_count(0)
    assert [message["speaker"].split(":")[0] for message in record.messages()] == [
        "char",
        "user",
        "char",
    ]
