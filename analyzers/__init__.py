"""What a video is measured by. Knows nothing of Dagster; usable alone: `python -m analyzers cut_analysis clip.mp4`."""
