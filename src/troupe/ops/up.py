"""`troupe up`: everything on this machine, in the right order, until told to stop.

Says what the processes are; `supervisor` keeps them alive, `console` tells people.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from troupe.ops import environment, ports, probe, secrets
from troupe.ops.console import Console, Page
from troupe.ops.home import Home, HomeLock
from troupe.ops.launch import Launch
from troupe.ops.postgres import Embedded, prepare, status
from troupe.ops.supervisor import Child, Stop, Supervisor
from troupe.ops.supervisor.child import Report
from troupe.settings import Settings

_LOOPBACK = "127.0.0.1"
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(settings: Settings, console: Console) -> None:
    """Run until SIGINT or SIGTERM. Raises `OpsError` if Troupe cannot run."""
    home = Home(settings.root)
    home.make()
    with HomeLock(home):
        check_ports(settings)
        fresh = not (home.secrets / secrets.SECRET_KEY).exists()
        settings = secrets.with_secret_key(settings, home)
        password = secrets.admin_password(settings, home)
        plan = Plan(settings, home, password.value)
        page = Page(settings, home, password, first_start=fresh)
        try:
            asyncio.run(_run(plan, console, page))
        finally:
            for number in _STOPS:  # all is stopped; another Ctrl-C has nothing left to do
                signal.signal(number, signal.SIG_IGN)


def check_ports(settings: Settings) -> None:
    """Raises `PortTaken` if one that we need is in use."""
    ports.check(settings.host, settings.port, "TROUPE_PORT")
    for port in settings.own_engine_ports:
        ports.check(_LOOPBACK, port, "TROUPE_ENGINE_PORT")
    ports.check(_LOOPBACK, settings.worker_port, "TROUPE_WORKER_PORT")


class Plan:
    """The processes of one machine."""

    def __init__(self, settings: Settings, home: Home, admin_password: str) -> None:
        self._settings = settings
        self._home = home
        self._admin_password = admin_password
        self._embedded: Embedded | None = None

    def children(self) -> list[Child]:
        """In the order of their start; the last are stopped first."""
        settings = self._settings
        own_database = settings.database_url is None
        database = ("postgres",) if own_database else ()
        postgres = Child(
            "postgres",
            self._postgres,
            self._postgres_ready,
            stops=(Stop(signal.SIGINT, 60.0), Stop(signal.SIGQUIT, 30.0)),
        )
        migrate = Child(
            "migrate", self._troupe("migrate", "--bootstrap"), _never, needs=database, once=True
        )
        worker = Child(
            "worker",
            self._troupe("serve", "worker"),
            _at(settings.worker_port),
            needs=("migrate",),
            essential=False,
        )
        web = Child("web", self._troupe("serve", "web"), _alive(settings), needs=("migrate",))
        return [
            *([postgres] if own_database else []),
            # Engines come first: they take longest, and need nobody.
            *(self._engine(at, port) for at, port in enumerate(settings.own_engine_ports)),
            migrate,
            worker,
            web,
        ]

    def _engine(self, at: int, port: int) -> Child:
        """One replica of the engine; the first has the plain name."""
        own = {"TROUPE_ENGINE_PORT": str(port), "TROUPE_INSTANCE": f"engine-{at}"}
        name = f"engine-{at}" if at else "engine"
        if at:  # each keeps its own memory on disk
            folder = self._settings.engine_kv_dir or self._home.root / "engine-memory"
            own["TROUPE_ENGINE_KV_DIR"] = str(folder.with_name(f"{folder.name}-{at}"))
        return Child(
            name,
            self._troupe("serve", "engine", **own),
            _at(port),
            stops=(Stop(signal.SIGTERM, 60.0),),  # it writes down what it keeps
            essential=False,
        )

    def _troupe(self, *command: str, **own: str) -> Callable[[Report], Awaitable[Launch]]:
        """How `troupe COMMAND` is started; `own` are variables for it alone."""

        async def launch(_: Report) -> Launch:
            name = command[-1] if command[0] == "serve" else command[0]
            dsn = self._embedded.dsn if self._embedded is not None else self._settings.database_url
            env = environment.of_process(
                name, self._settings, os.environ, dsn, self._admin_password
            )
            # All they hold is in the database, which survives any end; a supervisor that comes
            # right after a killed one finds the ports free.
            argv = [sys.executable, "-m", "troupe", *command]
            return Launch(argv, env | own, death_signal=signal.SIGKILL)

        return launch

    async def _postgres(self, report: Report) -> Launch:
        loop = asyncio.get_running_loop()

        def tell(what: str) -> None:
            loop.call_soon_threadsafe(report, what)

        given = self._settings.postgres_bin
        self._embedded = await asyncio.to_thread(prepare, self._home.postgres, given, tell)
        return self._embedded.launch

    async def _postgres_ready(self, pid: int) -> str | None:
        assert self._embedded is not None
        said = status(self._embedded, pid)
        return None if said == "ready" else f"{said} (recovering, if it was not stopped cleanly)"


def _at(port: int) -> Callable[[int], Awaitable[str | None]]:
    async def ready(_: int) -> str | None:
        return await probe.ask(_LOOPBACK, port)

    return ready


def _alive(settings: Settings) -> Callable[[int], Awaitable[str | None]]:
    """For `web`, to be up is enough: it is not fit for all traffic before a model is ready, which
    may be another's than our engine's, or never."""
    host = _LOOPBACK if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104

    async def alive(_: int) -> str | None:
        return await probe.ask(host, settings.port, "/healthz")

    return alive


async def _never(_: int) -> str | None:
    return "not done yet"


async def _run(plan: Plan, console: Console, page: Page) -> None:
    home = page.home
    children = plan.children()
    supervisor = Supervisor(children, home.logs, console.tell)
    loop = asyncio.get_running_loop()
    for number in _STOPS:
        loop.add_signal_handler(number, supervisor.stop)
    showing = asyncio.create_task(_show(supervisor, console, page))
    try:
        with console.starting([child.name for child in children]):
            await supervisor.run()
    finally:
        showing.cancel()


async def _show(supervisor: Supervisor, console: Console, page: Page) -> None:
    await supervisor.settled()
    console.show(page, supervisor.in_trouble())
