"""Left alone: a feed with good and broken videos, a site that goes away, a daemon that is killed. Nothing is lost."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter

import pytest

from analyzers.catalogue import CATALOGUE
from tests.dagster_server import Server
from tests.media import REPOSITORY, texture, write_video
from tests.media_server import MediaServer, Reply
from tiktok_assets.download import source_key

GOOD, BROKEN = 36, 4
START_SENSOR = """
mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename } }
"""
RUNS = "{ runsOrError { ... on Runs { results { status tags { key value } } } } }"
SETTINGS = {
    "TIKTOK_ASSETS_ALLOW_PRIVATE_ADDRESSES": "true",
    "TIKTOK_ASSETS_RETRIES": "1",
    "TIKTOK_ASSETS_RETRY_WAIT_S": "0.1",
    "TIKTOK_ASSETS_RETRY_PAUSE_S": "0",
}


def site(port: int, replies: dict[str, Reply]) -> MediaServer:
    server = MediaServer(port=port)
    server.replies = replies
    return server


@pytest.fixture(scope="module")
def replies(tmp_path_factory):
    """A feed of 40 entries: 36 small videos, a missing one, a page, an empty file, a damaged one."""
    folder = tmp_path_factory.mktemp("site")
    found = {}
    for i in range(GOOD):
        pictures = [texture(160, 96, seed=i + j) for j in range(12)]
        found[f"/clip{i:02}.mp4"] = Reply(write_video(folder / "clip.mp4", pictures, 24).read_bytes(), pause_s=0.02)
    found["/page.mp4"] = Reply(b"<html>log in</html>", content_type="text/html")
    found["/empty.mp4"] = Reply(b"")
    found["/damaged.mp4"] = Reply(bytes(20_000))
    return found


def start_sensor(server: Server) -> None:
    server.ask(START_SENSOR, selector=server.selector() | {"sensorName": "watchlist"})


def in_progress(server: Server) -> list[str]:
    runs = server.ask(RUNS)["runsOrError"]["results"]
    return [run["status"] for run in runs if run["status"] not in ("SUCCESS", "FAILURE", "CANCELED")]


def command(server: Server, *arguments: str) -> str:
    program = [sys.executable, "-m", "tiktok_assets.cli", *arguments]
    done = subprocess.run(program, env=server.environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def reports(server: Server, keys: list[str]) -> int:
    return sum(server.store.video(key).report_json.exists() for key in keys)


@pytest.mark.timeout(900)
def test_every_entry_of_a_feed_is_accounted_for_once_whatever_is_killed(tmp_path, replies):
    with site(0, replies) as first:
        port = int(first.url("/").rpartition(":")[2].strip("/"))
        names = [*replies, "/missing.mp4"]
        links = [f"http://127.0.0.1:{port}{name}" for name in names]
        items = "".join(f"<item><link>{link}</link></item>" for link in links)
        feed = f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()
        replies["/feed.xml"] = Reply(feed, content_type="application/rss+xml")
        keys = {name: source_key(link) for name, link in zip(names, links, strict=True)}
        assert len(set(keys.values())) == GOOD + BROKEN
        server = Server(tmp_path, **SETTINGS)
        server.store.root.mkdir(parents=True)
        (server.store.root / "watchlist.txt").write_text(f"http://127.0.0.1:{port}/feed.xml\n")
        start_sensor(server)
        all_keys = list(keys.values())
        server.wait(lambda: sum("raw_video" in server.store.video(k).stored() for k in all_keys) >= 5, 120)
    time.sleep(1)  # the site is gone for a while
    with site(port, replies):
        server.wait(lambda: reports(server, all_keys) >= 5, 240)
        server.kill()
        server = Server(tmp_path, **SETTINGS)
        try:
            server.selector()
            with contextlib.suppress(pytest.fail.Exception):
                server.wait(lambda: not in_progress(server), 60)
            command(server, "refresh")
            command(server, "refresh")
            known = command(server, "status")
            runs = server.ask(RUNS)["runsOrError"]["results"]
        finally:
            server.stop()
    assert f"{GOOD + BROKEN} video(s)" in known
    outcomes = {name: server.store.video(key).stored()["raw_video"].status for name, key in keys.items()}
    assert Counter(outcomes.values()) == {"ok": GOOD, "failed": BROKEN}
    for name, key in keys.items():
        video = server.store.video(key)
        if outcomes[name] == "ok":
            report = json.loads(video.report_json.read_text("utf-8"))
            bad = {
                n: r["reason"]
                for n, r in report["analyzer_results"].items()
                if r["status"] in ("failed", "upstream_missing")
            }
            assert bad == {}, name
        else:
            reason = video.outcome("raw_video").reason
            assert name in reason, "the reason names the video"
            assert "\n" not in reason
    assert len(runs) <= 12
    _only_one_column_runs_after_a_new_version(server, [keys[name] for name in outcomes if outcomes[name] == "ok"])


def _only_one_column_runs_after_a_new_version(server: Server, keys: list[str]) -> None:
    times = {}
    for key in keys:
        stored = server.store.video(key).stored()
        old = stored["color_analysis"].path
        os.rename(old, old.with_name(old.name.replace(f"@{stored['color_analysis'].version}@", "@0-older@")))
        times[key] = {name: s.path.stat().st_mtime_ns for name, s in stored.items() if name != "color_analysis"}
    said = command(server, "refresh")
    assert "stale" in said
    for key in keys:
        stored = server.store.video(key).stored()
        assert stored["color_analysis"].version != "0-older"
        assert {n: s.path.stat().st_mtime_ns for n, s in stored.items() if n != "color_analysis"} == times[key]
    assert "up to date" in command(server, "refresh")
    assert set(CATALOGUE) <= set(server.store.video(keys[0]).stored())
