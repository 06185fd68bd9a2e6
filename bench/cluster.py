"""Videos per hour on warm workers against the local default, in one run; latency of one clip when all is warm.

    python bench/cluster.py             # 1, 2 and 4 workers, 8 videos
    python bench/cluster.py 2           # only 2 workers

Throughput: the clips of ../shared/media (the sample where they are not there), one run a video, all asked for at once.
Latency: a new copy of the sample, alone, from the request to its report page. Everything runs on this machine: workers
beyond its cores only share them.
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
LATENCY_ROUNDS = 4


def copies(folder: Path, originals: list[Path], numbers: range) -> list[Path]:
    """A file for each number; each is a video of its own."""
    made = []
    for number, original in zip(numbers, itertools.cycle(originals), strict=False):
        copy = folder / f"{number:02}-{original.name}"
        copy.write_bytes(original.read_bytes() + bytes([0, 0, 0, 9]) + b"free" + bytes([number]))
        made.append(copy)
    return made


def own_seconds(video: VideoFolder, decoding: bool = True) -> float:
    """What the analyzers, and decoding, took by themselves, as their outcomes say."""
    stored = video.stored()
    names = ("decoded_frames", *CATALOGUE) if decoding else CATALOGUE
    return sum(video.read(stored[name]).seconds for name in names if name in stored)


def measure(name: str, server: Server, files: list[Path], samples: list[Path]) -> None:
    """Print a line for one way to run."""
    videos = [server.add(file) for file in files]
    for _ in range(4):  # so that each worker has loaded everything
        assert server.ended(server.launch(server.add(SAMPLE)), 300) == "SUCCESS"
    latencies, works, analyses = [], [], []
    for sample in samples:
        new = server.add(sample)
        started = time.time()
        assert server.ended(server.launch(new), 300) == "SUCCESS"
        latencies.append(new.report_page.stat().st_mtime - started)
        works.append(own_seconds(new))
        analyses.append(own_seconds(new, decoding=False))
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
        f"{latencies[best]:>9.1f} {works[best]:>7.1f} {latencies[best] / works[best]:>6.2f} "
        f"{analyses[best]:>9.1f} {latencies[best] / analyses[best]:>6.2f}",
        flush=True,
    )


def main() -> None:
    counts = [int(a) for a in sys.argv[1:]] or [1, 2, 4]
    print(f"{VIDEOS} videos, {psutil.cpu_count()} cores; latency: the {SAMPLE.name} alone, best of {LATENCY_ROUNDS}\n")
    print(
        f"{'':<22} {'videos/h':>8} {'real time':>10} {'besides work':>14} {'latency s':>9} {'work s':>7} {'ratio':>6} "
        f"{'analyzers':>9} {'ratio':>6}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        files = copies(Path(scratch), [clip for clip in SHARED_CLIPS if clip.exists()] or [SAMPLE], range(VIDEOS))
        samples = copies(Path(scratch), [SAMPLE], range(VIDEOS, VIDEOS + LATENCY_ROUNDS))
        for name, make in [
            ("local default", lambda folder: Server(folder)),
            *((f"{n} warm worker(s)", lambda folder, n=n: Cluster(folder, n, faster={})) for n in counts),
        ]:
            folder = Path(tempfile.mkdtemp(dir=scratch))
            server = make(folder)
            try:
                measure(name, server, files, samples)
            finally:
                server.stop()


if __name__ == "__main__":
    main()
