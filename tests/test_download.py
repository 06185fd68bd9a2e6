"""fetch() with the real yt-dlp against a server on this machine that also fails, and with local files."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.media_server import MediaServer, Reply
from tiktok_assets import addresses
from tiktok_assets.download import (
    INFO_FIELDS,
    DownloadError,
    DownloadSettings,
    FetchedVideo,
    SettingsError,
    choose_format,
    fetch,
    source_key,
)
from tiktok_assets.download_errors import translated

WIDTH_PX, HEIGHT_PX, FPS = 96, 160, 10
SETTINGS = DownloadSettings(allow_private_addresses=True, retry_wait_s=0.01, retries=3, socket_timeout_s=5)
PUBLIC_ONLY = DownloadSettings(retry_wait_s=0.01, retries=1, socket_timeout_s=5)
HTML = "text/html; charset=utf-8"


@functools.cache
def moving_squares(duration_s: float = 1.0) -> bytes:
    """An mp4 of a white square on noise (so that it has some size); red picture in its first tenth, blue after."""
    import io

    import av

    noise = np.random.default_rng(1)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for number in range(round(duration_s * FPS)):
            picture = noise.integers(0, 90, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
            picture[..., 2 if number >= duration_s * FPS / 10 else 0] += 150
            picture[20:40, number % 60 : number % 60 + 20] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MediaServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with MediaServer() as running:
        yield running


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "My Clip.MP4"
    path.write_bytes(moving_squares())
    return path


def failure(
    source: str, into: Path, settings: DownloadSettings = SETTINGS, kind: str = "", shown: str | None = None
) -> DownloadError:
    """The error of a fetch that must fail, after the checks that every message has to pass."""
    with pytest.raises(DownloadError) as caught:
        fetch(source, into, settings)
    message = str(caught.value)
    assert caught.value.kind == kind, message
    assert (source if shown is None else shown) in message
    assert "Traceback" not in message
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", message)
    assert "please report" not in message
    assert len(message) < 700
    assert not (into / "info.json").exists()
    if not caught.value.retryable:
        assert not (into / ".partial").exists()
    return caught.value


def assert_complete(video: FetchedVideo, into: Path, content: bytes) -> None:
    """The folder holds the whole video, its info and its thumbnail, and nothing unfinished."""
    assert video.video_path.read_bytes() == content
    assert video.bytes == len(content)
    assert json.loads((into / "info.json").read_text()) == video.info
    assert set(video.info) == set(INFO_FIELDS)
    assert (video.info["width"], video.info["height"]) == (WIDTH_PX, HEIGHT_PX)
    assert video.thumbnail_path == into / "thumbnail.jpg"
    assert {path.name for path in into.iterdir()} == {video.video_path.name, "info.json", "thumbnail.jpg"}


# Local files


def test_local_file_is_linked_and_stays_as_it_is(clip: Path, tmp_path: Path) -> None:
    before = clip.stat()
    video = fetch(str(clip), tmp_path / "into", SETTINGS)
    assert_complete(video, tmp_path / "into", moving_squares())
    assert (video.how, video.video_path.name) == ("linked", "video.mp4")
    assert os.path.samefile(video.video_path, clip)
    assert (clip.stat().st_mtime_ns, clip.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
    assert (video.info["title"], video.info["extractor"], video.info["webpage_url"]) == ("My Clip", "local", None)
    assert video.info["duration"] == pytest.approx(1.0, abs=0.05)


def test_local_file_is_copied_where_it_cannot_be_linked(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    video = fetch(str(clip), tmp_path / "into", SETTINGS)
    assert video.how == "copied"
    assert_complete(video, tmp_path / "into", moving_squares())
    video.video_path.write_bytes(b"overwritten")
    assert clip.read_bytes() == moving_squares()


def test_a_symbolic_link_brings_the_file_behind_it(clip: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    video = fetch(str(link), tmp_path / "into", SETTINGS)
    assert not video.video_path.is_symlink()
    assert os.path.samefile(video.video_path, clip)


def test_fetching_again_replaces_what_was_there(clip: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    fetch(str(clip), into, SETTINGS)
    assert_complete(fetch(str(clip), into, SETTINGS), into, moving_squares())
    other = tmp_path / "other.m4v"
    other.write_bytes(moving_squares(2.0))
    video = fetch(str(other), into, SETTINGS)
    assert_complete(video, into, moving_squares(2.0))
    assert video.video_path.name == "video.m4v"
    assert clip.read_bytes() == moving_squares()


def test_a_name_without_extension_is_kept_as_bin(clip: Path, tmp_path: Path) -> None:
    plain = clip.rename(tmp_path / "clip")
    assert fetch(str(plain), tmp_path / "into", SETTINGS).video_path.name == "video.bin"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("missing.mp4", None, "no_such_file"),
        ("folder", "folder", "no_such_file"),
        ("fifo", "fifo", "no_such_file"),
        ("empty.mp4", b"", "not_a_video"),
        ("random.mp4", np.random.default_rng(7).bytes(20_000), "not_a_video"),
        ("cut_off.mp4", moving_squares()[:1500], "not_a_video"),
        ("page.mp4", b"<!DOCTYPE html><html><body>Sorry</body></html>" * 50, "not_a_video"),
        ("words.mp4", b"only some words\n" * 500, "not_a_video"),
        ("playlist.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n", "not_a_video"),
        ("list.mp4", b"ffconcat version 1.0\nfile clip.mp4\n", "not_a_video"),
    ],
)
def test_files_that_are_no_video(name: str, content: bytes | str | None, kind: str, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(moving_squares())
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content == "fifo":
        os.mkfifo(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    error = failure(str(path), tmp_path / "into", kind=kind)
    assert not error.retryable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file(clip: Path, tmp_path: Path) -> None:
    clip.chmod(0)
    failure(str(clip), tmp_path / "into", kind="no_such_file")


def test_a_still_picture_is_no_video(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(tmp_path / "still.mp4", "PNG")
    failure(str(tmp_path / "still.mp4"), tmp_path / "into", kind="not_a_video")


def test_sound_alone_has_no_thumbnail(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(16_000) * 0.17) * 9000).astype("<i2").tobytes())
    video = fetch(str(tmp_path / "tone.wav"), tmp_path / "into", SETTINGS)
    assert video.thumbnail_path is None
    assert (video.info["duration"], video.info["width"]) == (1.0, None)


@pytest.mark.parametrize(
    ("limit", "kind", "variable"),
    [
        ({"max_bytes": 1000}, "too_large", "TIKTOK_ASSETS_MAX_BYTES"),
        ({"max_duration_s": 0.5}, "too_long", "TIKTOK_ASSETS_MAX_DURATION_S"),
    ],
)
def test_limits_hold_for_local_files(
    limit: dict[str, float], kind: str, variable: str, clip: Path, tmp_path: Path
) -> None:
    assert variable in str(failure(str(clip), tmp_path / "into", DownloadSettings(**limit), kind))  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_written(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "into").write_text("a file where the folder should be")
    with pytest.raises(DownloadError) as caught:
        fetch(str(clip), tmp_path / "into", SETTINGS)
    assert caught.value.kind == "not_stored"


# URLs: what goes well


def test_a_url(server: MediaServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = server.add("/a%20clip.mp4?token=secret", Reply(moving_squares()))
    into = tmp_path / "in to $HOME %(id)s ~"
    seen: list[tuple[int, int | None]] = []
    video = fetch(url, into, SETTINGS, lambda done, total: seen.append((done, total)))
    assert_complete(video, into, moving_squares())
    assert (video.how, video.video_path.name, video.info["title"]) == ("downloaded", "video.mp4", "a clip")
    assert video.info["webpage_url"] == url.partition("?")[0]
    assert "secret" not in (into / "info.json").read_text()
    assert seen[-1] == (len(moving_squares()), len(moving_squares()))
    assert seen == sorted(seen)
    assert capfd.readouterr() == ("", "")


def test_the_thumbnail_is_a_frame_at_a_tenth(server: MediaServer, tmp_path: Path) -> None:
    from PIL import Image

    video = fetch(server.add("/clip.mp4", Reply(moving_squares(2.0))), tmp_path, SETTINGS)
    assert video.thumbnail_path is not None
    picture = Image.open(video.thumbnail_path)
    red, _, blue = np.asarray(picture).reshape(-1, 3).mean(axis=0)
    assert (picture.format, picture.size, "progressive" in picture.info) == ("JPEG", (WIDTH_PX, HEIGHT_PX), False)
    assert blue > red + 50


HOSTILE_PAGE = """<html><head><title>Evil &#27;[31mred&#7; ../../../etc {kind}\u202e</title>
<meta property="og:description" content="{long}"></head>
<body><video src="/media.mp4" poster="/poster"></video></body></html>"""


@pytest.mark.parametrize("poster", ["good", "missing", "broken"])
def test_a_page_with_a_hostile_title_and_a_thumbnail(poster: str, server: MediaServer, tmp_path: Path) -> None:
    import io

    from PIL import Image

    page = HOSTILE_PAGE.replace("{long}", "x" * 50_000).encode()
    url = server.add("/watch?v=7&session=hidden", Reply(page, HTML))
    server.add("/media.mp4", Reply(moving_squares()))
    if poster != "missing":
        file = io.BytesIO()
        Image.new("RGB", (1600, 800), (0, 255, 0)).save(file, "PNG")
        content = file.getvalue() if poster == "good" else file.getvalue()[:200]
        server.add("/poster", Reply(content, "image/png"))
    into = tmp_path / "into"
    video = fetch(url, into, SETTINGS)
    assert_complete(video, into, moving_squares())
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", video.info["title"] + video.info["description"])
    assert video.info["title"].startswith("Evil red ../../../etc")
    assert len(video.info["description"]) == 10_000
    assert video.info["webpage_url"] == server.url("/watch?v=7")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into"]
    assert video.thumbnail_path is not None
    size_px = Image.open(video.thumbnail_path).size
    assert size_px == ((640, 320) if poster == "good" else (WIDTH_PX, HEIGHT_PX))


def test_cookies_are_sent_and_their_file_is_not_written(server: MediaServer, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tmagic-cookie\n")
    before = cookies.read_text()
    url = server.add("/clip.mp4", Reply(moving_squares(), headers={"Set-Cookie": "session=changed-by-server"}))
    fetch(url, tmp_path / "into", DownloadSettings(allow_private_addresses=True, cookies_file=cookies))
    assert server.seen[0].cookie == "session=magic-cookie"
    assert cookies.read_text() == before
    assert "cookie" not in (tmp_path / "into" / "info.json").read_text()


@pytest.mark.parametrize("content", [None, "no cookies at all\n", '{"name": "a"}', b"\xff\xfe"])
def test_a_cookies_file_that_is_none(content: str | bytes | None, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    if content is not None:
        cookies.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match=re.escape(str(cookies))):
        fetch("http://127.0.0.1:9/x.mp4", tmp_path / "into", DownloadSettings(cookies_file=cookies))


# URLs: what fails for a while


@pytest.mark.parametrize(
    "statuses", [[503, 503], [200, 503, 200, 503], [429], [200, 500]], ids=["page", "media", "limited", "once"]
)
def test_errors_that_pass(statuses: list[int], server: MediaServer, tmp_path: Path) -> None:
    reply = Reply(moving_squares(), statuses=statuses)
    assert_complete(fetch(server.add("/clip.mp4", reply), tmp_path, SETTINGS), tmp_path, moving_squares())
    assert reply.statuses == []


def test_errors_that_stay(server: MediaServer, tmp_path: Path) -> None:
    url = server.add("/clip.mp4", Reply(moving_squares(), statuses=[503] * 99))
    assert failure(url, tmp_path, kind="network").retryable
    assert len(server.seen) == SETTINGS.retries + 1


def test_a_connection_that_is_cut_is_resumed(server: MediaServer, tmp_path: Path) -> None:
    url = server.add("/clip.mp4", Reply(moving_squares(), cut_after_bytes=50_000))
    assert_complete(fetch(url, tmp_path, SETTINGS), tmp_path, moving_squares())
    assert server.range_starts("/clip.mp4") == [None, None, None, 50_000]


def test_a_server_that_cannot_resume_is_asked_for_all(server: MediaServer, tmp_path: Path) -> None:
    reply = Reply(moving_squares(), cut_after_bytes=50_000)
    url = server.add("/clip.mp4", reply)
    failure(url, tmp_path, DownloadSettings(allow_private_addresses=True, retries=0), "network")
    reply.cut_after_bytes, reply.ignores_ranges = None, True
    assert_complete(fetch(url, tmp_path, SETTINGS), tmp_path, moving_squares())
    assert server.range_starts("/clip.mp4")[-1] == 50_000


def test_a_slow_server(server: MediaServer, tmp_path: Path) -> None:
    url = server.add("/clip.mp4", Reply(moving_squares(), chunk_bytes=20_000, pause_s=0.02))
    assert_complete(fetch(url, tmp_path, SETTINGS), tmp_path, moving_squares())


def test_a_server_that_falls_silent(server: MediaServer, tmp_path: Path) -> None:
    url = server.add("/clip.mp4", Reply(moving_squares(), chunk_bytes=20_000, pause_s=1.0))
    settings = DownloadSettings(allow_private_addresses=True, retries=0, socket_timeout_s=0.2)
    assert failure(url, tmp_path, settings, "network").retryable


KILLED = """
import sys
from pathlib import Path
from tiktok_assets.download import DownloadSettings, fetch
fetch(sys.argv[1], Path(sys.argv[2]), DownloadSettings(allow_private_addresses=True))
"""


@pytest.fixture
def killed_halfway(server: MediaServer, tmp_path: Path) -> str:
    """The URL of a clip of which a process that was killed (SIGKILL) left a part in tmp_path/into."""
    url = server.add("/clip.mp4", Reply(moving_squares(), chunk_bytes=10_000, pause_s=0.05))
    process = subprocess.Popen([sys.executable, "-c", KILLED, url, str(tmp_path / "into")])
    deadline_s = time.monotonic() + 30
    while sum(path.stat().st_size for path in tmp_path.glob("into/.partial/*.part")) < 30_000:
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.name for path in (tmp_path / "into").iterdir()] == [".partial"]
    server.replies["/clip.mp4"].pause_s = 0
    server.seen.clear()
    return url


def test_a_killed_download_is_resumed_by_the_next_call(
    killed_halfway: str, server: MediaServer, tmp_path: Path
) -> None:
    into = tmp_path / "into"
    assert_complete(fetch(killed_halfway, into, SETTINGS), into, moving_squares())
    start = server.range_starts("/clip.mp4")[-1]
    assert start is not None
    assert 30_000 <= start < len(moving_squares())


def test_a_download_that_was_killed_before_its_last_step(
    killed_halfway: str, server: MediaServer, tmp_path: Path
) -> None:
    [part] = (tmp_path / "into" / ".partial").glob("*.part")
    part.write_bytes(moving_squares())
    into = tmp_path / "into"
    assert_complete(fetch(killed_halfway, into, SETTINGS), into, moving_squares())
    assert len(moving_squares()) in server.range_starts("/clip.mp4")


@pytest.mark.usefixtures("killed_halfway")
def test_what_another_source_left_is_not_mixed_in(server: MediaServer, tmp_path: Path) -> None:
    into, other = tmp_path / "into", moving_squares(2.0)
    assert_complete(fetch(server.add("/other.mp4", Reply(other)), into, SETTINGS), into, other)
    assert server.range_starts("/other.mp4") == [None, None]


# URLs: what cannot be had


@pytest.mark.parametrize("excess", [40, 5000])  # yt-dlp means to let less than 100 pass
def test_a_length_that_is_not_kept(excess: int, server: MediaServer, tmp_path: Path) -> None:
    url = server.add("/clip.mp4", Reply(moving_squares(), promised_bytes=len(moving_squares()) + excess))
    assert failure(url, tmp_path, kind="network").retryable
    assert not (tmp_path / "video.mp4").exists()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "unavailable"), (410, "unavailable"), (401, "login_needed"), (403, "forbidden"), (451, "region_blocked")],
)
def test_what_a_status_means(status: int, kind: str, server: MediaServer, tmp_path: Path) -> None:
    url = server.add("/clip.mp4", Reply(statuses=[status] * 9))
    assert str(status) in str(failure(url, tmp_path, kind=kind))
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        (HTML, b"<html><body>The video is gone.</body></html>", "unsupported_url"),
        ("video/mp4", b"<html><body>The video is gone.</body></html>", "not_a_video"),
        ("video/mp4", b"\x00" * 5000, "not_a_video"),
        ("application/json", b'{"error": "gone"}', "not_a_video"),
        ("application/vnd.apple.mpegurl", b"#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n", "unsupported_url"),
        (HTML, b"<html><body><video src='/1.mp4'></video><video src='/2.mp4'></video></body></html>", "several_videos"),
    ],
    ids=["page", "page as video", "zeros", "json", "playlist", "two videos"],
)
def test_what_is_no_single_video(
    content_type: str, body: bytes, kind: str, server: MediaServer, tmp_path: Path
) -> None:
    failure(server.add("/clip.mp4", Reply(body, content_type)), tmp_path, kind=kind)


def test_nobody_listens(server: MediaServer, tmp_path: Path) -> None:
    with MediaServer() as stopped:
        url = stopped.url("/clip.mp4")
    assert failure(url, tmp_path, kind="network").retryable


def test_an_endless_file_is_stopped_at_the_size_cap(server: MediaServer, tmp_path: Path) -> None:
    reply = Reply(moving_squares() * 40, promised_bytes=None, hides_length=True)
    settings = DownloadSettings(allow_private_addresses=True, max_bytes=200_000)
    failure(server.add("/clip.mp4", reply), tmp_path, settings, "too_large")


def test_the_size_cap_by_the_announced_length(server: MediaServer, tmp_path: Path) -> None:
    url = server.add("/clip.mp4", Reply(moving_squares(), chunk_bytes=5000, pause_s=0.1))
    seen: list[int] = []
    settings = DownloadSettings(allow_private_addresses=True, max_bytes=100_000)
    with pytest.raises(DownloadError, match="TIKTOK_ASSETS_MAX_BYTES"):
        fetch(url, tmp_path, settings, lambda done, _: seen.append(done))
    assert seen == []


def test_the_duration_cap_after_the_download(server: MediaServer, tmp_path: Path) -> None:
    settings = DownloadSettings(allow_private_addresses=True, max_duration_s=1.5)
    failure(server.add("/clip.mp4", Reply(moving_squares(2.0))), tmp_path, settings, "too_long")


def test_the_duration_cap_before_the_download(server: MediaServer, tmp_path: Path) -> None:
    media = server.add("/media.mp4", Reply(moving_squares()))
    about = {"@context": "https://schema.org", "@type": "VideoObject", "name": "A", "duration": "PT2H"}
    script = json.dumps(about | {"contentUrl": media, "thumbnailUrl": server.url("/poster")})
    page = f'<html><head><title>A</title><script type="application/ld+json">{script}</script></head></html>'
    failure(server.add("/page", Reply(page.encode(), HTML)), tmp_path, kind="too_long")
    assert server.range_starts("/media.mp4") == [None]  # looked at; a download would be a second request


# Addresses


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd",
        "file:/etc/passwd",
        "ftp://example.com/clip.mp4",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "ytsearch:cats",
        "rtmp://example.com/live",
        "http://",
        "http:///clip.mp4",
        "http://[::1/clip.mp4",
        "http://example.com:99999/clip.mp4",
    ],
)
def test_refused_schemes_and_malformed_addresses(source: str, tmp_path: Path) -> None:
    failure(source, tmp_path, kind="unsupported_url")


def test_private_addresses_are_refused_by_default(server: MediaServer, tmp_path: Path) -> None:
    error = failure(server.add("/clip.mp4", Reply(moving_squares())), tmp_path, PUBLIC_ONLY, "refused_address")
    assert "TIKTOK_ASSETS_ALLOW_PRIVATE_ADDRESSES" in str(error)
    assert not error.retryable
    assert server.seen == []


@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
)
def test_other_spellings_of_a_private_address(host: str, server: MediaServer, tmp_path: Path) -> None:
    port = server.url("").rpartition(":")[2]
    server.add("/clip.mp4", Reply(moving_squares()))
    failure(f"http://{host}:{port}/clip.mp4", tmp_path, PUBLIC_ONLY, "refused_address")
    assert server.seen == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert addresses.is_public(address) is public


@pytest.fixture
def only_first_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 stands for a public address; all others are what they are (127.0.0.2 is private)."""
    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1" or real(address))


