"""What `troupe up` says, on a terminal and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console as RichConsole

from troupe.ops.console import Console
from troupe.ops.supervisor import Event


def _console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    rich = RichConsole(file=file, force_terminal=terminal, width=100, highlight=False)
    return Console(rich), file


def test_a_terminal_shows_how_many_processes_are_ready_and_what_the_others_do() -> None:
    console, file = _console(terminal=True)
    with console.starting(["postgres", "engine", "web"]):
        console.tell(Event("postgres", "starting"))
        console.tell(Event("postgres", "ready"))
        console.tell(Event("engine", "waiting", "loading [1/2] weights"))
    said = file.getvalue()
    assert "1/3" in said
    assert "loading [1/2] weights" in said


def test_a_death_is_a_line_of_its_own_beside_the_bar() -> None:
    console, file = _console(terminal=True)
    with console.starting(["web"]):
        console.tell(Event("web", "died", "killed by signal 9; starting again in 0.1 s"))
    assert "web died: killed by signal 9" in file.getvalue()


def test_without_a_terminal_every_change_is_a_plain_line() -> None:
    console, file = _console(terminal=False)
    with console.starting(["postgres", "web"]):
        console.tell(Event("postgres", "starting"))
        console.tell(Event("postgres", "ready"))
    first, second = file.getvalue().splitlines()
    assert first.endswith("postgres starting")
    assert second.endswith("postgres ready")
