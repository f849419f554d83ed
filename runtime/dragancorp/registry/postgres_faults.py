"""What went wrong with PostgreSQL: is it worth another attempt, and what is a caller told.

* *unreachable*: the connection broke or cannot be made; nothing was stored, unless it broke during the commit
* *conflict*: two transactions could not both go on, and this one was undone
* anything else is told at once: busy (a lock or a resource that others hold) or failed
"""

import psycopg
from sqlalchemy.exc import DBAPIError

from dragancorp.errors import DraganError, ErrorCode

# A session that was ended from the other side, or a server that takes no writes (any more): another connection helps.
ENDED_BY_SERVER = frozenset(
    {
        "25006",  # read-only: a standby by now
        "25P03",  # idle in a transaction for too long: this process was stopped meanwhile
        "57P01",  # an administrator's command, a fast shutdown
        "57P02",  # crash shutdown
        "57P03",  # starting up or shutting down
        "57P05",  # idle for too long
    }
)
CONNECTION_CLASS = "08"
CONFLICTS = frozenset({"40001", "40P01"})  # serialisation failure, deadlock
BUSY = frozenset(
    {
        "53300",  # too many connections
        "55P03",  # a lock was not given in time
        "57014",  # a statement took too long
    }
)


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy wraps."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def is_unreachable(error: BaseException) -> bool:
    """Whether the same again may work on another connection."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:  # the client's own word: the server said nothing
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state in ENDED_BY_SERVER or state.startswith(CONNECTION_CLASS)


def is_conflict(error: BaseException) -> bool:
    """Whether the same again may work at once."""
    return isinstance(error, psycopg.Error) and error.sqlstate in CONFLICTS


def told(error: BaseException) -> DraganError:
    """What a caller is told in the end."""
    said = " ".join(str(error).split())
    if is_unreachable(error):
        return DraganError(ErrorCode.STORAGE_FAILED, f"the database cannot be reached: {said}")
    if is_conflict(error) or getattr(error, "sqlstate", None) in BUSY:
        return DraganError(ErrorCode.STORAGE_BUSY, f"others hold what is needed: {said}")
    return DraganError(ErrorCode.STORAGE_FAILED, said)


def unknown(error: BaseException) -> DraganError:
    """The connection broke during the commit, and the server could not be asked whether it was stored."""
    return DraganError(
        ErrorCode.STORAGE_FAILED,
        "the connection broke during the commit and the database cannot say yet whether it was stored; "
        f"the very same request may be repeated: {' '.join(str(error).split())}",
    )