@pytest.mark.usefixtures("only_first_is_public")
@pytest.mark.parametrize("way", ["none", "redirect", "second redirect", "page", "ftp redirect", "file redirect"])
def test_a_public_host_cannot_lead_to_a_private_one(way: str, server: MediaServer, tmp_path: Path) -> None:
    with MediaServer("127.0.0.2") as inside:
        secret = inside.add("/secret.mp4", Reply(moving_squares()))
        page = f"<html><title>A</title><body><video src='{secret}'></video></body></html>"
        server.add("/hop", Reply(location=secret))
        start = {
            "none": Reply(moving_squares()),
            "redirect": Reply(location=secret),
            "second redirect": Reply(location="/hop"),
            "page": Reply(page.encode(), HTML),
            "ftp redirect": Reply(location=secret.replace("http:", "ftp:")),
            "file redirect": Reply(location="file:///etc/hostname"),
        }[way]
        url = server.add("/start.mp4", start)
        if way == "none":
            assert_complete(fetch(url, tmp_path, PUBLIC_ONLY), tmp_path, moving_squares())
        else:
            failure(url, tmp_path, PUBLIC_ONLY, "unavailable" if way == "file redirect" else "refused_address")
        assert server.seen
        assert inside.seen == []


@pytest.mark.usefixtures("only_first_is_public")
def test_a_private_thumbnail_is_not_asked_for(server: MediaServer, tmp_path: Path) -> None:
    with MediaServer("127.0.0.2") as inside:
        poster = inside.url("/poster.jpg")
        page = f"<html><title>A</title><body><video src='/clip.mp4' poster='{poster}'></video></body></html>"
        server.add("/clip.mp4", Reply(moving_squares()))
        video = fetch(server.add("/page", Reply(page.encode(), HTML)), tmp_path, PUBLIC_ONLY)
        assert_complete(video, tmp_path, moving_squares())
        assert inside.seen == []


