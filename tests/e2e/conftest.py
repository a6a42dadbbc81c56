"""A whole platform and a model's server beside it, one of each in a process of pytest; and
Chromium, one for a file: Playwright's event loop may not be there when other tests want theirs.

On a failure the screen, its HTML and the browser's console are kept in the test's own folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.checkpoint import write_checkpoint
from tests.e2e.upstream import MODEL, Upstream
from tests.e2e.visitor import Visitor
from tests.e2e.wire import Wire
from tests.support.platform import Platform

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}

Visit = Callable[..., Visitor]


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Platform]:
    """From an empty home; chats are answered by the upstream, unless the engine's model is
    chosen."""
    folder = tmp_path_factory.mktemp("platform")
    with Platform(
        folder / "home",
        model_dir=str(write_checkpoint(folder / "babble")),
        engine_threads="1",
        openai_base_url=upstream.url,
        default_model=f"openai:{MODEL}",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("the browser tests need Chromium: install the package `chromium`")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def wire(platform: Platform) -> Iterator[Wire]:
    with Wire(platform.port) as whole:
        yield whole


@pytest.fixture
def visit(
    request: pytest.FixtureRequest, platform: Platform, browser: Browser, tmp_path: Path
) -> Iterator[Visit]:
    """Opens browsers with nothing in them: `visit(size="phone", scheme="dark", url=...)`."""
    visitors: list[Visitor] = []

    def open_one(size: str = "desktop", scheme: str = "light", url: str = platform.url) -> Visitor:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            has_touch=size == "phone",
            is_mobile=size == "phone",
            locale="en-GB",
        )
        visitors.append(Visitor(context.new_page(), url, f"{size}-{scheme}"))
        return visitors[-1]

    yield open_one
    failed = request.node.stash.get(FAILED, False)
    for number, visitor in enumerate(visitors):
        if failed:
            _keep(visitor, tmp_path / f"screen-{number}")
        visitor.page.context.close()
    if failed:
        print(f"screens and consoles: {tmp_path}")
        return
    troubles = [trouble for visitor in visitors for trouble in visitor.troubles]
    assert troubles == [], "errors in the browser's console"


@pytest.fixture
def guest(visit: Visit) -> Visitor:
    """Somebody at a desk, who is not signed in."""
    return visit()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def _keep(visitor: Visitor, path: Path) -> None:
    visitor.page.screenshot(path=path.with_suffix(".png"))
    path.with_suffix(".html").write_text(visitor.page.content())
    path.with_suffix(".log").write_text("\n".join(visitor.console))
