"""Which story trains, validates and tests: always a whole story, in all of its languages."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path

from ...datamodules.records import SPLITS

#: shares of the annotated stories (M-SyMoN, section 4.4); the rest is test
TRAIN, VAL = 0.2, 0.2


def assign(annotated: dict[str, list[str]], given: dict[str, str] | None, seed: int) -> dict[str, str]:
    """Story -> split.

    Args:
        annotated: story -> languages in which people annotated it.
        given: story -> split as a file says; stories that it lacks train, unless they are annotated.
        seed: of the order in which annotated stories are divided, where nothing is given.

    Raises:
        ValueError: an annotated story is in no given split.
    """
    if given is not None:
        if lost := [story for story, languages in annotated.items() if languages and story not in given]:
            raise ValueError(f"{len(lost)} annotated videos are in no split, such as {lost[0]!r}; add them to the file")
        return {story: given.get(story, "train") for story in annotated}
    # stories with the same languages are divided among themselves, so that each language is divided alike
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    splits = {}
    for story, languages in annotated.items():
        if languages:
            alike[tuple(sorted(languages))].append(story)
        else:
            splits[story] = "train"
    for stories in alike.values():
        stories.sort(key=lambda story: hashlib.sha256(f"{seed}/{story}".encode()).digest())
        train, val = round(TRAIN * len(stories)), round(VAL * len(stories))
        for number, story in enumerate(stories):
            splits[story] = "train" if number < train else "val" if number < train + val else "test"
    return splits


def read_splits(path: Path) -> dict[str, str]:
    """Story -> split from a JSON file of split -> stories.  Raises ValueError for anything else, or a story twice."""
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [(str(story), str(split)) for split, stories in content.items() for story in stories]
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as fault:
        raise ValueError(
            f'{path}: should be {{"train": ["story", ...], "val": [...], "test": [...]}} ({fault})'
        ) from fault
    splits = dict(rows)
    if unknown := sorted(set(splits.values()) - set(SPLITS)):
        raise ValueError(f"{path}: split {unknown[0]!r}; a story is in train, val or test")
    if len(splits) < len(rows):
        seen: set[str] = set()
        twice = next(story for story, _ in rows if story in seen or seen.add(story))  # type: ignore[func-returns-value]
        raise ValueError(f"{path}: {twice!r} is in two splits")
    return splits
