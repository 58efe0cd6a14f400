"""Writing a whole data set in parallel: all of it, or nothing."""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.pairing import EXIF_CHOICES, Exif, Pair, any_size, check_choice
from keras_ctxseg.data_tools.prepare.splitting import Splitting

_SHOWN = 5
# Writes one example into the folder of the new data set; returns how many it became, by split.
Job = Callable[[Path], Mapping[str, int]]


@dataclasses.dataclass(frozen=True)
class PreparedFolder:
    """A data set that was written.

    Attributes:
        path: its folder, for `ctx.data.load("folder", path=...)`.
        splits: number of pairs by split.
        class_names: in the order of the ids.
        skipped: problems of examples and of single shapes that were left out, where that was asked
            for.
        random_seed: of a random split; None where the data's own splits were kept.
    """

    path: Path
    splits: dict[str, int]
    class_names: tuple[str, ...]
    skipped: tuple[FileError, ...]
    random_seed: int | None = None


def write_folder(
    output: str | os.PathLike,
    jobs: Sequence[Job],
    splits: Sequence[str],
    class_file: Mapping[str, Any],
    skip_errors: bool = False,
    problems: list[FileError] | None = None,
    splitting: Splitting | None = None,
) -> PreparedFolder:
    """Run the jobs in parallel, with a progress bar, and publish the folder when all are done.

    Args:
        output: the new folder.
        jobs: what writes the examples.
        splits: the names of the splits, whose folders are made.
        class_file: the content of `classes.json`.
        skip_errors: leave out examples with a problem instead of giving up.
        problems: what was found wrong before; jobs may add single shapes that they leave out.
        splitting: how the examples of the split `""` are distributed once it is known which of
            them could be written.

    Raises:
        ValueError: `output` has files already; problems of examples, the first few of them in
            words; or nothing that could be written. In each case there is no new folder.
    """
    output = Path(output).expanduser()
    problems = [] if problems is None else problems
    _raise_for(problems, skip_errors)
    with new_folder(output) as folder, any_size():
        for split in splits:
            for kind in ("images", "labels"):
                (folder / split / kind).mkdir(parents=True)

        def run(job: Job) -> Mapping[str, int] | FileError:
            try:
                return job(folder)
            except FileError as error:
                return error

        counts = Counter(dict.fromkeys(splits, 0))
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            results = pool.map(run, jobs)
            for result in tqdm(results, f"Writing {output.name}", len(jobs), delay=1.0):
                if isinstance(result, FileError):
                    problems.append(result)
                else:
                    counts.update(result)
        finally:
            pool.shutdown(cancel_futures=True)
        _raise_for(problems, skip_errors)
        if counts.get(""):
            counts = _distribute(folder, splitting or Splitting())
        empty = [split for split, count in counts.items() if not count]
        if empty or not counts:
            raise ValueError(
                f"{output}: nothing to write into {', '.join(filter(None, empty)) or 'it'}; "
                f"{len(problems)} files could not be used"
                + (f", the first: {problems[0]}" if problems else "")
            )
        (folder / "classes.json").write_text(class_file_text(class_file), encoding="utf-8")
    names = tuple(class_file["classes"])
    seed = (splitting or Splitting()).seed if "" in splits else None
    return PreparedFolder(output, dict(counts), names, tuple(problems), seed)


def _raise_for(problems: Sequence[FileError], skip_errors: bool) -> None:
    if problems and not skip_errors:
        lines = [str(problem) for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"... and {len(problems) - _SHOWN} more.")
        raise ValueError("\n".join([*lines, "(--skip-errors leaves such files and shapes out.)"]))


def _distribute(folder: Path, splitting: Splitting) -> Counter[str]:
    """Move what was written into random splits, so that no split loses examples to errors."""
    kinds = ("images", "labels")
    files = {kind: {path.stem: path for path in (folder / kind).iterdir()} for kind in kinds}
    assigned = splitting.assign(list(files["labels"]))
    for split, names in assigned.items():
        for kind in kinds:
            (folder / split / kind).mkdir(parents=True)
            for name in names:
                path = files[kind][name]
                path.rename(folder / split / kind / path.name)
    for kind in kinds:
        (folder / kind).rmdir()
    return Counter({split: len(names) for split, names in assigned.items()})


def note_reading(folder: Path, options: Mapping[str, Any]) -> None:
    """Writes into a data set's class file how its images are read, as `ImageReading` takes it.

    Raises:
        ReadingError: options that do not fit.
    """
    ImageReading.of(options)
    path = folder / "classes.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["images"] = {**content.get("images", {}), **options}
    path.write_text(class_file_text(content), encoding="utf-8")


def class_file_text(content: Mapping[str, Any]) -> str:
    """A class file's text: a key in a line, as people read and edit it."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_pairs(
    output: str | os.PathLike,
    pairs: Mapping[str, Sequence[Pair]],
    class_file: Mapping[str, Any],
    splitting: Splitting | None = None,
    exif: Exif = "auto",
    skip_errors: bool = False,
    problems: list[FileError] | None = None,
) -> PreparedFolder:
    """Write a data set of pairs.

    Args:
        output, class_file, skip_errors, problems: as `write_folder` takes them.
        pairs: by split; those of the split `""` are distributed first.
        splitting: how; 20 % to `val` if not given.
        exif: see `Pair.copy_into`.

    Raises:
        ValueError: as `write_folder`, or where a name occurs twice.
    """
    check_choice("exif", exif, EXIF_CHOICES)
    by_name = {split: _unique_names(some) for split, some in pairs.items()}

    def copy(split: str, pair: Pair, folder: Path) -> dict[str, int]:
        pair.copy_into(folder / split, exif)
        return {split: 1}

    jobs = [
        functools.partial(copy, split, pair)
        for split, some in by_name.items()
        for pair in some.values()
    ]
    return write_folder(output, jobs, list(by_name), class_file, skip_errors, problems, splitting)


def _unique_names(pairs: Sequence[Pair]) -> dict[str, Pair]:
    by_name: dict[str, Pair] = {}
    for pair in pairs:
        if pair.name in by_name:
            text = f"expected one file for each name. Found: {by_name[pair.name].source} as well"
            raise FileError("same_name", pair.source, text)
        by_name[pair.name] = pair
    return by_name


@contextlib.contextmanager
def new_folder(output: str | os.PathLike) -> Iterator[Path]:
    """A temporary folder beside `output` that becomes it when the block ends well.

    After an error the temporary folder is removed. A killed process leaves it behind, under the
    name `.<output>.partial`; the next one starts anew and replaces it. Two processes that make
    the same folder at the same time do not: the second is refused.

    Raises:
        ValueError: `output` exists and is not empty, or is being made.
    """
    output = Path(output).expanduser()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(
            f"{output}: expected a folder that does not exist yet, so that nothing is overwritten. "
            "Found: " + ("one with files in it" if output.is_dir() else "a file")
        )
    partial = output.absolute().parent / f".{output.absolute().name}.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    with _lock(partial.with_suffix(".lock"), output):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            os.replace(partial, output)  # An empty folder of that name gives way.
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path, output: Path) -> Iterator[None]:
    """Held by one process; the system lets go of it however that process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"{output}: another process is making this folder") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
