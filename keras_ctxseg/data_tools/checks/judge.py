"""From facts about pairs and splits to findings, duplicate images among them."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_ctxseg.data.folder_layout import ExamplePaths
from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data_tools.checks.example import ExampleFacts
from keras_ctxseg.data_tools.checks.findings import Finding, SplitFacts

_MOSTLY = 0.5
_EXIF = {
    "upright": "turned as its EXIF orientation says; its mask must be upright too, unless its size "
    "says otherwise",
    "keep": "its EXIF orientation turns or mirrors it in viewers; here it is read as stored, so "
    "its mask must match the stored pixels",
}
_FULL = 65535
_NARROW = 0.25  # of 16 bits


def judge_values(
    examples: Sequence[ExampleFacts], reading: ImageReading, root: Path
) -> list[Finding]:
    """What is wrong with the images' values and channels as a whole."""
    findings = []
    counts = Counter(facts.channels for facts in examples if facts.channels)
    usual = counts.most_common(1)[0][0] if counts else 0
    for facts in examples:
        if facts.channels not in (0, usual):
            text = f"expected {usual} channels, as most images have. Found: {facts.channels}"
            findings.append(Finding("image_values", facts.example.image, text))
    wide = [facts.values for facts in examples if facts.values and facts.values[0] == "uint16"]
    if wide and reading.range is None:
        low, high = min(value[1] for value in wide), max(value[2] for value in wide)
        if high < _NARROW * _FULL:
            text = (
                f"16-bit values of {low:.0f} ... {high:.0f} only ({len(wide)} images), which "
                f"become {int(low) >> 8} ... {int(high) >> 8} of 255: nearly black"
            )
            findings.append(Finding("narrow_range", root, text))
    dropped = [facts.example.image for facts in examples if facts.drops_alpha]
    if dropped:
        text = f"its transparency varies and is not read ({len(dropped)} such images)"
        findings.append(Finding("alpha_dropped", dropped[0], text))
    return findings


def judge_example(
    facts: ExampleFacts, class_names: Sequence[str], reading: ImageReading
) -> list[Finding]:
    """What is wrong with one pair."""
    findings = [Finding.of(error) for error in facts.errors]
    mask = facts.example.mask
    if facts.turned:
        findings.append(Finding("exif_turned", facts.example.image, _EXIF[reading.exif]))
    if facts.lossy:
        text = "a JPEG: its coding changes ids along every edge; masks are best kept as PNG"
        findings.append(Finding("lossy_mask", mask, text))
    pixels = sum(facts.raw.values())
    if pixels and facts.ignored == pixels:
        findings.append(Finding("all_ignored", mask, "every pixel is void; nothing is learnt here"))
    elif pixels and facts.pixels.size and facts.pixels.max() == pixels:
        name = class_names[int(facts.pixels.argmax())]
        findings.append(Finding("constant_mask", mask, f"every pixel is {name!r}"))
    return findings


def judge_repetitions(
    examples: Sequence[ExampleFacts],
    everything: Sequence[tuple[str, ExamplePaths]],
    root: Path,
) -> list[Finding]:
    """Images that occur twice, in one split or in two.

    Args:
        examples: the pairs that were opened.
        everything: all pairs, with their splits; those that were opened are compared with them by
            content, and among themselves by look.
        root: messages name files from here.
    """
    # The training split comes first, so that a copy is named in the split that it spoils.
    everything = sorted(everything, key=lambda pair: pair[0] != "train")
    pairs = {example.image: (split, example) for split, example in everything}
    opened = {facts.example.image for facts in examples}
    findings, copies = [], set()
    for original, *others in same_content(pairs, None if len(opened) == len(pairs) else opened):
        split, example = pairs[original]
        for copy in others:
            copies.add(copy)
            masks = [path for path in (example.mask, pairs[copy][1].mask) if path.is_file()]
            differ = len({content_hash(mask) for mask in masks}) > 1
            text = f"the same bytes as {original.relative_to(root)}"
            text += ", with another mask" if differ else ""
            code = "duplicate" if pairs[copy][0] == split else "leakage"
            findings.append(Finding(code, copy, text))

    alike = sorted(
        (facts for facts in examples if facts.thumbnail is not None),
        key=lambda facts: facts.split != "train",
    )
    thumbnails = [facts.thumbnail for facts in alike if facts.thumbnail is not None]
    for earlier, later in near_pairs(thumbnails):
        one, other = alike[earlier], alike[later]
        if other.example.image not in copies:
            code = "near_duplicate" if one.split == other.split else "near_leakage"
            text = f"looks like {one.example.image.relative_to(root)}"
            findings.append(Finding(code, other.example.image, text))
    return findings


