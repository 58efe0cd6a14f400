"""Where a study is kept: a journal file, a database, or a gRPC server in front of one."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ctxseg.runs.config import ConfigError

if TYPE_CHECKING:
    import optuna


def open_storage(location: str) -> optuna.storages.BaseStorage:
    """Opens, and makes where need be, a storage.

    Args:
        location: path of a journal file, an SQLAlchemy URL (`sqlite:///study.db`), or
            `grpc://HOST:PORT`.

    Raises:
        ConfigError: it cannot be opened; with the reason.
    """
    from optuna.storages import GrpcStorageProxy, JournalStorage
    from optuna.storages.journal import JournalFileBackend

    scheme, separator, rest = location.partition("://")
    try:
        if not separator:
            path = Path(location)
            path.parent.mkdir(parents=True, exist_ok=True)
            lock: Any = JournalLock(path)  # What Optuna asks of a lock, without its base class.
            with lock:  # Whoever died while writing is tidied up after before anybody reads.
                pass
            return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        if scheme == "grpc":
            host, _, port = rest.rpartition(":")
            if not host or not port.isdigit():
                raise ValueError("expected grpc://HOST:PORT")
            proxy = GrpcStorageProxy(host=host, port=int(port))
            proxy.wait_server_ready(timeout=30)
            return proxy
        if scheme == "sqlite":
            Path(rest.removeprefix("/")).parent.mkdir(parents=True, exist_ok=True)
            storage = _open_database(location, {"connect_args": {"timeout": 120}})
            _take_turns(storage.engine)
            return storage
        return _open_database(location, {"pool_pre_ping": True})
    except Exception as error:  # Each database's driver has its own.
        reason = " ".join(str(error).split())
        raise ConfigError(f"`storage`: cannot open {location!r}: {reason}") from None


def _open_database(url: str, engine: dict[str, Any]) -> optuna.storages.RDBStorage:
    """Opens a database; of several workers that make its tables at once, all but one try again."""
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    for _ in range(4):
        try:
            return RDBStorage(url, engine_kwargs=engine)
        except (IntegrityError, OperationalError, ProgrammingError):
            time.sleep(0.5)
    return RDBStorage(url, engine_kwargs=engine)


def _take_turns(engine: Any) -> None:
    """Has SQLite lock at the beginning of a transaction.

    It knows no rows that are locked while they are read, so that two workers could read that a
    trial waits, and both take it.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def unbegun(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # The driver is not to begin transactions by itself.

    @event.listens_for(engine, "begin")
    def locked(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # Connections from before.


class FileLock:
    """An exclusive lock that its owner's death releases, for a `with` block.

    Args:
        path: a file for the lock; it stays.
    """

    def __init__(self, path: Path):
        self._path = path
        self._file: Any = None

    def acquire(self) -> bool:
        """Waits for the lock."""
        file = self._path.open("a+b")
        _lock(file)
        self._file = file
        return True

    def release(self) -> None:
        """Gives it back."""
        file, self._file = self._file, None
        file.close()

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class JournalLock(FileLock):
    """The lock of a journal file.

    Optuna's own locks are files that a killed process leaves behind, for 30 seconds in which nobody
    else may write. Whoever gets this lock also removes half a line at the journal's end, which a
    process killed in the middle of writing leaves and which no reader gets over once another line
    follows it.

    Args:
        journal: the journal file; the lock is a file beside it.
    """

    def __init__(self, journal: Path):
        super().__init__(journal.with_name(journal.name + ".lock"))
        self._journal = journal

    def acquire(self) -> bool:
        """Waits for the lock, and tidies up after whoever died while writing."""
        super().acquire()
        _drop_half_line(self._journal)
        return True


def _lock(file: Any) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        return
    import msvcrt  # pragma: no cover - Windows

    while True:  # pragma: no cover - `LK_LOCK` gives up after ten seconds
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return
        except OSError:
            time.sleep(0.01)


def _drop_half_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < file.seek(0, os.SEEK_END):
            file.truncate(end)


def serve(location: str, address: str) -> None:
    """Offers a storage through gRPC, until interrupted.

    Args:
        location: as for `open_storage`.
        address: `HOST:PORT` to listen at.

    Raises:
        ConfigError: an address that cannot be read, or a storage that cannot be opened.
    """
    from optuna.storages import run_grpc_proxy_server

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(
            f"`--serve`: expected HOST:PORT, as in 0.0.0.0:13000. Received: {address!r}"
        )
    print(f"Offering {location} at {address}; workers say storage=grpc://THIS_HOST:{port}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_grpc_proxy_server(open_storage(location), host=host, port=int(port))
