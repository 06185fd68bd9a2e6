"""For all tests: no model weights but those that a test installs itself, whatever this machine has."""

import os
import tempfile

os.environ["TIKTOK_ASSETS_WEIGHTS"] = tempfile.mkdtemp(prefix="tiktok-assets-no-weights-")
