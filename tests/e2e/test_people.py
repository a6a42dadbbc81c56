"""Who people are to the app, and the characters they bring: cards, accounts, personas."""

from __future__ import annotations

import io
import json

from PIL import Image
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.upstream import Upstream, answer_to
from tests.e2e.visitor import Visitor
from troupe.core.cards import parse, to_png

SEED = "tock"
PASSWORD = "a long walk by the river"


def card(name: str, greeting: str) -> bytes:
    """A character card as people pass them around: a picture with the character inside."""
    data = {
        "name": name,
        "description": f"{name} keeps bees on a roof.",
        "personality": "",
        "scenario": "",
        "first_mes": greeting,
        "mes_example": "",
        "creator_notes": "",
        "system_prompt": "",
        "post_history_instructions": "",
        "alternate_greetings": [],
        "tags": ["bees"],
        "creator": "",
        "character_version": "1",
        "extensions": {},
        "character_book": {
            "entries": [{"keys": ["queen"], "content": "{{char}}'s queen is called Ottoline."}]
        },
    }
    text = json.dumps({"spec": "chara_card_v2", "spec_version": "2.0", "data": data})
    picture = io.BytesIO()
    Image.new("RGB", (300, 400), "goldenrod").save(picture, "PNG")
    return to_png(parse(text.encode()), picture.getvalue())


def test_a_card_dropped_on_the_page_becomes_a_character_to_talk_with(guest: Visitor) -> None:
    guest.go("/")
    expect(guest.page.get_by_role("heading", level=1)).to_be_visible()
    guest.drop("Hazel.png", card("Hazel Thorne", "Mind the smoke. They are cross today."))
    expect(guest.page.get_by_role("heading", level=1)).to_have_text("Hazel Thorne")
    guest.button("Chat").click()
    guest.reads("Mind the smoke. They are cross today.")
    guest.say("May I help?")
    guest.reads(answer_to("May I help?", 1).replace("*", ""))


def test_what_was_pinned_written_down_and_called_up_reaches_the_model(
    guest: Visitor, upstream: Upstream
) -> None:
    guest.go("/")
    expect(guest.page.get_by_role("heading", level=1)).to_be_visible()
    guest.drop("Hazel.png", card("Hazel Marsh", "Mind the smoke."))
    expect(guest.page.get_by_role("heading", level=1)).to_have_text("Hazel Marsh")
    guest.button("Chat").click()
    guest.reads("Mind the smoke.")
    guest.say("How is the queen?")
    assert "Hazel Marsh's queen is called Ottoline." in upstream.prompt
    guest.said.last.hover()
    guest.said.last.get_by_role("button", name="More").click()
    guest.choose("Pin")
    expect(guest.said.last).to_contain_text("Pinned")
    guest.button("Chat settings").click()
    drawer = guest.page.get_by_role("dialog")
    expect(drawer).to_contain_text("How is the queen?")
    drawer.get_by_label("Memory").fill("{{user}} is allergic to bees.")
    drawer.get_by_label("Memory").blur()
    guest.page.keyboard.press("Escape")
    guest.say("And the drones?")
    assert "What Hazel Marsh remembers:" in upstream.prompt
    assert "is allergic to bees." in upstream.prompt
    guest.button("Chat settings").click()
    expect(drawer.get_by_label("Memory")).to_have_value("{{user}} is allergic to bees.")
    drawer.get_by_role("button", name="Unpin").click()
    expect(drawer).to_contain_text("Pin a message from its menu")


def test_a_file_that_is_no_card_is_refused_in_words(guest: Visitor) -> None:
    guest.lossy = True  # the browser logs the refusal
    guest.go("/")
    expect(guest.page.get_by_role("heading", level=1)).to_be_visible()
    guest.drop("broken.png", b"not a picture")
    expect(guest.page.get_by_role("dialog")).to_contain_text("That card could not be read")
    guest.looks_right("refused-card")
    guest.button("Close").first.click()
    expect(guest.page.get_by_role("dialog")).to_have_count(0)


def test_a_character_written_here_is_kept_and_talks(guest: Visitor) -> None:
    guest.go("/create")
    guest.button("Create").click()
    expect(guest.page.get_by_role("alert").first).to_be_visible()
    guest.page.get_by_label("Name").fill("Wren Holloway")
    guest.page.get_by_label("Greeting").fill("*tips a muddy hat* You look lost.")
    guest.page.get_by_label("What they are like").fill("A surveyor of lost roads.")
    guest.button("Create").click()
    expect(guest.page.get_by_role("heading", level=1)).to_have_text("Wren Holloway")
    guest.page.reload()
    guest.button("Chat").click()
    guest.reads("tips a muddy hat You look lost.")


def test_a_guest_who_registers_keeps_the_chats_and_finds_them_after_signing_in_again(
    guest: Visitor,
) -> None:
    guest.begin_chat(SEED)
    guest.say("Before the account.")
    guest.make_account("rowan", PASSWORD)
    listed = (
        guest.page.get_by_role("navigation")
        .get_by_role("link")
        .filter(has_text="Before the account.")
    )
    expect(listed).to_have_count(1)

    guest.go("/settings")
    guest.button("Sign out").click()
    guest.page.wait_for_url(guest.url + "/")
    expect(listed).to_have_count(0)

    guest.sign_in("rowan", PASSWORD)
    listed.click()
    expect(guest.said).to_have_text(["Before the account."])


def test_a_wrong_password_is_said_and_changes_nothing(guest: Visitor) -> None:
    guest.lossy = True  # the browser logs the refusal
    guest.go("/sign-in")
    guest.page.get_by_label("Name").fill("nobody")
    guest.page.get_by_label("Password").fill("not this one")
    guest.page.locator("form").get_by_role("button", name="Sign in").click()
    expect(guest.page.get_by_role("alert")).to_be_visible()


def test_a_persona_is_who_one_is_in_new_chats(guest: Visitor) -> None:
    guest.make_account("sorrel", PASSWORD)
    guest.go("/settings")
    guest.button("Write a persona").click()
    dialog = guest.page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Captain Vey")
    dialog.get_by_label("Who you are").fill("An airship captain, retired.")
    dialog.get_by_role("button", name="Save").click()
    guest.button("Use in new chats").click()
    expect(guest.page.get_by_text("Used in new chats")).to_be_visible()

    guest.begin_chat(SEED)
    guest.button("Chat settings").click()
    expect(guest.page.get_by_label("You are").locator("option:checked")).to_have_text("Captain Vey")


def test_the_theme_that_was_chosen_stays(visit: Visit) -> None:
    guest = visit()
    guest.go("/settings")
    ink = "getComputedStyle(document.documentElement).backgroundColor"
    light = guest.page.evaluate(ink)
    guest.page.get_by_role("radio", name="Dark").click()
    root = guest.page.locator("html")
    expect(root).not_to_have_css("background-color", light)
    dark = guest.page.evaluate(ink)
    guest.page.reload()
    expect(root).to_have_css("background-color", dark)
    other = visit()
    other.go("/settings")
    assert other.page.evaluate(ink) != dark
