"""The Dagster layer: short videos as partitioned data assets. The only code here that imports dagster."""

import warnings

from analyzers.process import prepare_process

# Both are used on purpose; a new release of Dagster is met by the lock file and the tests.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")

prepare_process()
