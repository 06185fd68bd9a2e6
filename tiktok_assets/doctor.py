"""`tiktok-assets doctor`: is this installation whole?"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from rich.console import Console

from analyzers import weights
from analyzers.common.devices import gpus, lane_devices, memory_shares
from analyzers.process import ENVIRONMENT
from tiktok_assets.instance import NoInstance, local_instance
from tiktok_assets.partitions import VIDEOS
from tiktok_assets.project import PROJECT
from tiktok_assets.store import Store, free_bytes

Verdict = Literal["ok", "note", "wrong"]
MARKS = {"ok": "[green]✓[/green]", "note": "[yellow]·[/yellow]", "wrong": "[red]✗[/red]"}
LOW_DISK_BYTES = 5 * 2**30


def examine_installation() -> int:
    """Print one line per finding; 1 if anything is wrong."""
    console = Console(soft_wrap=True)
    worst = 0
    for verdict, what in findings():
        console.print(f"{MARKS[verdict]} {what}", highlight=False)
        worst |= verdict == "wrong"
    return int(worst)


def findings() -> Iterator[tuple[Verdict, str]]:
    """What there is to say, each with a verdict."""
    supported = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield (
        ("ok" if supported else "wrong"),
        f"Python {sys.version.split()[0]}" + ("" if supported else ": use 3.11 or 3.12"),
    )
    yield from _packages()
    yield from _devices()
    yield from _weights()
    store = Store.from_environment()
    yield _room(store.root, "data in")
    if store.cache:
        yield _room(store.cache, "decoded arrays in")
    if not os.access(store.root if store.root.exists() else store.root.parent, os.W_OK):
        yield "wrong", f"{store.root} is not writable: set TIKTOK_ASSETS_DATA to a folder that is"
    try:
        with local_instance() as instance:
            count = len(instance.get_dynamic_partitions(VIDEOS))
        yield "ok", f"Dagster instance in {os.environ['DAGSTER_HOME']}: {_count(count, 'video')}"
    except NoInstance as error:
        yield "wrong", error.message
    threads = {name: os.environ[name] for name in ENVIRONMENT if name.endswith("NUM_THREADS")}
    yield "ok", "threads per step process: " + ", ".join(f"{k}={v}" for k, v in threads.items())


def _room(folder: Path, what: str) -> tuple[Verdict, str]:
    free = free_bytes(folder)
    verdict: Verdict = "ok" if free > LOW_DISK_BYTES else "wrong"
    return verdict, f"{what} {folder}: {free / 2**30:.0f} GB free" + ("" if verdict == "ok" else ", too little")


def _packages() -> Iterator[tuple[Verdict, str]]:
    wanted: dict[str, str] = {}
    lock = PROJECT / "requirements.lock"
    for line in lock.read_text("utf-8").splitlines() if lock.exists() else ():
        name, _, rest = line.partition("==")
        marker = rest.partition(";")[2]
        if rest and "python_full_version" not in marker:
            wanted[name] = rest.split(" ")[0]
    wrong = []
    for name, expected in wanted.items():
        try:
            if (found := version(name).partition("+")[0]) != expected:
                wrong.append(f"{name} {found} instead of {expected}")
        except PackageNotFoundError:
            wrong.append(f"{name} is not installed")
    if wrong:
        yield "wrong", f"packages differ from requirements.lock ({'; '.join(wrong[:5])}): run `make setup`"
    else:
        yield "ok", f"{len(wanted)} packages as in requirements.lock"
    yield "ok", ", ".join(f"{name} {version(name)}" for name in ("dagster", "torch", "mediapipe", "yt-dlp"))


def _devices() -> Iterator[tuple[Verdict, str]]:
    found = gpus()
    try:
        devices, shares = lane_devices(), memory_shares()
    except ValueError as error:
        yield "wrong", str(error)
        return
    from tiktok_assets.execution import processes  # not importable with a wrong list of devices

    steps = f"{processes()} step processes a run"
    if set(devices.values()) == {"cpu"}:
        yield "note", f"{_count(len(found), 'GPU')}; all lanes compute on the CPU, {steps}"
    else:
        lanes = ", ".join(f"{lane} on {device}" for lane, device in devices.items())
        yield ("ok" if found else "wrong"), f"{_count(len(found), 'GPU')}; {lanes}; {steps}"
    if not found:
        return
    import torch

    if not torch.cuda.is_available():
        yield "wrong", "the driver shows a GPU, but torch cannot use it: check the driver's version"
        return
    for i in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(i)
        yield "ok", f"cuda:{i}: {torch.cuda.get_device_name(i)}, {free / 2**30:.0f} of {total / 2**30:.0f} GB free"
    limited = ", ".join(f"{lane} {share:.0%}" for lane, share in shares.items() if share < 1)
    yield "ok", f"GPU memory per lane: {limited or 'no limit (TIKTOK_ASSETS_GPU_MEMORY)'}"


def _weights() -> Iterator[tuple[Verdict, str]]:
    """A damaged model is wrong; one that nobody fetched is a matter of choice."""
    names = list(weights.REGISTRY)
    there = [name for name in names if weights.recorded(name)]
    held = f": {', '.join(there)}" if there else ""
    advice = "" if len(there) == len(names) else "; see `tiktok-assets weights list`"
    yield (
        "ok" if not advice else "note",
        f"{len(there)} of {len(names)} models in {weights.weights_root()}{held}{advice}",
    )
    for name in names:
        if name not in there and weights.folder_of(name).is_dir():
            yield "wrong", str(weights.complaint(name, reading=False))


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"
