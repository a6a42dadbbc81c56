"""What `troupe up` says: how far it has come, one page, then only what matters.

On a terminal the progress is a bar that counts the processes which are ready, and says what the
others do; elsewhere every change is a plain line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from troupe.ops.home import Home
from troupe.ops.secrets import ADMIN_PASSWORD, AdminPassword
from troupe.ops.supervisor import Event
from troupe.settings import Settings


@dataclass(frozen=True, slots=True)
class Page:
    """What the one page shows."""

    settings: Settings
    home: Home
    admin: AdminPassword
    first_start: bool

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, in order."""
        return [
            ("Open", self.settings.url),
            ("Admin", f"{self.settings.url}/admin/ as `admin`, {self._password()}"),
            ("API", f"{self.settings.url}/v1 (OpenAI-compatible; keys under Settings)"),
            ("Data", str(self.home.root)),
            ("Logs", str(self.home.logs)),
            ("Stop", "Ctrl-C"),
        ]

    def _password(self) -> str:
        kept = self.home.secrets / ADMIN_PASSWORD
        if self.admin.fresh:
            return f"password {self.admin.value} (shown once; kept in {kept})"
        if self.settings.admin_password is not None:
            return "with the password of TROUPE_ADMIN_PASSWORD at the first start"
        return f"first password in {kept}"


class Console:
    """Tells people what happens, on standard output."""

    def __init__(self, rich: RichConsole | None = None) -> None:
        self._rich = rich or RichConsole(highlight=False)
        self._began = time.monotonic()
        self._said: dict[str, str] = {}
        self._bar: Progress | None = None
        self._shown = False

    @contextmanager
    def starting(self, names: Sequence[str]) -> Iterator[None]:
        """Show how many of the processes `names` are ready, until the page is shown."""
        self._said = dict.fromkeys(names, "")
        if self._rich.is_terminal:
            self._bar = Progress(
                TextColumn("starting"), BarColumn(bar_width=24), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.description}"),
                console=self._rich, transient=True,
            )  # fmt: skip
            self._bar.add_task("", total=len(names))
            self._bar.start()
        try:
            yield
        finally:
            self._end_progress()

    def tell(self, event: Event) -> None:
        """Something happened to a process."""
        self._said[event.child] = event.detail or event.kind
        if event.kind == "died" or (self._bar is None and self._worth_a_line(event)):
            self._line(event)
        if self._bar is not None:
            busy = [
                f"[bold]{name}[/] {escape(said)}"
                for name, said in self._said.items()
                if said not in ("", "ready")
            ]
            ready = sum(said == "ready" for said in self._said.values())
            (task,) = self._bar.task_ids
            self._bar.update(task, completed=ready, description=" · ".join(busy))

    def show(self, page: Page, trouble: dict[str, str]) -> None:
        """The page, once all that should be ready is."""
        self._end_progress()
        self._shown = True
        took = time.monotonic() - self._began
        if self._rich.is_terminal:
            table = Table.grid(padding=(0, 3))
            table.add_column(style="dim")
            table.add_column(overflow="fold")
            for name, value in page.rows():
                table.add_row(name, Text(value))
            title = Text(f"Troupe is running (after {took:.1f} s)", "bold")
            self._rich.print(Panel(table, title=title, title_align="left", expand=False))
        else:
            self._plain(f"Troupe is running (after {took:.1f} s)")
            for name, value in page.rows():
                self._plain(f"  {name:<6} {value}")
        for name, said in trouble.items():
            self._plain(f"{name} does not come up, and is tried again: {said}")

    def _worth_a_line(self, event: Event) -> bool:
        """Without a moving line: the start and the stop of each, and every death."""
        return not (self._shown and event.kind in ("starting", "waiting"))

    def _line(self, event: Event) -> None:
        detail = f": {event.detail}" if event.detail else ""
        self._plain(f"{time.strftime('%H:%M:%S')} {event.child} {event.kind}{detail}")

    def _plain(self, text: str) -> None:
        if self._rich.is_terminal:
            self._rich.print(Text(text))
        else:
            print(text, file=self._rich.file, flush=True)

    def _end_progress(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def downloading() -> Iterator[Callable[[str, int, int], None]]:
    """Show files as they come, on standard error: gives `show(file, bytes here, bytes in all)`.
    Where that is no terminal, a line for each file that is whole."""
    console = RichConsole(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def show(name: str, here: int, whole: int) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(escape(name), total=whole, completed=here)
        bar.update(tasks[name], completed=here)
        if here == whole and not console.is_terminal:
            print(f"{name} ({whole} bytes)", file=sys.stderr, flush=True)

    with bar:
        yield show


def say(error: BaseException) -> None:
    """One clear line on standard error."""
    print(f"error: {error}", file=sys.stderr, flush=True)
