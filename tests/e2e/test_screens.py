"""Every screen on a desk and on a phone, in light and in the dark: drawn without an error, and
without anything that axe finds."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.upstream import Upstream
from tests.e2e.visitor import Visitor

SEED = "odile-ferrant"
PASSWORD = "a long walk by the river"


@pytest.fixture(
    params=[(size, scheme) for size in ("desktop", "phone") for scheme in ("light", "dark")],
    ids="-".join,
)
def visitor(request: pytest.FixtureRequest, visit: Visit) -> Visitor:
    size, scheme = request.param
    return visit(size=size, scheme=scheme)


def test_the_way_from_home_to_a_conversation(visitor: Visitor, upstream: Upstream) -> None:
    visitor.go("/")
    expect(visitor.page.locator("main a[href^='/c/']")).to_have_count(12)
    visitor.looks_right("home")
    visitor.go(f"/c/{SEED}")
    expect(visitor.button("Chat")).to_be_visible()
    visitor.looks_right("character")
    visitor.button("Chat").click()
    expect(visitor.answers).to_have_count(1)
    visitor.looks_right("greeting")
    with upstream.held():
        visitor.send("I came up the cliff path. Is there anything on the water tonight?")
        visitor.writes()
        visitor.looks_right("writing")
    visitor.sees("complete")
    visitor.looks_right("answered")
    visitor.answer.get_by_role("button", name="More").click()
    visitor.looks_right("menu")
    visitor.choose("Pin")
    expect(visitor.answer).to_contain_text("Pinned")
    visitor.answer.get_by_role("button", name="More").click()
    visitor.choose("Edit")
    visitor.looks_right("editing")
    visitor.button("Cancel").click()
    visitor.button("Chat settings").click()
    expect(visitor.page.get_by_role("dialog")).to_be_visible()
    visitor.looks_right("drawer")
    visitor.go("/chats")
    expect(visitor.page.get_by_role("main").get_by_role("link")).to_have_count(1)
    visitor.looks_right("chats")
    visitor.go("/")
    expect(visitor.page.get_by_role("heading", name="Continue")).to_be_visible()
    visitor.looks_right("home-again")


def test_the_pages_of_makers_and_accounts(visitor: Visitor) -> None:
    visitor.go("/sign-in")
    expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    visitor.looks_right("sign-in")
    visitor.make_account(f"sage-{visitor.look}", PASSWORD)
    visitor.go("/settings")
    expect(visitor.button("Write a persona")).to_be_visible()
    visitor.looks_right("settings")
    visitor.button("Write a persona").click()
    visitor.looks_right("persona")
    visitor.go("/create")
    visitor.page.get_by_label("Name").fill("Wren Holloway")
    visitor.page.get_by_label("Greeting").fill("*tips a muddy hat* You look lost. **Good.**")
    visitor.page.get_by_text("More about them").click()
    visitor.looks_right("create")


def test_addresses_that_lead_nowhere(visitor: Visitor) -> None:
    visitor.lossy = True  # the browser logs what was not found
    visitor.go("/nowhere")
    expect(visitor.page.get_by_role("heading", name="There is no such page")).to_be_visible()
    visitor.looks_right("nowhere")
    visitor.go("/?q=zzzzzz")
    expect(visitor.page.get_by_text("Nobody matches")).to_be_visible()
    visitor.looks_right("nobody")
    visitor.go("/c/nobody-by-this-name")
    expect(visitor.page.get_by_role("heading", name="There is no such character")).to_be_visible()