@pytest.mark.usefixtures("only_first_is_public")
@pytest.mark.parametrize(("found", "kind"), [(["127.0.0.1"], None), (["127.0.0.1", "10.0.0.1"], "refused_address")])
def test_all_addresses_of_a_name_count_and_it_is_looked_up_once(
    found: list[str], kind: str | None, server: MediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    real, asked = socket.getaddrinfo, []

    def look_up(host: str, port: int, *args: int, **options: int) -> list[object]:
        if host != "name.test":
            return list(real(host, port, *args, **options))
        asked.append(host)
        return [info for address in found for info in real(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    url = server.add("/clip.mp4", Reply(moving_squares())).replace("127.0.0.1", "name.test")
    if kind is None:
        fetch(url, tmp_path, PUBLIC_ONLY)
    else:
        failure(url, tmp_path, PUBLIC_ONLY, kind)
    assert len(asked) == max(1, len(server.seen))


def test_behind_a_proxy_private_targets_are_refused(server: MediaServer, tmp_path: Path) -> None:
    settings = DownloadSettings(proxy=server.url(""), retries=0)
    failure("http://10.0.0.1/clip.mp4", tmp_path, settings, "refused_address")
    assert server.seen == []
    server.add("http://nobody-knows.invalid/clip.mp4", Reply(moving_squares()))
    video = fetch("http://nobody-knows.invalid/clip.mp4", tmp_path, settings)
    assert_complete(video, tmp_path, moving_squares())


# Names, messages, settings


def test_password_and_order_in_the_address_are_not_shown_or_obeyed(server: MediaServer, tmp_path: Path) -> None:
    server.add("/clip.mp4", Reply(statuses=[404]))
    url = server.url("/clip.mp4").replace("http://", "http://user:pass@")
    assert "pass" not in str(failure(url, tmp_path, kind="unavailable", shown=server.url("/clip.mp4")))
    smuggled = server.url("/clip.mp4") + "#__youtubedl_smuggle=%7B%22force_videoid%22%3A%22forced%22%7D"
    server.add("/clip.mp4", Reply(moving_squares()))
    assert fetch(smuggled, tmp_path, SETTINGS).info["id"] == "clip"


def test_an_error_survives_the_way_between_processes() -> None:
    error = DownloadError("network", "https://example.com/a", "it broke")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.kind, copy.source, copy.retryable) == (str(error), "network", error.source, True)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("You do not have permission to view this post. Log into an account that has access", "private"),
        ("Your IP address is blocked from accessing this post", "region_blocked"),
        ("Video not available, status code 10204", "region_blocked"),
        ("Video not available, status code 10216", "private"),
        ("Video not available, status code 100004", "unavailable"),
        ("This post may not be comfortable for some audiences. Log in for access", "login_needed"),
        ("TikTok is requiring login for access to this content", "login_needed"),
        ("Private video. Sign in if you've been granted access to this video", "private"),
        ("Video unavailable. This video has been removed by the uploader", "unavailable"),
        ("The uploader has not made this video available in your country", "region_blocked"),
        ("Sign in to confirm your age", "login_needed"),
        ("This live event will begin in 3 hours", "live"),
        ("This video is DRM protected", "unsupported_url"),
        ("Unable to extract universal data for rehydration", "site_changed"),
    ],
)
def test_what_sites_say(message: str, kind: str) -> None:
    from yt_dlp.utils import ExtractorError

    error = ExtractorError(message, video_id="removed-private", ie="TikTok")
    told = translated(error, "https://www.tiktok.com/@a/video/1")
    assert told.kind == kind
    assert "please report" not in str(told)


