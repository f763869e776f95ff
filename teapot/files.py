"""Writing several files as one: beside their places first, then renamed, all or none.

While a run writes `train.jsonl` and its companions, everything lies in the folder
`.train.teapot-run` beside them, which is locked. When all files are whole and on disk, a journal
in that folder names the renames; from then on they will happen, if need be in the next run that
looks here (`recover`). A run that is killed before leaves nothing but that folder, which the next
run removes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from tempfile import NamedTemporaryFile

from teapot.errors import DataError, OutputError, Problem
from teapot.shards import order_name, shard_name, stem_of

_JOURNAL = "commit.json"
_VALIDATION = ".validation.jsonl"
_MAX_JOURNAL_BYTES = 16 << 20
"""What the names of `MAX_SHARDS` shards, put in place and removed, come to."""


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """The files of one composition; all share a folder and a stem.

    Where the data is cut into shards, `data` is the name that they have as a whole.
    """

    data: Path

    @property
    def stem(self) -> str:
        """Return the data file's name without `.jsonl`."""
        return self.data.name.removesuffix(".jsonl")

    @property
    def ledger(self) -> Path:
        """Return the ledger's path."""
        return self.data.with_name(f"{self.stem}.ledger.parquet")

    @property
    def manifest(self) -> Path:
        """Return the manifest's path."""
        return self.data.with_name(f"{self.stem}.manifest.json")

    @property
    def attribution(self) -> Path:
        """Return the path of the file that names whose data it is."""
        return self.data.with_name(f"{self.stem}.ATTRIBUTION.md")

    @property
    def validation(self) -> Path:
        """Return the path of the records that are held out."""
        return self.data.with_name(f"{self.stem}{_VALIDATION}")

    @property
    def bundle(self) -> Path:
        """Return the signature's path."""
        return self.data.with_name(f"{self.stem}.manifest.sigstore.json")

    def all_bundles(self) -> list[Path]:
        """Return the signatures that lie there: the first, then those of further signers."""
        start, end = f"{self.stem}.manifest.", ".sigstore.json"
        others = [
            path
            for path in self.data.parent.glob(f"{_escaped(start)}*{end}")
            # `mix.manifest.b.manifest.sigstore.json` is of another composition, `mix.manifest.b`.
            if "." not in path.name.removeprefix(start).removesuffix(end)
        ]
        return [path for path in (self.bundle, *sorted(others)) if os.path.lexists(path)]

    @classmethod
    def of_file(cls, path: Path) -> OutputPaths:
        """Return the composition of a data file, of one of its shards, or of a validation file."""
        stem = stem_of(path.name)
        if path.name.endswith(_VALIDATION) and path.name != _VALIDATION:
            stem = path.name.removesuffix(_VALIDATION)
        own = cls(path)
        if stem is None or os.path.lexists(own.manifest):
            return own
        return cls(path.with_name(f"{stem}.jsonl"))

    def shards(self, count: int) -> tuple[Path, ...]:
        """Return where so many shards lie, in order."""
        names = (shard_name(self.stem, number, count) for number in range(count))
        return tuple(self.data.with_name(name) for name in names)

    def all_shards(self) -> list[Path]:
        """Return the files that lie there under the name of a shard, of however many, sorted."""
        found = self.data.parent.glob(f"{_escaped(self.stem)}-*-of-*.jsonl")
        return sorted(path for path in found if stem_of(path.name) == self.stem)

    def orders(self, count: int) -> tuple[Path, ...]:
        """Return where the orders of so many epochs lie, that of the first epoch first."""
        names = (order_name(self.stem, epoch) for epoch in range(1, count + 1))
        return tuple(self.data.with_name(name) for name in names)

    def all_orders(self) -> list[Path]:
        """Return the files that lie there under the name of an order, of any epoch, sorted."""
        found = self.data.parent.glob(f"{_escaped(self.stem)}.epoch-*.order")
        names = re.compile(rf"{re.escape(self.stem)}\.epoch-[1-9][0-9]*\.order")
        return sorted(path for path in found if names.fullmatch(path.name))

    @property
    def run_folder(self) -> Path:
        """Return the folder in which a run prepares its files."""
        return self.data.with_name(f".{self.stem}.teapot-run")


@dataclass(frozen=True, slots=True)
class Stage:
    """The locked folder of one run; files put here by their final names are renamed by `commit`."""

    folder: Path

    def path(self, final: Path) -> Path:
        """Return where a file is prepared that will end at `final`."""
        return self.folder / final.name

    def commit(self, finals: Sequence[Path], *, stale: Sequence[Path] = ()) -> None:
        """Put all prepared files in their places and remove the stale; once begun, it will end."""
        for final in finals:
            _sync(self.path(final))
        journal = self.folder / _JOURNAL
        draft = self.folder / f"{_JOURNAL}.draft"
        plan = {"rename": [path.name for path in finals], "remove": [path.name for path in stale]}
        draft.write_text(json.dumps(plan), encoding="utf-8")
        _sync(draft)
        with _signals_held():
            draft.replace(journal)
            _sync(self.folder)
            _finish(self.folder)


