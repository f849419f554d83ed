"""Reading an SQLite file that no process owns, and leaving it as it is: nothing is migrated, nothing is mended."""

import asyncio
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.registry.group_commit import storage_error
from dragancorp.registry.migrations import refuse_other
from dragancorp.registry.owner_lock import OwnerLock
from dragancorp.registry.queries import Query
from dragancorp.registry.reads import answer
from dragancorp.registry.sqlite import READER_PRAGMAS, sqlite_engine

AnswerT = TypeVar("AnswerT")


class SqliteReader:
    """Answers queries from the file; owns it meanwhile, so that nobody writes. `async with` lets go of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = OwnerLock(path)
        self._engine = sqlite_engine(path, READER_PRAGMAS)

    async def __aenter__(self) -> "SqliteReader":
        """Own the file. Errors: `database_owned`, `database_newer`, `data_folder_unusable`, `storage_failed`."""
        if not self._path.is_file():
            raise DraganError(ErrorCode.DATA_FOLDER_UNUSABLE, f"there is no registry at {self._path}")
        self._lock.acquire()
        try:
            await asyncio.to_thread(self._look)
        except BaseException:
            self._close()
            raise
        return self

    def _look(self) -> None:
        try:
            with self._engine.connect() as connection:
                refuse_other(connection)
        except DBAPIError as error:
            raise storage_error(error) from error

    async def read(self, query: Query[AnswerT]) -> AnswerT:
        """See `Store.read`."""
        return await asyncio.to_thread(self._answer, query)

    def _answer(self, query: Query[AnswerT]) -> AnswerT:
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                try:
                    return answer(connection, query)
                finally:
                    connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise storage_error(error) from error

    async def __aexit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._engine.dispose()
        self._lock.release()