@pytest.mark.parametrize("number", [28, 122])
def test_a_full_disk(number: int) -> None:
    told = translated(OSError(number, "No space left on device", "x.part"), "https://example.com/a")
    assert (told.kind, told.retryable) == ("disk_full", True)


def version(
    width: int | None, ext: str, vcodec: str | None, acodec: str | None = "aac", protocol: str = "https"
) -> dict[str, object]:
    height = width and width * 16 // 9
    return {"width": width, "height": height, "ext": ext, "vcodec": vcodec, "acodec": acodec, "protocol": protocol}


@pytest.mark.parametrize(
    ("versions", "best"),
    [
        ([version(360, "mp4", "h264"), version(720, "mp4", "h264"), version(1080, "mp4", "h265")], 1),
        ([version(720, "mp4", "avc1.64001F"), version(1080, "webm", "vp9")], 0),
        ([version(2160, "mp4", "h264"), version(1080, "webm", "vp9")], 1),
        ([version(2160, "mp4", "h264"), version(1440, "mp4", "h264")], 1),
        ([version(360, "mp4", "h264"), version(1080, "mp4", "h264", "none"), version(None, "m4a", "none")], 0),
        ([version(None, "m4a", "none"), version(None, "mp3", "none")], 1),
        ([version(None, "unknown_video", None, None)], 0),
        ([version(1080, "mp4", "h264", "none"), version(None, "m4a", "none")], None),
        ([version(1080, "mp4", "h264", protocol="m3u8_native")], None),
        ([], None),
    ],
)
def test_which_version_is_taken(versions: list[dict[str, object]], best: int | None) -> None:
    assert choose_format(versions, 1920) == (None if best is None else versions[best])


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("https://www.tiktok.com/@a/video/7106594312292453675?is_from_webapp=1&lang=de", "tiktok-7106594312292453675"),
        ("https://www.tiktok.com/@b.c/video/7106594312292453675", "tiktok-7106594312292453675"),
        ("https://www.tiktok.com/embed/7106594312292453675#x", "tiktok-7106594312292453675"),
        ("https://vm.tiktok.com/ZSe4FqkKd/", "tiktokvm-ZSe4FqkKd"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=3s", "youtube-dQw4w9WgXcQ"),
        ("https://youtu.be/dQw4w9WgXcQ", "youtube-dQw4w9WgXcQ"),
        ("  https://www.youtube.com/shorts/dQw4w9WgXcQ ", "youtube-dQw4w9WgXcQ"),
    ],
)
def test_keys_of_known_sites(source: str, key: str) -> None:
    assert source_key(source) == key


