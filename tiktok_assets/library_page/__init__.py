"""The page of the library: a table of all videos in one self-contained file."""
