"""The report of a video: JSON with a published schema, and a page."""