def test_keys_of_other_addresses() -> None:
    key = source_key("https://cdn.example.com/a/My%20Clip.mp4?x=1")
    assert re.fullmatch(r"cdn-example-com-My-Clip-[0-9a-f]{8}", key)
    same = ["HTTPS://CDN.example.com:443/a/My%20Clip.mp4?x=1#t=5", "https://me:pw@cdn.example.com/a/My%20Clip.mp4?x=1"]
    others = ["https://cdn.example.com/a/My%20Clip.mp4?x=2", "https://cdn.example.com/b/My%20Clip.mp4?x=1"]
    assert {source_key(url) for url in same} == {key}
    assert len({source_key(url) for url in others} | {key}) == 3


HOSTILE = [
    "https://example.com/../../etc/passwd",
    "https://example.com/%2e%2e%2f%2e%2e%2fCON",
    "https://example.com/" + "a" * 5000,
    "https://例え.jp/動画/クリップ.mp4",
    "https://example.com/?q=\x00\x1b[31m",
    "https://example.com/",
    "https://" + "b" * 60 + "." + "c" * 60 + ".example/x",
    "https://[2001:db8::1]:8080/x.mp4",
]


def test_keys_are_safe_names_and_distinct() -> None:
    keys = [source_key(url) for url in HOSTILE]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,119}", key) for key in keys), keys
    assert len({key.lower() for key in keys}) == len(keys)
    assert keys == [source_key(url) for url in HOSTILE]


