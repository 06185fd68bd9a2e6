"""The data assets: raw video, decoded media, one analysis per analyzer, report."""
