"""Sensors notice what is new and nothing else; refresh makes what is due in few runs."""

import json
import os
import time
from pathlib import Path

import dagster as dg
import pytest

from analyzers.contract import Analysis, Failure, Outcome, Segment
from tests.media import REPOSITORY, still, texture, write_video
from tests.media_server import MediaServer, Reply
from tiktok_assets import automation, freshness, inbox, refresh
from tiktok_assets.definitions import defs
from tiktok_assets.download import source_key
from tiktok_assets.partitions import VIDEOS, VIDEOS_PER_RUN
from tiktok_assets.store import Store
from tiktok_assets.watchlist import INTERVAL_S, WatchlistError, read_watchlist


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOK_ASSETS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TIKTOK_ASSETS_ALLOW_PRIVATE_ADDRESSES", "true")
    monkeypatch.setenv("TIKTOK_ASSETS_RETRY_WAIT_S", "0.01")
    monkeypatch.setenv("TIKTOK_ASSETS_RETRIES", "1")
    return Store.from_environment()


@pytest.fixture
def instance(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((REPOSITORY / "dagster_home" / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def tick(sensor, instance, cursor=None):
    """Evaluate a sensor as the daemon does, and register the partitions that it asks for."""
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=defs.get_repository_def())
    result = sensor(context)
    if isinstance(result, dg.SkipReason):
        return result.skip_message, context.cursor
    for request in result.dynamic_partitions_requests or ():
        assert not set(request.partition_keys) & set(instance.get_dynamic_partitions(VIDEOS)), "no key twice"
        instance.add_dynamic_partitions(VIDEOS, request.partition_keys)
    return result, result.cursor


def keys_of(result) -> list[str]:
    return [key for request in result.dynamic_partitions_requests for key in request.partition_keys]


def put(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


class TestInbox:
    @pytest.fixture(autouse=True)
    def _settles_at_once(self, monkeypatch):
        monkeypatch.setattr(inbox, "SETTLE_S", 0.0)

    def test_new_files_become_one_run_and_are_taken_once(self, store, instance):
        for i in range(3):
            put(store.root / "inbox", f"clip{i}.mp4", b"content %d" % i)
        result, cursor = tick(automation.inbox, instance)
        assert len(result.run_requests) == 1
        keys = keys_of(result)
        assert len(keys) == 3
        assert result.run_requests[0].tags["dagster/asset_partition_range_start"] == keys[0]
        assert result.run_requests[0].tags["dagster/asset_partition_range_end"] == keys[-1]
        assert store.video(keys[0]).source.startswith(str(store.root / "inbox" / "clip"))
        skipped, cursor = tick(automation.inbox, instance, cursor)
        assert "no new file" in skipped
        put(store.root / "inbox", "late.mp4", b"another")
        result, _ = tick(automation.inbox, instance, cursor)
        assert len(keys_of(result)) == 1

    def test_hidden_and_unfinished_files_and_folders_are_left_alone(self, store, instance):
        folder = store.root / "inbox"
        for name in (".hidden.mp4", "clip.mp4.part", "clip.mp4.crdownload", "CLIP.TMP"):
            put(folder, name, b"x")
        (folder / "folder.mp4").mkdir()
        skipped, _ = tick(automation.inbox, instance)
        assert "no new file" in skipped

    def test_a_file_that_still_changes_waits(self, store, instance, monkeypatch):
        monkeypatch.setattr(inbox, "SETTLE_S", 0.5)
        path = put(store.root / "inbox", "growing.mp4", b"x")
        os.utime(path, (1, 1))  # as `cp -p` does: the file looks old while it grows
        skipped, cursor = tick(automation.inbox, instance)
        assert "no new file" in skipped
        time.sleep(0.6)
        result, _ = tick(automation.inbox, instance, cursor)
        assert len(keys_of(result)) == 1

    def test_the_same_content_under_two_names_is_one_video(self, store, instance):
        put(store.root / "inbox", "one.mp4", b"same")
        result, cursor = tick(automation.inbox, instance)
        time.sleep(0.02)
        put(store.root / "inbox", "one.mp4.copy.mp4", b"other")
        again = put(store.root / "inbox" / "x", "one.mp4", b"same")
        again.rename(store.root / "inbox" / "one2.mp4")
        result, _ = tick(automation.inbox, instance, cursor)
        keys = keys_of(result)
        assert len(keys) == len(set(keys))

    def test_a_flood_is_taken_in_portions_of_a_few_runs(self, store, instance):
        total = automation.NEW_PER_TICK + 5
        for i in range(total):
            put(store.root / "inbox", f"clip{i:03}.mp4", b"%d" % i)
        result, cursor = tick(automation.inbox, instance)
        assert len(keys_of(result)) == automation.NEW_PER_TICK
        assert len(result.run_requests) == automation.NEW_PER_TICK // VIDEOS_PER_RUN
        result, cursor = tick(automation.inbox, instance, cursor)
        assert len(keys_of(result)) == 5
        assert len(instance.get_dynamic_partitions(VIDEOS)) == total


def feed(server: MediaServer, path: str, links: list[str]) -> str:
    """An RSS feed with these links on a path of the server; returns its address."""
    items = "".join(f"<item><title>{i}</title><link>{link}</link></item>" for i, link in enumerate(links))
    body = f'<?xml version="1.0"?><rss version="2.0"><channel><title>feed</title>{items}</channel></rss>'
    return server.add(path, Reply(body.encode(), content_type="application/rss+xml"))


def watch(store: Store, *lines: str) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    (store.root / "watchlist.txt").write_text("\n".join(lines) + "\n", "utf-8")


class TestWatchlist:
    def test_a_feed_brings_its_videos_once_in_one_run(self, store, instance):
        with MediaServer() as server:
            links = [server.url(f"/clip{i}.mp4") for i in range(10)]
            watch(store, "# ours", f"{feed(server, '/feed.xml', links)}   # the feed")
            result, cursor = tick(automation.watchlist, instance)
            assert keys_of(result) == [source_key(link) for link in links]
            assert len(result.run_requests) == 1
            assert store.video(keys_of(result)[3]).source == links[3]
            requests = len(server.seen)
            skipped, cursor = tick(automation.watchlist, instance, cursor)
            assert "nothing new" in skipped
            assert len(server.seen) == requests, "an address is not asked again before its time"
            entries = json.loads(cursor)
            for entry in entries.values():
                entry["due"] = 0.0
            feed(server, "/feed.xml", [server.url("/new.mp4"), *links])
            result, _ = tick(automation.watchlist, instance, json.dumps(entries))
            assert keys_of(result) == [source_key(server.url("/new.mp4"))]
            assert not [seen for seen in server.seen if seen.path.endswith(".mp4")], "videos are listed, not opened"

    def test_a_video_in_two_feeds_is_one_video(self, store, instance):
        with MediaServer() as server, MediaServer(host="127.0.0.2") as other:
            links = [server.url("/a.mp4"), server.url("/b.mp4")]
            watch(store, feed(server, "/one.xml", links), feed(other, "/two.xml", [*links, server.url("/c.mp4")]))
            result, _ = tick(automation.watchlist, instance)
            assert sorted(keys_of(result)) == sorted(source_key(server.url(f"/{n}.mp4")) for n in "abc")

    def test_one_look_per_host_and_tick(self, store, instance):
        with MediaServer() as server:
            watch(store, *(feed(server, f"/{i}.xml", [server.url(f"/{i}.mp4")]) for i in range(3)))
            found, cursor = [], None
            for _ in range(3):
                result, cursor = tick(automation.watchlist, instance, cursor)
                found += keys_of(result)
                assert len(keys_of(result)) == 1
            assert len(set(found)) == 3

    def test_a_failing_address_is_asked_less_and_less_and_the_others_go_on(self, store, instance):
        with MediaServer() as server, MediaServer(host="127.0.0.2") as other:
            bad = server.add("/bad.xml", Reply(b"", statuses=[503] * 50))
            good = feed(other, "/good.xml", [other.url("/a.mp4")])
            watch(store, bad, good)
            before = time.time()
            result, cursor = tick(automation.watchlist, instance)
            assert len(keys_of(result)) == 1
            entry = json.loads(cursor)[bad]
            assert entry["failures"] == 1
            assert bad in entry["said"]
            assert entry["due"] >= before + INTERVAL_S
            entries = json.loads(cursor)
            entries[bad]["due"] = 0.0
            _, cursor = tick(automation.watchlist, instance, json.dumps(entries))
            again = json.loads(cursor)[bad]
            assert again["failures"] == 2
            assert again["due"] - time.time() > 1.5 * (entry["due"] - before)

    def test_a_feed_longer_than_a_tick_may_take_is_finished_by_the_next_ones(self, store, instance, monkeypatch):
        monkeypatch.setattr(automation, "NEW_PER_TICK", 4)
        with MediaServer() as server:
            watch(store, feed(server, "/feed.xml", [server.url(f"/clip{i}.mp4") for i in range(10)]))
            sizes, cursor = [], None
            for _ in range(3):
                result, cursor = tick(automation.watchlist, instance, cursor)
                sizes.append(len(keys_of(result)))
            assert sizes == [4, 4, 2]

    @pytest.mark.parametrize("content", ["not an address", "ftp://example.org/x", "file:///etc/passwd", "@user name"])
    def test_a_bad_entry_is_named(self, content, tmp_path):
        path = tmp_path / "watchlist.txt"
        path.write_text(f"https://example.org/feed.xml\n{content}\n")
        with pytest.raises(WatchlistError, match="is not an address"):
            read_watchlist(path)

    def test_short_forms_and_yaml(self, tmp_path):
        path = tmp_path / "watchlist.yaml"
        path.write_text('- "@some.user"\n- "tag:katzen"\n- https://example.org/feed.xml\n- "@some.user"\n')
        assert read_watchlist(path) == [
            "https://www.tiktok.com/@some.user",
            "https://www.tiktok.com/tag/katzen",
            "https://example.org/feed.xml",
        ]
        path.write_text("a: mapping")
        with pytest.raises(WatchlistError, match="list"):
            read_watchlist(path)


def current(store: Store, key: str) -> None:
    """Put outcomes of the present code for every asset of a video into the store."""
    video = store.video(key)
    video.path.mkdir(parents=True, exist_ok=True)
    (video.path / "video.mp4").write_bytes(b"x")
    found = Outcome("ok", 0.1, analysis=Analysis(segments=(Segment(0.0, 1.0, key),), backend="test"))
    left = set(freshness.PER_VIDEO)
    while left:
        for asset in [a for a in left if not left & set(freshness.upstream()[a])]:
            inputs = freshness.inputs_of(asset, video.stored())
            video.write(asset, freshness.versions()[asset], found, inputs)
            left.remove(asset)


class TestRefresh:
    def test_nothing_is_due_when_all_is_current(self, store):
        current(store, "a")
        assert refresh.plan(store, ["a"], freshness.DUE) == []

    def test_a_new_version_makes_its_column_and_what_follows_stale(self, store, monkeypatch):
        for key in "abc":
            current(store, key)
        bumped = dict(freshness.versions()) | {"color_analysis": "99-new"}
        monkeypatch.setattr(freshness, "versions", lambda: bumped)
        stored = store.video("a").stored()
        states = {asset: freshness.state(asset, stored) for asset in freshness.PER_VIDEO}
        assert [asset for asset, state in states.items() if state == "stale"] == ["color_analysis"]
        (run,) = refresh.plan(store, list("abc"), ["stale"])
        assert run.videos == 3
        assert set(run.selection()) == freshness.downstream_of({"color_analysis"})
        assert "report" in run.selection()
        assert "cut_analysis" not in run.selection()

    def test_an_unchanged_result_does_not_make_the_report_stale(self, store):
        current(store, "a")
        video = store.video("a")
        again = video.outcome("color_analysis")
        video.write("color_analysis", "99-new", again, freshness.inputs_of("color_analysis", video.stored()))
        assert freshness.state("report", video.stored()) == "ok"

    def test_a_changed_result_does(self, store):
        current(store, "a")
        video = store.video("a")
        other = Outcome("ok", 0.1, analysis=Analysis(segments=(Segment(0.0, 1.0, "other"),), backend="test"))
        inputs = freshness.inputs_of("color_analysis", video.stored())
        video.write("color_analysis", freshness.versions()["color_analysis"], other, inputs)
        assert freshness.state("report", video.stored()) == "stale"

    def test_gaps_do_not_make_many_runs(self, store):
        keys = [f"v{i:03}" for i in range(60)]
        for i, key in enumerate(keys):
            if i % 4:
                current(store, key)
        runs = refresh.plan(store, keys, ["missing"])
        assert sum(run.videos for run in runs) == 15
        assert len(runs) == 1
        assert (runs[0].first, runs[0].last) == ("v000", "v056")

    def test_runs_have_at_most_the_videos_that_a_run_takes(self, store):
        keys = [f"v{i:03}" for i in range(3 * VIDEOS_PER_RUN + 1)]
        runs = refresh.plan(store, keys, ["missing"])
        assert [run.videos for run in runs] == [VIDEOS_PER_RUN] * 3 + [1]

    def test_what_cannot_be_had_is_not_asked_for_again_and_again(self, store):
        video = store.video("gone")
        gone = Outcome("failed", 0.1, "404", failure=Failure("unavailable", "404", False))
        video.write("raw_video", freshness.versions()["raw_video"], gone)
        assert refresh.plan(store, ["gone"], freshness.DUE) == []

    def test_the_schedules_ask_for_runs_that_leave_current_videos_alone(self, store, instance):
        for key in "ab":
            current(store, key)
        instance.add_dynamic_partitions(VIDEOS, ["a", "new", "b"])
        context = dg.build_schedule_context(instance, repository_def=defs.get_repository_def())
        requests = automation.nightly_backfill(context)
        assert len(requests) == 1
        assert requests[0].tags[automation.REFRESH_TAG] == "true"
        assert requests[0].tags["dagster/priority"] == "-10"
        assert isinstance(automation.refresh_stale(context), dg.SkipReason)
        assert isinstance(automation.retry_failed(context), dg.SkipReason)

    def test_a_second_sweep_looks_only_at_what_has_changed(self, store, monkeypatch):
        keys = [f"v{i}" for i in range(6)]
        for key in keys:
            current(store, key)
            for folder in (store.video(key).path / "outcomes", store.video(key).path):
                os.utime(folder, (1, 1))
        assert refresh.plan_what_changed(store, keys, ["stale"]) == []
        looked_at = []
        due = freshness.due
        monkeypatch.setattr(refresh, "due", lambda video, *rest: looked_at.append(video.key) or due(video, *rest))
        assert refresh.plan_what_changed(store, keys, ["stale"]) == []
        assert looked_at == []
        write = store.video("v3").stored()["color_analysis"].path
        write.rename(write.with_name(write.name.replace("@", "@0-", 1)))
        (run,) = refresh.plan_what_changed(store, [*keys, "new"], ["stale"])
        assert (run.first, run.videos) == ("v3", 1)
        assert set(looked_at) == {"v3", "new"}
        looked_at.clear()
        os.utime(write.parent, (1, 1))
        (run,) = refresh.plan_what_changed(store, keys, ["stale"])
        assert set(looked_at) == {"v3"}, "what was not settled is looked at again"
        looked_at.clear()
        bumped = dict(freshness.versions()) | {"color_analysis": "99-new"}
        monkeypatch.setattr(freshness, "versions", lambda: bumped)
        monkeypatch.setattr(refresh, "versions", lambda: bumped)
        (run,) = refresh.plan_what_changed(store, keys, ["stale"])
        assert run.videos == 6, "new code makes it look at all"

    def test_everything_that_runs_by_itself_is_off_until_somebody_switches_it_on(self):
        for sensor in automation.SENSORS:
            assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
        for schedule in automation.SCHEDULES:
            assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
            assert schedule.description


class TestCache:
    @pytest.mark.parametrize("own_folder", [False, True], ids=["beside the videos", "in a folder of the machine"])
    def test_the_least_recently_opened_go_first_and_none_in_use(self, store, tmp_path, own_folder):
        from tiktok_assets.cache import prune

        store = Store(store.root, tmp_path / "cache") if own_folder else store
        file = write_video(tmp_path / "clip.mp4", still(texture(120, 80), 0.3))
        for i, key in enumerate("abc"):
            video = store.video(key)
            video.path.mkdir(parents=True)
            (video.path / "video.mp4").write_bytes(file.read_bytes())
            video.clip()
            opened = time.time() - 10_000 + 1000 * i
            os.utime(video.media / "manifest.json", (opened, opened))
        store.video("a").clip()
        size = sum(f.stat().st_size for f in store.video("b").media.iterdir())
        freed = prune(store, budget=2 * size + 100, in_use_s=3600)
        assert freed.videos == 1
        assert not store.video("b").media.exists()
        assert prune(store, budget=0, in_use_s=3600).videos == 1
        assert store.video("a").media.exists()
        assert len(store.video("b").clip().luma) == 9