def test_a_site_id_that_is_no_safe_name_gets_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    import yt_dlp.extractor

    class HostileIE:
        suitable = staticmethod(lambda url: True)
        ie_key = staticmethod(lambda: "Hostile")
        get_temp_id = staticmethod(lambda url: url.rpartition("=")[2])

    monkeypatch.setattr(yt_dlp.extractor, "gen_extractor_classes", lambda: [HostileIE])
    assert source_key("https://h.example/?v=plain_1") == "hostile-plain_1"
    keys = [source_key(f"https://h.example/?v={video_id}") for video_id in ("../x", "..-x", "x" * 300, "x" * 301)]
    assert len(set(keys)) == 4
    assert all(re.fullmatch(r"hostile-[A-Za-z0-9_-]+", key) and len(key) <= 120 for key in keys), keys


def test_keys_of_files_follow_the_content(clip: Path, tmp_path: Path) -> None:
    key = source_key(str(clip))
    assert key == f"My-Clip-{hashlib.sha256(moving_squares()).hexdigest()[:8]}"
    elsewhere = tmp_path / "folder" / "My Clip.mov"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(moving_squares())
    assert source_key(str(elsewhere)) == key
    odd = tmp_path / "日本 : ..mp4"
    odd.write_bytes(b"x")
    assert re.fullmatch(r"video-[0-9a-f]{8}", source_key(str(odd)))
    with pytest.raises(DownloadError) as caught:
        source_key(str(tmp_path / "missing.mp4"))
    assert caught.value.kind == "no_such_file"


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DownloadSettings.from_environment() == DownloadSettings()
    for name, value in {
        "MAX_BYTES": "1000",
        "MAX_DURATION_S": "12.5",
        "RATE_LIMIT_BYTES_PER_S": "",
        "ALLOW_PRIVATE_ADDRESSES": "Yes",
        "COOKIES_FILE": "/x/cookies.txt",
        "PROXY": "socks5://localhost:1080",
    }.items():
        monkeypatch.setenv(f"TIKTOK_ASSETS_{name}", value)
    assert DownloadSettings.from_environment() == DownloadSettings(
        max_bytes=1000,
        max_duration_s=12.5,
        allow_private_addresses=True,
        cookies_file=Path("/x/cookies.txt"),
        proxy="socks5://localhost:1080",
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MAX_BYTES", "512 MB", "TIKTOK_ASSETS_MAX_BYTES takes a whole number, not '512 MB'"),
        ("MAX_BYTES", "0", "max_bytes must be more than 0"),
        ("MAX_DURATION_S", "nan", "max_duration_s must be more than 0"),
        ("RETRIES", "-1", "retries must be at least 0"),
        ("ALLOW_PRIVATE_ADDRESSES", "maybe", "TIKTOK_ASSETS_ALLOW_PRIVATE_ADDRESSES takes 1 or 0, not 'maybe'"),
        ("PROXY", "localhost:8080", "proxy must start with http://"),
    ],
)
def test_settings_that_are_not_valid(name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TIKTOK_ASSETS_{name}", value)
    with pytest.raises(SettingsError, match=re.escape(told)):
        DownloadSettings.from_environment()
