"""Videos per hour on warm workers against the local default, in one run; latency of one clip when all is warm.

    python bench/cluster.py             # 1, 2 and 4 workers, 8 videos
    python bench/cluster.py 2           # only 2 workers

The clips of ../shared/media (the sample where they are not there), each several times, one run a video, all asked for
at once. Everything runs on this machine: workers beyond its cores only share them.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from analyzers.catalogue import CATALOGUE
from bench.whole_run import SHARED_CLIPS
from tests.cluster import Cluster
from tests.dagster_server import Server
from tests.media import SAMPLE
from tiktok_assets.store import VideoFolder

VIDEOS = 8
LIMIT_S = 1800
LATENCY_ROUNDS = 3


def copies(folder: Path) -> list[Path]:
    """As many files as videos are wanted; each is a video of its own."""
    originals = [clip for clip in SHARED_CLIPS if clip.exists()] or [SAMPLE]
    made = []
    for number, original in zip(range(VIDEOS), itertools.cycle(originals), strict=False):
        copy = folder / f"{number:02}-{original.name}"
        copy.write_bytes(original.read_bytes())
        made.append(copy)
    return made


def own_seconds(video: VideoFolder) -> float:
    """What decoding and the analyzers took by themselves, as their outcomes say."""
    stored = video.stored()
    return sum(video.read(stored[name]).seconds for name in ("decoded_frames", *CATALOGUE) if name in stored)


def measure(name: str, server: Server, files: list[Path]) -> None:
    """Print a line for one way to run."""
    videos = [server.add(file) for file in files]
    warm = server.add(SAMPLE)
    for _ in range(4):  # so that each worker has loaded everything
        assert server.ended(server.launch(warm), 300) == "SUCCESS"
    latencies, shares = [], []
    for _ in range(LATENCY_ROUNDS):
        started = time.monotonic()
        run = server.launch(warm)
        assert server.ended(run, 300) == "SUCCESS"
        latencies.append(time.monotonic() - started)
        shares.append(own_seconds(warm))
    started = time.monotonic()
    runs = [server.launch(video) for video in videos]
    server.wait(lambda: all(server.status(run) in ("SUCCESS", "FAILURE") for run in runs), LIMIT_S)
    wall_s = time.monotonic() - started
    assert all(server.status(run) == "SUCCESS" for run in runs)
    length_s = sum(video.clip().duration_s for video in videos)
    own_s = sum(map(own_seconds, videos))
    with server.instance() as instance:
        stats = [instance.get_run_stats(run) for run in runs]
    working_s = sum(s.end_time - s.start_time for s in stats)
    best = min(range(LATENCY_ROUNDS), key=latencies.__getitem__)
    print(
        f"{name:<22} {3600 * len(videos) / wall_s:>8.0f} {wall_s / length_s:>10.2f} {1 - own_s / working_s:>14.0%} "
        f"{latencies[best]:>9.1f} {shares[best]:>9.1f} {latencies[best] / shares[best]:>8.2f}",
        flush=True,
    )


def main() -> None:
    counts = [int(a) for a in sys.argv[1:]] or [1, 2, 4]
    print(f"{VIDEOS} videos, {psutil.cpu_count()} cores; latency: the {SAMPLE.name} alone, best of {LATENCY_ROUNDS}\n")
    print(f"{'':<22} {'videos/h':>8} {'real time':>10} {'besides work':>14} {'latency s':>9} {'own s':>9} {'ratio':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        files = copies(Path(scratch))
        for name, make in [
            ("local default", lambda folder: Server(folder)),
            *((f"{n} warm worker(s)", lambda folder, n=n: Cluster(folder, n, faster={})) for n in counts),
        ]:
            folder = Path(tempfile.mkdtemp(dir=scratch))
            server = make(folder)
            try:
                measure(name, server, files)
            finally:
                server.stop()


if __name__ == "__main__":
    main()
