"""Dagster's Postgres storage with connections that are kept, for the processes of a cluster, which all live long.

Dagster's own opens a connection for every statement, 1,900 in a run, and half of the run's time goes there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache, partial
from typing import Any

from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, DagsterInstance, EventLogEntry, StringSource
from dagster._core.event_api import EventRecordsResult
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import AssetRecord
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from sqlalchemy import Engine, create_engine
from sqlalchemy.event import listens_for
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

IDLE_S = 1.0
"""A connection that was not used for so long is asked for a sign of life: Postgres may have restarted."""

EVENTS_AT_ONCE = 500
"""Events that Dagster may hand over together: what a run is going to make, what a step has made of many videos."""

INSERT_EVENT = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id)


@lru_cache
def _engine(url: str, _process: int, statement_timeout_ms: int = 0, max_overflow: int = 20) -> Engine:
    """The engine of a process (a fork must not use its parent's connections)."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=2, max_overflow=max_overflow)

    @listens_for(engine, "connect")
    def settings(connection: Any, _record: Any) -> None:
        """Events need not wait for the disk, as with SQLite (`faster_start`): a power cut may take the last moment of
        the event log, and never harms it. Results lie in files."""
        with connection, connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
            if statement_timeout_ms:
                cursor.execute("SET statement_timeout = %s", (statement_timeout_ms,))

    @listens_for(engine, "checkin")
    def used(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @listens_for(engine, "checkout")
    def alive(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", time.monotonic()) < IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except (engine.dialect.loaded_dbapi.Error, DBAPIError) as error:
            raise InvalidatePoolError from error  # SQLAlchemy connects again

    return engine


class _Pooled:
    """One of Dagster's Postgres storages, on the engine of the process."""

    postgres_url: str

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url)  # type: ignore[call-arg] # makes the tables where they are missing
        self._engine = _engine(postgres_url, os.getpid())

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        self._engine = _engine(self.postgres_url, os.getpid(), statement_timeout, max_overflow)


class _Runs(_Pooled, PostgresRunStorage):
    pass


class _Schedules(_Pooled, PostgresScheduleStorage):
    pass


class _Events(_Pooled, PostgresEventLogStorage):
    """The event log. During a run it keeps what it has read of an asset until this process writes of that asset.

    Each step asks for the versions of its inputs, and each check for the materialization that it is of: mostly what the
    step before has asked, 200 times in a run. What another run writes meanwhile belongs to other videos.
    """

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url)
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENTS_AT_ONCE))
        self._schema: set[str] = set()
        """Tables, and columns of the table of assets, that were seen."""
        self._read: dict[AssetKey, dict[Hashable, Any]] | None = None

    @contextmanager
    def assets_read_once(self) -> Iterator[None]:
        self._read = {}
        try:
            yield
        finally:
            self._read = None

    def _once(self, asset: AssetKey, what: Hashable, read: Callable[[], Any]) -> Any:
        if self._read is None:
            return read()
        known = self._read.setdefault(asset, {})
        if what not in known:
            known[what] = read()
        return known[what]

    def store_event(self, event: EventLogEntry) -> None:
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events with one statement, and what Dagster stores besides of an asset or a check.

        Dagster's own takes a statement for each, makes it anew each time, and tells Postgres' listeners, of whom there
        are none: 0.6 s of a run of one video, and 0.4 s before it, for all that the run is going to make.
        """
        of_assets = [e for e in events if _kind(e) in ASSET_EVENTS and e.get_dagster_event().asset_key]
        with self.index_transaction() if of_assets else self.index_connection() as connection:
            rows = [self._event_to_row(event) for event in events]
            if len(rows) == 1:
                ids = [connection.execute(INSERT_EVENT, rows[0]).scalar_one()]
            else:
                ids = list(connection.execute(INSERT_EVENT.values(rows)).scalars())
            id_of = dict(zip(map(id, events), ids, strict=True))
            if of_assets:
                self._store_asset_event_tags(connection, of_assets, [id_of[id(event)] for event in of_assets])
            # Each asset has one row, which names the latest event; Dagster puts what is planned in the order of assets.
            for event in {e.get_dagster_event().asset_key: e for e in of_assets}.values():
                self._store_asset_event(connection, event, id_of[id(event)])
        for event in events:
            if _kind(event) in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, id_of[id(event)])
            self._forget(event)

    def _forget(self, event: EventLogEntry) -> None:
        asset = event.dagster_event.asset_key if event.dagster_event else None
        if self._read is not None and asset is not None:
            self._read.pop(asset, None)

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        if self._read is None or asset_keys is None:
            return super().get_asset_records(asset_keys)
        unknown = [key for key in asset_keys if "record" not in self._read.get(key, {})]
        read = super().get_asset_records(unknown) if unknown else ()
        found = {record.asset_entry.asset_key: record for record in read}
        records = [self._once(key, "record", partial(found.get, key)) for key in asset_keys]
        return [record for record in records if record is not None]

    def get_latest_tags_by_partition(
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        tag_keys: Sequence[str],
        asset_partitions: Sequence[str] | None = None,
        before_cursor: int | None = None,
        after_cursor: int | None = None,
    ) -> Mapping[str, Mapping[str, str]]:
        asked = (event_type, tag_keys, asset_partitions, before_cursor, after_cursor)
        read = super().get_latest_tags_by_partition
        return self._once(asset_key, f"tags {asked}", lambda: read(asset_key, *asked))

    def fetch_materializations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,
    ) -> EventRecordsResult:
        asset = records_filter if isinstance(records_filter, AssetKey) else records_filter.asset_key
        asked = (records_filter, limit, cursor, ascending)
        read = super().fetch_materializations
        return self._once(asset, f"materializations {asked}", lambda: read(*asked))

    def has_table(self, table_name: str) -> bool:
        """Asked for every materialization, as the next. What is there stays there."""
        if table_name not in self._schema and super().has_table(table_name):
            self._schema.add(table_name)
        return table_name in self._schema

    def has_asset_key_col(self, column_name: str) -> bool:
        if column_name not in self._schema and super().has_asset_key_col(column_name):
            self._schema.add(column_name)
        return column_name in self._schema


def _kind(event: EventLogEntry) -> DagsterEventType | None:
    return event.dagster_event_type if event.is_dagster_event else None


def assets_read_once(instance: DagsterInstance) -> AbstractContextManager[None]:
    """Let an instance on this storage keep what it reads of assets while a run goes on."""
    storage = instance.event_log_storage
    return storage.assets_read_once() if isinstance(storage, _Events) else nullcontext()


class PooledPostgresStorage(DagsterStorage, ConfigurableClass):
    """`storage: custom:` of dagster.yaml, with `postgres_url`."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._runs, self._events, self._schedules = _Runs(postgres_url), _Events(postgres_url), _Schedules(postgres_url)
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return {"postgres_url": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        return cls(config_value["postgres_url"], inst_data)

    @property
    def run_storage(self) -> PostgresRunStorage:
        return self._runs

    @property
    def event_log_storage(self) -> PostgresEventLogStorage:
        return self._events

    @property
    def schedule_storage(self) -> PostgresScheduleStorage:
        return self._schedules
