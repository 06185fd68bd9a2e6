"""A cluster on one machine, for trying it: Redis, Postgres, warm workers, webserver and daemon, kept up by supervisor.

    make cluster             # start it; control-C, or `make cluster-stop` from elsewhere, stops it
    make cluster-status

Redis and Postgres come from Debian's packages. Nothing listens beyond loopback. State lies in
`$TIKTOK_ASSETS_CLUSTER_STATE` (`dagster_home/cluster/state`) and survives; logs lie there too.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

import psutil

from tiktok_assets.project import CLUSTER_HOME, DATABASE, PORTS, PROJECT, cluster_addresses, cluster_ports

CONFIG = CLUSTER_HOME / "supervisord.conf"
BIN = Path(sys.executable).parent
SOCKET_PATH_LIMIT = 107
NOT_UP = "The cluster is not up: make cluster"

Command = Literal["start", "stop", "status"]


class NotPossible(Exception):
    """The cluster cannot be started here; says what to do."""


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every process of the cluster gets: where things are, and how to reach each other.

    Args:
        given: settings, as environment variables.

    Raises:
        NotPossible: Redis or Postgres is not installed.
    """
    state = Path(given.get("TIKTOK_ASSETS_CLUSTER_STATE") or CLUSTER_HOME / "state").resolve()
    as_root = os.geteuid() == 0
    user = "postgres" if as_root else _user_name()
    programs = {"REDIS_SERVER": _program("redis-server", "redis-server"), "POSTGRES": _postgres_program("postgres")}
    return {
        "PROJECT": str(PROJECT),
        "BIN": str(BIN),
        "CLUSTER_STATE": str(state),
        "DAGSTER_HOME": given.get("TIKTOK_ASSETS_CLUSTER_HOME", str(CLUSTER_HOME)),
        "POSTGRES_USER": user,
        "TIKTOK_ASSETS_WORKERS": given.get("TIKTOK_ASSETS_WORKERS", "2"),
        **cluster_addresses(given),
        **cluster_ports(given),
        **programs,
    }


def _user_name() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _program(name: str, package: str, *further: Path) -> str:
    found = shutil.which(name) or next((str(path) for path in further if path.exists()), None)
    if found is None:
        raise NotPossible(f"{name} is not installed: sudo apt install {package} (or use containers: docs/operating.md)")
    return found


def _postgres_program(name: str) -> str:
    """Debian keeps Postgres' programs in a folder per version, newest last."""
    return _program(name, "postgresql", *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True))


def prepare(env: Mapping[str, str]) -> None:
    """Make what is missing: folders, the database cluster, Dagster's tables. What is there is kept.

    Raises:
        NotPossible: the state folder cannot be used, or a program of Postgres failed.
    """
    state = Path(env["CLUSTER_STATE"])
    if len(str(state / "supervisor.sock")) > SOCKET_PATH_LIMIT:
        raise NotPossible(f"{state} is too long for a socket: set TIKTOK_ASSETS_CLUSTER_STATE to a shorter folder")
    (state / "redis").mkdir(parents=True, exist_ok=True)
    postgres, user = state / "postgres", env["POSTGRES_USER"]
    if (postgres / "PG_VERSION").exists():
        return
    partial = state / "postgres.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    run_as: dict[str, Any] = {}
    if os.geteuid() == 0:  # Postgres refuses to run as root
        shutil.chown(partial, user, user)
        run_as = {"user": user, "group": user, "extra_groups": []}

    def run(program: str, *arguments: str, said: str | None = None) -> None:
        _run([_postgres_program(program), *arguments], input=said, cwd="/", **run_as)

    data = ("-D", str(partial))
    run("initdb", *data, "-U", DATABASE, "--auth", "trust", "--encoding", "UTF8")
    run("postgres", "--single", *data, "postgres", said=f"CREATE DATABASE {DATABASE};\n")
    listen = f"-h 127.0.0.1 -p {env['POSTGRES_PORT']} -k {partial}"
    run("pg_ctl", *data, "-w", "-o", listen, "-l", str(partial / "setup.log"), "start")
    try:  # several processes that find an empty database would race to make the tables
        _run([str(BIN / "dagster"), "instance", "info"], env=os.environ | env, cwd=PROJECT)
    finally:
        run("pg_ctl", *data, "-w", "-m", "fast", "stop")
    partial.rename(postgres)


def _run(command: list[str], **how: Any) -> None:
    with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open in the server that pg_ctl starts
        code = subprocess.run(command, stdout=said, stderr=subprocess.STDOUT, text=True, **how).returncode
        said.seek(0)
        if code:
            last = (said.read().strip().splitlines() or ["it said nothing"])[-1]
            raise NotPossible(f"{Path(command[0]).name} failed: {last}")


def supervisor(env: Mapping[str, str]) -> psutil.Process | None:
    """The running cluster's supervisor; None while there is none."""
    try:
        process = psutil.Process(int((Path(env["CLUSTER_STATE"]) / "supervisord.pid").read_text()))
        return process if any("supervisord" in word for word in process.cmdline()) else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


def start(env: Mapping[str, str]) -> NoReturn:
    """Become the supervisor of everything.

    Raises:
        NotPossible: as `prepare`; or it is up already, or one of its ports is taken.
    """
    if running := supervisor(env):
        raise NotPossible(f"The cluster is up already (process {running.pid}): make cluster-status, make cluster-stop")
    for name in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(env[name])))
            except (OSError, OverflowError, ValueError) as error:
                advice = f"set TIKTOK_ASSETS_{name} to another"
                raise NotPossible(f"port {env[name]} cannot be used ({error}): {advice}") from error
    prepare(env)
    print(
        f"Dagster: http://127.0.0.1:{env['WEBSERVER_PORT']}    {env['TIKTOK_ASSETS_WORKERS']} worker(s)\n"
        f"Logs:    {env['CLUSTER_STATE']}/*.log\n"
        "Runs launched there go to the workers. Control-C stops everything; runs at work are finished first.",
        flush=True,
    )
    os.execve(BIN / "supervisord", ["supervisord", "-c", str(CONFIG)], os.environ | env)


def control(env: Mapping[str, str], *what: str) -> int:
    """Ask the running supervisor."""
    return subprocess.call([str(BIN / "supervisorctl"), "-c", str(CONFIG), *what], env=os.environ | env)


def stop(env: Mapping[str, str]) -> int:
    """Stop everything and wait until it has: runs at work are finished first."""
    running = supervisor(env)
    if running is None:
        print(NOT_UP)
        return 0
    print("Stopping; runs at work are finished first, two minutes at most ...", flush=True)
    running.terminate()
    while supervisor(env):
        time.sleep(0.2)
    print("Stopped.")
    return 0


def status(env: Mapping[str, str]) -> int:
    """Show what is up; 0 if all of it is."""
    if supervisor(env) is None:
        print(NOT_UP)
        return 1
    return control(env, "status")


def main(command: str) -> int:
    """Entry point of `make cluster`, `make cluster-stop` and `make cluster-status`."""
    if command not in get_args(Command):
        print(f"say one of: {', '.join(get_args(Command))}", file=sys.stderr)
        return 2
    try:
        env = environment()
        return {"start": start, "stop": stop, "status": status}[command](env)
    except NotPossible as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
