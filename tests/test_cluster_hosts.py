"""Workers on two hosts that share nothing but Redis, Postgres and the store, which each has mounted elsewhere.

Hosts are network namespaces with a mount namespace and a host name of their own, on a bridge; this machine is the
third. Workers are started by the command of compose.yaml, and decode into a folder that only their host has.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from analyzers.clip import MANIFEST
from tests.cluster import Cluster
from tests.media import SAMPLE, texture, write_video
from tests.media_server import MediaServer, Reply
from tests.test_cluster import attempts, made_after_all
from tiktok_assets.cluster.launcher import WORKER_TAG
from tiktok_assets.project import CLUSTER_HOME

pytestmark = pytest.mark.timeout(600)

NETWORK, HERE = "10.77.0", "10.77.0.1"
BRIDGE = "tka-bridge"
HOSTS = ("tka-1", "tka-2")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """Two namespaces on a bridge. Skips where they cannot be made."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces need root and iproute2")
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        ip("addr", "add", f"{HERE}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, host in enumerate(HOSTS, 2):
            ip("netns", "add", host)
            ip("link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", host)
            ip("link", "set", host, "master", BRIDGE, "up")
            ip("-n", host, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            ip("-n", host, "link", "set", "eth0", "up")
            ip("-n", host, "link", "set", "lo", "up")
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


def forward(port: int) -> socket.socket:
    """Let the hosts reach a port of this machine's loopback, where Redis and Postgres listen."""
    listening = socket.create_server((HERE, port))

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                end.close()

    def accept() -> None:
        while True:
            try:
                outside, _ = listening.accept()
                inside = socket.create_connection(("127.0.0.1", port))
            except OSError:
                return
            for pair in ((outside, inside), (inside, outside)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listening


@dataclass
class Host:
    """A worker in a namespace. It sees the store at a path of its own, and nothing of this machine's test folders."""

    name: str
    cluster: Cluster
    folder: Path
    process: subprocess.Popen = field(init=False)

    def __post_init__(self) -> None:
        own = Path("/mnt") / self.name
        home, forgotten = own / "home", own / "cache" / "forgotten"
        mounts = [
            "mount --make-rprivate /",
            "mount -t tmpfs tmpfs /mnt",
            f"mkdir -p {own}/store {home} {forgotten}",
            f"touch -d yesterday {forgotten}/{MANIFEST}",
            f"mount --bind {shlex.quote(str(self.cluster.store.root))} {own}/store",
            f"cp {shlex.quote(self.cluster.environment['DAGSTER_HOME'])}/dagster.yaml {home}",
            f"mount -t tmpfs tmpfs {shlex.quote(str(self.folder))}",
            f"hostname {self.name}",
        ]
        worker = yaml.safe_load((CLUSTER_HOME / "compose.yaml").read_text("utf-8"))["services"]["worker-gpu"]["command"]
        environment = self.cluster.environment | {
            "PATH": f"{self.cluster.environment['BIN']}:{os.environ['PATH']}",
            "DAGSTER_HOME": str(home),
            "TIKTOK_ASSETS_DATA": str(own / "store"),
            "TIKTOK_ASSETS_WEIGHTS": str(own / "store" / "weights"),
            "TIKTOK_ASSETS_CACHE": str(own / "cache"),
            "TIKTOK_ASSETS_CACHE_BYTES": "1",
            **{
                name: self.cluster.environment[name].replace("127.0.0.1", HERE)
                for name in ("TIKTOK_ASSETS_REDIS_URL", "TIKTOK_ASSETS_POSTGRES_URL")
            },
        }
        script = " && ".join([*mounts, f"exec {worker}"])
        with (self.cluster.state / f"{self.name}.log").open("w") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, "unshare", "--mount", "--uts", "sh", "-c", script],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def decoded(self) -> set[str]:
        """Folders of the videos whose arrays lie in this host's own cache."""
        cache = Path(f"/proc/{self.process.pid}/root/mnt/{self.name}/cache")
        return {manifest.parent.name for manifest in cache.glob(f"*/{MANIFEST}")}

    def stop(self) -> None:
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True).stdout.split()
        for pid in pids:
            subprocess.run(["kill", "-9", pid], capture_output=True)
        self.process.wait(10)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, network):
    cluster = Cluster(tmp_path_factory.mktemp("hosts"), workers=1, TIKTOK_ASSETS_ALLOW_PRIVATE_ADDRESSES="true")
    try:
        cluster.selector()
        cluster.control("stop", "worker:*")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def hosts(cluster):
    ports = (int(cluster.environment[f"{name}_PORT"]) for name in ("REDIS", "POSTGRES"))
    hosts: list[Host] = []
    forwards = []
    try:
        cluster.store.root.mkdir(exist_ok=True)
        forwards = [forward(port) for port in ports]
        hosts += [Host(name, cluster, cluster.store.root.parent) for name in HOSTS]
        for name in HOSTS:
            log = cluster.state / f"{name}.log"
            cluster.wait(lambda log=log: "ready." in log.read_text(), 90)
        yield hosts
    finally:
        for host in hosts:
            host.stop()
        for listening in forwards:
            listening.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread that accepts
            listening.close()


@pytest.fixture(scope="module")
def site(network):
    with MediaServer(HERE) as server:
        yield server


def host_of(cluster: Cluster, run: str) -> str:
    with cluster.instance() as instance:
        return instance.get_run_by_id(run).tags[WORKER_TAG].partition("@")[2]


def test_two_hosts_share_the_work_and_nothing_but_the_store(cluster, hosts, site, tmp_path):
    videos = []
    for number in range(4):
        clip = write_video(tmp_path / f"{number}.mp4", [texture(320, 180, seed=500 + number)] * 60)
        videos.append(cluster.add(site.add(f"/{number}.mp4", Reply(clip.read_bytes()))))
    runs = [cluster.launch(video, "cut_analysis", "text_overlay", "report") for video in videos]
    for run in runs:
        assert cluster.ended(run, 200) == "SUCCESS"
    assert {host_of(cluster, run) for run in runs} == set(HOSTS)
    assert all(video.report_page.exists() for video in videos)
    assert not any(video.media.exists() for video in videos), "decoded arrays stay off the shared storage"
    decoded = [host.decoded() for host in hosts]
    assert not set.intersection(*decoded)
    assert set.union(*decoded) == {video.path.name for video in videos}, "and what nobody used for long was deleted"


def test_a_host_that_is_cut_off_loses_no_video(cluster, hosts, site):
    video = cluster.add(site.add("/sample.mp4", Reply(SAMPLE.read_bytes())))
    run = cluster.launch(video)
    cluster.wait(lambda: "cut_analysis" in video.stored(), 120)
    lost = host_of(cluster, run)
    ip("link", "set", lost, "down")
    try:
        assert made_after_all(cluster, run, 300)[0] == "FAILURE"
        assert attempts(cluster, run).count("SUCCESS") == 1
        assert video.report_page.exists()
        with cluster.instance() as instance:
            (good,) = [r for r in instance.get_run_group(run)[1] if r.status.value == "SUCCESS"]
        assert host_of(cluster, good.run_id) == next(name for name in HOSTS if name != lost)
    finally:
        ip("link", "set", lost, "up")
