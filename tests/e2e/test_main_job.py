"""The main job in a browser: from nothing to a chat that is kept, by mouse, keyboard and touch."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.e2e.upstream import MODEL, Upstream, answer_to
from tests.e2e.visitor import Visitor

SEED = "mira-vale"


def plain(markdown: str) -> str:
    """The text as it reads once shown."""
    return markdown.replace("*", "")


def test_a_fresh_home_shows_characters_and_one_of_them_talks(guest: Visitor) -> None:
    guest.go("/")
    cards = guest.page.locator("main a[href^='/c/']")
    expect(cards).to_have_count(12)
    cards.first.click()
    guest.button("Chat").click()
    expect(guest.answers).to_have_count(1)

    for said in ("Good evening.", "What is in the tower?", "Then lead on."):
        guest.say(said)
        guest.reads(plain(answer_to(said, 1)))

    expect(guest.said).to_have_count(3)
    expect(guest.answers).to_have_count(4)
    expect(guest.answer.get_by_test_id("answer-model")).to_contain_text(MODEL)


def test_an_answer_is_shown_while_it_is_written_and_can_be_stopped(
    guest: Visitor, upstream: Upstream
) -> None:
    guest.begin_chat(SEED)
    with upstream.held():
        guest.send("Tell me slowly.")
        guest.sees("streaming")
        expect(guest.answer.get_by_test_id("body")).to_contain_text("Answer 1 to “Tell me slowly")
        guest.button("Stop").click()
        guest.sees("stopped")
    kept = guest.body(guest.answer)
    assert kept != ""
    assert plain(answer_to("Tell me slowly.", 1)).startswith(kept)

    guest.button("Continue").click()
    guest.sees("complete")
    guest.reads(f"{kept} And so it goes on.")


def test_another_answer_stands_beside_the_first(guest: Visitor) -> None:
    guest.begin_chat(SEED)
    first = guest.say("Choose a door.")
    guest.button("Write anew").click()
    expect(count(guest)).to_have_text("2/2")
    guest.sees("complete")
    second = guest.body(guest.answer)
    assert second == plain(answer_to("Choose a door.", 2))

    guest.button("Previous answer").click()
    expect(count(guest)).to_have_text("1/2")
    guest.reads(first)
    guest.button("Next answer").click()
    expect(count(guest)).to_have_text("2/2")
    guest.reads(second)

    guest.page.reload()
    expect(count(guest)).to_have_text("2/2")
    guest.reads(second)


def test_a_greeting_can_be_swapped_for_another(guest: Visitor) -> None:
    guest.begin_chat(SEED)
    first = guest.body(guest.answer)
    guest.button("Next greeting").click()
    expect(count(guest)).to_have_text(re.compile("2/"))
    expect(guest.answer.get_by_test_id("body")).not_to_have_text(first)


def test_rewriting_an_earlier_message_begins_a_branch_and_keeps_the_old_one(guest: Visitor) -> None:
    guest.begin_chat(SEED)
    guest.say("I am a baker.")
    guest.say("Do you like bread?")
    open_menu(guest, guest.said.first)
    guest.choose("Edit")
    guest.page.get_by_label("Edit what you said").fill("I am a smith.")
    guest.page.get_by_role("log").get_by_role("button", name="Send").click()
    expect(guest.said).to_have_text(["I am a smith."])
    guest.sees("complete")
    guest.reads(plain(answer_to("I am a smith.", 1)))

    guest.button("Chat settings").click()
    guest.page.get_by_role("button", name="The first").click()
    guest.page.keyboard.press("Escape")
    expect(guest.said).to_have_text(["I am a baker.", "Do you like bread?"])


def test_a_message_can_be_erased(guest: Visitor) -> None:
    guest.begin_chat(SEED)
    guest.say("Forget this.")
    open_menu(guest, guest.answer)
    guest.choose("Delete")
    guest.page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(guest.answers).to_have_count(1)
    guest.page.reload()
    expect(guest.said).to_have_count(1)
    expect(guest.answers).to_have_count(1)


def test_an_answer_outlives_a_reload_of_the_page(guest: Visitor, upstream: Upstream) -> None:
    guest.begin_chat(SEED)
    with upstream.held():
        guest.send("A long story, please.")
        expect(guest.answer.get_by_test_id("body")).to_contain_text("Answer 1")
        guest.page.reload()
        guest.sees("streaming")
        expect(guest.answer.get_by_test_id("body")).to_contain_text("Answer 1")
    guest.sees("complete")
    guest.reads(plain(answer_to("A long story, please.", 1)))


def test_chats_are_listed_and_can_be_gone_back_to(guest: Visitor) -> None:
    guest.begin_chat(SEED)
    answer = guest.say("Remember me.")
    guest.go("/")
    listed = (
        guest.page.get_by_role("navigation").get_by_role("link").filter(has_text="Remember me.")
    )
    expect(listed).to_have_count(1)
    listed.click()
    expect(guest.said).to_have_text(["Remember me."])
    guest.reads(answer)


def test_a_whole_conversation_by_keyboard_alone(guest: Visitor, upstream: Upstream) -> None:
    press = guest.page.keyboard.press
    guest.go("/")
    expect(guest.page.locator("main a[href^='/c/']")).to_have_count(12)
    press("/")
    guest.page.keyboard.type("Mira")
    card = guest.page.locator(f"main a[href='/c/{SEED}']")
    expect(guest.page.locator("main a[href^='/c/']")).to_have_count(1)
    tab_to(guest, card)
    press("Enter")
    tab_to(guest, guest.button("Chat"))
    press("Enter")

    expect(guest.composer).to_be_focused()
    guest.page.keyboard.type("No mouse here.")
    press("Enter")
    expect(guest.answers).to_have_count(2)
    guest.sees("complete")
    press("ArrowRight")
    expect(count(guest)).to_have_text("2/2")
    guest.sees("complete")
    press("ArrowLeft")
    expect(count(guest)).to_have_text("1/2")

    with upstream.held():
        guest.page.keyboard.type("And slowly?")
        press("Enter")
        expect(guest.answers).to_have_count(3)
        guest.writes()
        press("Escape")
        guest.sees("stopped")
    press("Control+k")
    expect(guest.page.get_by_role("combobox", name="Go to")).to_be_focused()
    guest.page.keyboard.type("Create")
    expect(guest.page.get_by_role("option", selected=True)).to_have_text("Create")
    press("Enter")
    expect(guest.page.get_by_role("heading", level=1)).to_have_text("Create a character")


def tab_to(visitor: Visitor, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    expect(target).to_be_visible()
    for _ in range(60):
        if target.evaluate("(one) => one === document.activeElement"):
            return
        visitor.page.keyboard.press("Tab")
    raise AssertionError("Tab does not lead there")


def open_menu(visitor: Visitor, message: Locator) -> None:
    message.hover()
    message.get_by_role("button", name="More").click()


def count(visitor: Visitor) -> Locator:
    """Which candidate of the last answer is shown, as `2/3`."""
    return visitor.answer.get_by_test_id("swipe-count")
