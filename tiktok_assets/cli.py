"""The command `tiktok-assets`. Heavy imports come inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from tiktok_assets.project import default_dagster_home

EXAMPLES = """
\b
Examples:
  tiktok-assets analyze clip.mp4
  tiktok-assets analyze https://www.tiktok.com/@user/video/7234567890123456789
  tiktok-assets analyze *.mp4 --only cut_analysis --only text_overlay
  tiktok-assets watch @user
  tiktok-assets refresh --dry-run
  tiktok-assets status
  tiktok-assets library
  tiktok-assets export clip.mp4 --format vtt
  tiktok-assets weights list
  tiktok-assets doctor
"""


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tiktok-assets")
def main() -> None:
    """Short videos in, reports out: download, decode once, run every analyzer, look at one page.

    Everything is a Dagster asset: what this command does is seen and can be repeated in the UI (`make ui`).
    """


@main.command(epilog="\b\nExamples:\n  tiktok-assets analyze clip.mp4\n  tiktok-assets analyze URL1 URL2 clip.mp4\n")
@click.argument("sources", nargs=-1, required=True, metavar="FILE_OR_URL...")
@click.option("--only", "only", multiple=True, metavar="ANALYZER", help="Run only this analyzer; may be repeated.")
def analyze(sources: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Analyze videos and write a report for each.

    Exit code 1 if any video could not be analyzed; the others are complete all the same.
    """
    from tiktok_assets.faster_start import start_forkserver

    default_dagster_home()
    start_forkserver()
    from tiktok_assets.analyze import analyze_sources

    sys.exit(analyze_sources(sources, only))


@main.command(
    epilog="\b\nExamples:\n  tiktok-assets status\n  tiktok-assets status --status failed --since 2026-11-01\n"
    "  tiktok-assets status --analyzer text_overlay --status stale --status missing\n"
)
@click.option("--analyzer", "analyzers", multiple=True, metavar="NAME", help="List only this one; may be repeated.")
@click.option("--status", "states", multiple=True, metavar="STATUS", help="List only this status; may be repeated.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="List only what was made on this day (UTC) or later.")
def status(analyzers: tuple[str, ...], states: tuple[str, ...], since: datetime | None) -> None:
    """Show how many videos of each analysis are ok, missing, stale or failed; with filters, list them with reasons."""
    from tiktok_assets.status import print_status

    sys.exit(print_status(analyzers, states, since.replace(tzinfo=UTC) if since else None))


@main.command(
    epilog="\b\nExamples:\n  tiktok-assets refresh --dry-run\n  tiktok-assets refresh --analyzer text_overlay\n"
)
@click.option("--analyzer", "analyzers", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def refresh(analyzers: tuple[str, ...], dry_run: bool) -> None:
    """Make what is missing, stale, or failed for a reason that may pass, and what follows from it.

    What is current is left alone.
    """
    from tiktok_assets.analyze import refresh_videos

    sys.exit(refresh_videos(analyzers, dry_run))


@main.command(epilog="\b\nExamples:\n  tiktok-assets watch @user\n  tiktok-assets watch https://example.org/feed.xml\n")
@click.argument("addresses", nargs=-1, metavar="ADDRESS...")
def watch(addresses: tuple[str, ...]) -> None:
    """Add accounts, hashtags (tag:name), playlists or feeds to the watchlist; without any, show it.

    The sensor `watchlist` looks at them; switch it on in the UI under Automation.
    """
    from tiktok_assets.watchlist import watch_addresses

    sys.exit(watch_addresses(addresses))


@main.group(epilog="\b\nExamples:\n  tiktok-assets weights list\n  tiktok-assets weights fetch whisper\n")
def weights() -> None:
    """Models for the analyzers that need some. Nothing is downloaded but by `fetch`."""


@weights.command("list")
def list_weights() -> None:
    """Show every model: licence, size, whether it is installed, which analyzers use it."""
    from tiktok_assets.weights import print_weights

    print_weights()


@weights.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def fetch_weights(names: tuple[str, ...]) -> None:
    """Download models and check them. A broken download goes on where it ended."""
    from tiktok_assets import weights

    sys.exit(weights.fetch_weights(names))


@weights.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME...]")
def verify_weights(names: tuple[str, ...]) -> None:
    """Compare installed models with their checksums; all of them if none is named."""
    from tiktok_assets import weights

    sys.exit(weights.verify_weights(names))


@main.command(epilog="\b\nExample:\n  tiktok-assets library\n")
def library() -> None:
    """Bring the tables and the page over all videos up to date, and say where they are.

    docs/library.md shows how to query the tables. Exit code 1 if a report could not be read.
    """
    from tiktok_assets.library import print_library

    sys.exit(print_library())


@main.command(
    epilog="\b\nExamples:\n  tiktok-assets export clip.mp4 --format vtt\n"
    "  tiktok-assets export tiktok-7234567890123456789 --format coco --out boxes\n"
)
@click.argument("video", metavar="VIDEO")
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["vtt", "srt", "chapters", "csv", "coco", "elan"]),
    help="vtt, srt: what was said and shown; chapters: scenes as WebVTT; csv: segments; coco: boxes; elan: tiers.",
)
@click.option("--out", default=".", metavar="DIR", help="Where the files go; here by default.")
def export(video: str, form: str, out: str) -> None:
    """Write results of an analyzed VIDEO (its key, file or URL) in a form that other tools read.

    Exit code 1 if there is nothing to write; says why.
    """
    from tiktok_assets.exports import export_video

    sys.exit(export_video(video, form, out))


@main.command(epilog="\b\nExample:\n  tiktok-assets doctor\n")
def doctor() -> None:
    """Check the installation: versions, devices, disk, threads. Exit code 1 if something is wrong."""
    from tiktok_assets.doctor import examine_installation

    sys.exit(examine_installation())


if __name__ == "__main__":
    main()