def judge_splits(
    splits: Mapping[str, SplitFacts], class_names: Sequence[str], root: Path
) -> list[Finding]:
    """What is wrong with whole splits; what is absent is told only where all pairs were opened."""
    findings = []
    if len(splits) == 1:
        text = f"only the split {next(iter(splits))!r}; training needs one to validate on"
        findings.append(Finding("no_validation", root, text))
    elif splits and not {"train", "val"} <= splits.keys():
        text = f"the splits are {', '.join(splits)}; recipes train on 'train' and validate on 'val'"
        findings.append(Finding("split_names", root, text))
    train = splits.get("train")
    for split, facts in splits.items():
        folder = root / split / "labels"
        if facts.ignored_share > _MOSTLY:
            text = f"{100 * facts.ignored_share:.0f} % of the pixels are void"
            findings.append(Finding("mostly_ignored", folder, text))
        present = np.flatnonzero(facts.pixels).tolist()
        if not facts.complete or not present:
            continue
        if split == "train" and len(present) == 1:
            text = f"expected two classes or more. Found: {class_names[present[0]]!r} alone"
            findings.append(Finding("one_class", folder, text))
        for index in np.flatnonzero(facts.pixels == 0).tolist():
            text = f"class {class_names[index]!r} (id {index}) has no pixel here"
            if split == "train":
                text += "; it cannot be learnt"
            elif train is not None:
                text += f", {train.pixels[index]:,} in train; its IoU cannot be measured"
            findings.append(Finding("absent_class", folder, text))
    return findings


_LARGEST_DIFFERENCE = 1.5  # grey levels between thumbnails, on average
_RELATIVE_DIFFERENCE = 0.05  # of a thumbnail's standard deviation


def same_content(paths: Iterable[Path], wanted: Collection[Path] | None = None) -> list[list[Path]]:
    """Groups of two files or more with the same bytes, in the order of `paths`.

    Only files of the same size are read.

    Args:
        paths: the files; those that are gone or empty are left out.
        wanted: only groups with one of these; None is all.
    """
    sizes = defaultdict(list)
    for path in paths:
        if path.is_file() and path.stat().st_size:
            sizes[path.stat().st_size].append(path)
    groups = []
    for alike in sizes.values():
        if len(alike) < 2 or (wanted is not None and not any(path in wanted for path in alike)):
            continue
        contents = defaultdict(list)
        for path in alike:
            contents[content_hash(path)].append(path)
        groups += [
            group
            for group in contents.values()
            if len(group) > 1 and (wanted is None or any(path in wanted for path in group))
        ]
    return groups


def content_hash(path: Path) -> bytes:
    """A hash of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha1").digest()


def near_pairs(thumbnails: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs `(earlier, later)` of images that look the same: another coding, another size.

    For each image the first earlier one, if any, whose thumbnail differs by 1.5 grey levels at
    most on average, and by 5 % of the thumbnail's standard deviation at most, so that pale images
    are not all alike.

    Args:
        thumbnails: uint8, all of one shape `(side, side, 3)`, side a multiple of 4.
    """
    if len(thumbnails) < 2:
        return []
    full = np.stack(thumbnails).astype(np.float32)
    count, side = full.shape[:2]
    limits = np.minimum(_LARGEST_DIFFERENCE, _RELATIVE_DIFFERENCE * full.std(axis=(1, 2, 3)))
    # Means never differ by more than the pixels do: sorted by them, few candidates remain.
    coarse = full.reshape(count, 4, side // 4, 4, side // 4, 3).mean(axis=(2, 4))
    means = full.mean(axis=(1, 2, 3))
    order = np.argsort(means, kind="stable")
    ends = np.searchsorted(means[order], means[order] + limits[order], side="right")
    first: dict[int, int] = {}
    for place, end in enumerate(ends):
        one, others = order[place], order[place + 1 : end]
        for arrays in (coarse, full):
            difference = np.abs(arrays[others] - arrays[one]).mean(axis=(1, 2, 3))
            others = others[difference <= np.minimum(limits[one], limits[others])]
        for other in others:
            earlier, later = sorted((int(one), int(other)))
            first[later] = min(earlier, first.get(later, earlier))
    return sorted((earlier, later) for later, earlier in first.items())
