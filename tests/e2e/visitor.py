"""Somebody at the app: a page, what one does there in the app's own words, and what one may expect
of every screen (nothing in the console, nothing that axe finds)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
PICTURES = "TROUPE_E2E_PICTURES"  # a folder for pictures of the screens, if somebody wants them
PATIENCE_MS = 20_000

RUN_AXE = """async (rules) => {
  const moving = document.getAnimations().filter(
    (one) => one.effect.getComputedTiming().endTime !== Infinity);
  await Promise.all(moving.map((one) => one.finished.catch(() => null)));
  const {violations} = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).join("; ")}`);
}"""

DROP = """([bytes, name]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(
      new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
}"""

expect.set_options(timeout=PATIENCE_MS)


class Visitor:
    """A person with a browser of their own. `look` names it on pictures."""

    def __init__(self, page: Page, url: str, look: str) -> None:
        self.page = page
        self.url = url
        self.look = look
        self.console: list[str] = []
        self.troubles: list[str] = []
        self.lossy = False  # the test takes servers away: what is not reached is said
        page.set_default_timeout(PATIENCE_MS)
        page.on(
            "console", lambda said: self._note(said.type, f"{said.text} {said.location['url']}")
        )
        page.on("pageerror", lambda error: self._note("error", f"uncaught: {error}"))

    def _note(self, kind: str, text: str) -> None:
        self.console.append(f"{kind}: {text}")
        lost = "Failed to load resource" in text or "WebSocket connection to" in text
        if kind == "error" and not (self.lossy and lost):
            self.troubles.append(text)

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def looks_right(self, name: str) -> None:
        """Nothing that axe finds; keeps a picture of the screen where one is asked for."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate(RUN_AXE, RULES)
        folder = os.environ.get(PICTURES)
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}-{self.look}.png")
        assert found == [], f"axe on {name}, {self.look}:\n" + "\n".join(found)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def choose(self, item: str) -> None:
        """An item of the menu that is open."""
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def drop(self, name: str, file: bytes) -> None:
        """Let a file fall onto the page."""
        self.page.evaluate(DROP, [list(file), name])

    def begin_chat(self, slug: str) -> None:
        """From a character's page into a fresh chat."""
        self.go(f"/c/{slug}")
        self.button("Chat").click()
        self.page.wait_for_url("**/chats/*")
        expect(self.answers).to_have_count(1)

    @property
    def composer(self) -> Locator:
        return self.page.get_by_test_id("composer")

    @property
    def messages(self) -> Locator:
        """All messages on the screen, the greeting first."""
        return self.page.get_by_test_id("message")

    @property
    def answers(self) -> Locator:
        return self.page.locator("[data-testid=message][data-speaker=character]")

    @property
    def said(self) -> Locator:
        """What the person said."""
        return self.page.locator("[data-testid=message][data-speaker=user]")

    @property
    def answer(self) -> Locator:
        """The last answer."""
        return self.answers.last

    def body(self, message: Locator) -> str:
        """A message as it reads, on one line."""
        return " ".join(message.get_by_test_id("body").inner_text().split())

    def reads(self, text: str) -> None:
        """The last answer is this, once it is drawn."""
        expect(self.answer.get_by_test_id("body")).to_have_text(text)

    def send(self, text: str) -> None:
        """Say something, and see it in the chat."""
        self.composer.fill(text)
        self.button("Send").click()

    def say(self, text: str) -> str:
        """Say something, wait for the whole answer, and give it."""
        before = self.answers.count()
        self.send(text)
        expect(self.answers).to_have_count(before + 1)
        self.sees("complete")
        return self.body(self.answer)

    def sees(self, state: str) -> None:
        """The last answer gets into this state."""
        expect(self.answer).to_have_attribute("data-state", state)

    def writes(self) -> None:
        """The first words of an answer are on the screen."""
        expect(self.answer).to_have_attribute("data-state", "streaming")
        expect(self.answer.get_by_test_id("body")).to_have_text(re.compile(r"\S"))

    def is_cut_off(self) -> None:
        expect(self.page.get_by_test_id("model")).to_have_text("Reconnecting…")

    def is_connected(self) -> None:
        expect(self.page.get_by_test_id("model")).not_to_have_text("Reconnecting…")

    def make_account(self, name: str, password: str) -> None:
        """Register, on the page that does it."""
        self.go("/sign-in")
        self.page.get_by_role("tab", name="New account").click()
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.button("Make account").click()
        self.page.wait_for_url(self.url + "/")

    def sign_in(self, name: str, password: str) -> None:
        self.go("/sign-in")
        self.page.get_by_role("tab", name="Sign in").click()
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.locator("form").get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.url + "/")
