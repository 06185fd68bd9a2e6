"""How long a run takes, where the seconds go, and what Dagster adds.

In one go, on the same clips: a run through Dagster as `tiktok-assets analyze` starts it (start-up, executor, database,
report included), and a plain Python loop over the same analyzers in one process (decode included, report not). Seconds
depend on the machine; compare the ratios.

    .venv/bin/python bench/whole_run.py                   8 real clips of ../shared/media, or the sample 8 times
    .venv/bin/python bench/whole_run.py clip.mp4 ...      your own
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_CLIPS = [
    REPOSITORY.parent / "shared" / "media" / "video" / name
    for name in (
        *("nasa_13013.mp4", "friday.mp4", "bikes.mp4", "WolfgangLanger_Pexels.mp4", "face_noface.mov"),
        *("awesome_movie.mov", "smpte-2997.mp4", "emulator_270_rotated.mp4"),
    )
]
PR_SET_CHILD_SUBREAPER = 36

LOOP = """
import json, sys, tempfile, time
from pathlib import Path
started = time.perf_counter()
from analyzers.process import prepare_process
prepare_process()
from analyzers.catalogue import analyzer_class, run_order
from analyzers.clip import Clip
from analyzers.decode import decode
from analyzers.run import examine
seconds = {"decode": 0.0}
with tempfile.TemporaryDirectory() as folder:
    for number, file in enumerate(map(Path, sys.argv[1:])):
        t = time.perf_counter()
        media = Path(folder) / str(number)
        decode(file, media)
        clip = Clip.open(media, file)
        seconds["decode"] += time.perf_counter() - t
        outcomes = {}
        for name in run_order():
            outcomes[name] = examine(analyzer_class(name), clip, outcomes)
            seconds[name] = seconds.get(name, 0.0) + outcomes[name].seconds
print(json.dumps({"wall": time.perf_counter() - started, "seconds": seconds}))
"""


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds of it and its children, and its output."""
    # Dagster's fork server outlives its parent for a moment; as its subreaper this process gets its CPU time as well.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    wall_s = time.perf_counter() - started
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} failed:\n{done.stdout}\n{done.stderr}")
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    clips = parser.parse_args().clips or [c for c in SHARED_CLIPS if c.exists()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = clips or [_copy(REPOSITORY / "samples" / "sample.mp4", folder / f"sample{i}.mp4", i) for i in range(8)]
        (folder / "home").mkdir()
        shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", folder / "home")
        environment = os.environ | {"DAGSTER_HOME": str(folder / "home"), "TIKTOK_ASSETS_DATA": str(folder / "data")}
        files = [str(c.resolve()) for c in clips]
        loop_wall_s, loop_cpu_s, text = measured([sys.executable, "-c", LOOP, *files], environment)
        loop = json.loads(text.splitlines()[-1])
        wall_s, cpu_s, _ = measured([sys.executable, "-m", "tiktok_assets.cli", "analyze", *files], environment)
        reports = [json.loads(p.read_text("utf-8")) for p in sorted((folder / "data").glob("videos/*/report.json"))]
    _print(reports, loop, (wall_s, cpu_s), (loop_wall_s, loop_cpu_s))


def _copy(source: Path, target: Path, number: int) -> Path:
    """A copy with another key: the key of a file comes from its content."""
    target.write_bytes(source.read_bytes() + bytes([0, 0, 0, 9]) + b"free" + bytes([number]))
    return target


def _print(reports: list[dict], loop: dict, run: tuple[float, float], plain: tuple[float, float]) -> None:
    video_s = sum(r["metadata"]["duration_s"] or 0.0 for r in reports)
    in_run: dict[str, float] = {}
    for report in reports:
        for name, result in report["analyzer_results"].items():
            in_run[name] = in_run.get(name, 0.0) + result["seconds"]
    print(f"{len(reports)} clips, {video_s:.1f} s of video, {os.cpu_count()} cores\n")
    print(f"{'seconds per 10 s of video':<34}{'plain loop':>12}{'in the run':>12}")
    for name, seconds in sorted(loop["seconds"].items(), key=lambda item: -item[1]):
        print(f"{name:<34}{10 * seconds / video_s:>12.3f}{10 * in_run.get(name, 0.0) / video_s:>12.3f}")
    print(f"\n{'':<34}{'wall s':>12}{'CPU s':>12}{'x real time':>12}")
    for title, (wall_s, cpu_s) in (("run through Dagster", run), ("plain loop, one process", plain)):
        print(f"{title:<34}{wall_s:>12.1f}{cpu_s:>12.1f}{wall_s / video_s:>12.3f}")
    print(f"{'Dagster / loop':<34}{run[0] / plain[0]:>12.2f}{run[1] / plain[1]:>12.2f}")


if __name__ == "__main__":
    main()