@contextmanager
def staged(paths: OutputPaths, shards: Sequence[Path] = ()) -> Iterator[Stage]:
    """Give a locked, empty folder beside the output; remove it in the end, whatever happens.

    `shards` are where data goes that is cut, or held out, and orders of epochs.

    Raises:
        OutputError: the folder is missing, read-only or full, or another run writes this output.
    """
    parent = paths.data.parent
    if not parent.is_dir():
        raise OutputError(Problem(str(parent), "no such folder; create it, or choose -o elsewhere"))
    for final in (paths.data, *shards, paths.ledger, paths.manifest, *paths.all_bundles()):
        if final.is_dir():
            raise OutputError(Problem(str(final), "is a folder, expected the name of a file"))
    with _explained(paths), _locked(paths.run_folder, create=True) as folder:
        _finish(folder)
        _empty(folder)
        try:
            yield Stage(folder)
        finally:
            if not (folder / _JOURNAL).exists():
                shutil.rmtree(folder, ignore_errors=True)


def recover(paths: OutputPaths) -> None:
    """Finish the renames of a run that was killed while it put its files in place."""
    if not (paths.run_folder / _JOURNAL).exists():
        return
    try:
        with _explained(paths), _locked(paths.run_folder, create=False) as folder:
            _finish(folder)
            shutil.rmtree(folder, ignore_errors=True)
    except FileNotFoundError:
        return  # another run has finished it


def open_regular(path: Path) -> BufferedReader:
    """Return a regular file, opened to read; a pipe or a device is refused, and never waited for.

    Raises:
        OSError: it is missing, cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def write_atomically(path: Path, data: bytes) -> None:
    """Write one small file whole or not at all: beside its place first, then renamed."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        try:
            draft.write(data)
            draft.flush()
            os.fsync(draft.fileno())
            os.fchmod(draft.fileno(), 0o644)
            Path(draft.name).replace(path)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


@contextmanager
def alone_in(folder: Path, *, mode: int = 0o777) -> Iterator[None]:
    """Hold off other runs that change a file of a folder, made if need be: lines would be lost."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _escaped(name: str) -> str:
    """Return a name in which no character means anything to `glob`."""
    return re.sub(r"([*?[])", r"[\1]", name)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let no interrupt in between the journal and the last rename; it is delivered after them."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


@contextmanager
def _locked(folder: Path, *, create: bool) -> Iterator[Path]:
    """Hold a lock on a folder that no other run may have replaced or removed meanwhile."""
    while True:
        if create and not folder.is_symlink():
            folder.mkdir(exist_ok=True)
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            if create:
                continue
            raise
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            message = "is not a folder of Teapot's; remove it"
            raise OutputError(Problem(str(folder), message)) from error
        try:
            _lock(handle, folder)
            if _is_same(handle, folder):
                yield folder
                return
        finally:
            os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        output = folder.name.removeprefix(".").removesuffix(".teapot-run")
        message = "another run is writing this output; wait for it, or choose another with -o"
        raise OutputError(Problem(str(folder.with_name(output)), message)) from error


def _is_same(handle: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False


def _finish(folder: Path) -> None:
    """Do what the journal names and is not done yet."""
    journal = folder / _JOURNAL
    if not journal.exists():
        return
    plan = _planned(journal)
    for name in plan["remove"]:
        (folder.parent / name).unlink(missing_ok=True)
    for name in plan["rename"]:
        prepared = folder / name
        if prepared.exists():
            prepared.replace(folder.parent / name)
    _sync(folder.parent)
    journal.unlink()


def _planned(journal: Path) -> dict[str, list[str]]:
    """Return what a journal names: files of the folder's own composition, and never another.

    Raises:
        DataError: no run of Teapot's has written this journal; nothing of it is done.
    """
    stem = re.escape(journal.parent.name.removeprefix(".").removesuffix(".teapot-run"))
    bundles = stem + r"\.manifest(\.[^./]+)?\.sigstore\.json"
    data = stem + r"(-[0-9]{5}-of-[0-9]{5})?\.jsonl"
    beside = stem + r"\.(ATTRIBUTION\.md|validation\.jsonl|epoch-[1-9][0-9]{0,3}\.order)"
    names = stem + rf"\.(ledger\.parquet|manifest\.json)|{beside}|{data}|{bundles}"
    try:
        with open_regular(journal) as file:
            plan = json.loads(file.read(_MAX_JOURNAL_BYTES))
        found = {key: plan[key] for key in ("rename", "remove")}
        # What a run puts in place is files of its own. It removes no more than signatures, data
        # that was cut in another way, for which it has other data, and such data's attribution,
        # what was held out of it, and orders.
        is_own = all(re.fullmatch(names, name) for name in found["rename"])
        has_data = any(re.fullmatch(data, name) for name in found["rename"])
        removed = rf"{bundles}|{data}|{beside}" if has_data else bundles
        is_own &= all(re.fullmatch(removed, name) for name in found["remove"])
        is_own &= not any(_is_no_file(journal.parent / name) for name in found["rename"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        is_own = False
    if not is_own:
        told = "is no journal of an interrupted run, though it lies where one would; remove it"
        raise DataError(Problem(str(journal), told))
    return found


def _is_no_file(path: Path) -> bool:
    """Tell whether something lies there that is no regular file."""
    return os.path.lexists(path) and (path.is_symlink() or not path.is_file())


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explained(paths: OutputPaths) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full; nothing was changed; choose -o elsewhere",
            errno.EDQUOT: "the disk quota is used up; nothing was changed",
            errno.EACCES: "no permission to write here; choose -o elsewhere",
            errno.EPERM: "no permission to write here; choose -o elsewhere",
            errno.EROFS: "the file system is read-only; choose -o elsewhere",
        }
        if error.errno not in reasons:
            raise
        raise OutputError(Problem(str(paths.data.parent), reasons[error.errno])) from error
