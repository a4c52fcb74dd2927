"""A world as M-SyMoN has it: stories of each language's own, most of them with nothing but subtitles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ...datamodules.files import whole_file
from ...datamodules.manifest import MANIFEST
from ...datamodules.world import LANGUAGES, generate
from ..building.shots import choose
from ..building.sources import Narration
from ..building.story_clips import Pictures
from ..building.story_set import Settings, build_story

WORLD, TOLD, SHARDS = "world", "told", "shards"
#: of the training stories, the first so many of each language are annotated; in M-SyMoN one in a hundred is
ANNOTATED_SHARE = 0.1

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WorldSize:
    """How large a world is.

    Attributes:
        stories: of each language; one in twelve is for validation, one in five for test.
        languages: codes.
        seed: of everything.
    """

    stories: int = 70
    languages: tuple[str, ...] = LANGUAGES
    seed: int = 0


def in_world(folder: Path, asked: Iterable[str] = ()) -> tuple[str, ...]:
    """The languages of the world that is below `folder`; where there is none, those that it is to have.

    Args:
        folder: of the world.
        asked: codes; none asks for all that a world can have.

    Raises:
        ValueError: the world that is there lacks some, or no world has them, or English is asked for by itself.
    """
    wanted = set(asked) or set(LANGUAGES)
    if unknown := sorted(wanted - set(LANGUAGES)):
        raise ValueError(f"a world does not speak {', '.join(unknown)}; it speaks {', '.join(LANGUAGES)}")
    made = folder / WORLD / "world.json"
    if made.is_file():
        there = json.loads(made.read_text(encoding="utf-8"))["settings"]["languages"]
        if lacking := [code for code in LANGUAGES if code in wanted and code not in there]:
            raise ValueError(
                f"{folder} holds a world in {', '.join(there)}, without {', '.join(lacking)}: "
                f"{' '.join(f'--language {code}' for code in there)} takes it, another folder makes another"
            )
        return tuple(there)
    if wanted == {"en"}:
        raise ValueError("a world in en alone has nothing to translate: ask for another language too")
    return tuple(code for code in LANGUAGES if code in wanted)


def world_set(
    folder: Path,
    size: WorldSize,
    *,
    jobs: int = 1,
    filmed: Progress | None = None,
    started: Callable[[int], None] | None = None,
    built: Callable[[], None] | None = None,
) -> Path:
    """Make a world below `folder`, tell each of its films in one language, and build one shard set of all.

    Films are dealt to the languages in turn, so a language learns nothing from another's films that it could not from
    films of its own.  Validation and test are annotated throughout, of training one story in ten.  What an earlier call
    made is kept.

    Returns:
        The folder of the shard set.

    Raises:
        ValueError: `folder` holds a world of another size.
    """
    world, told, shards = folder / WORLD, folder / TOLD, folder / SHARDS
    count = len(size.languages)
    generate(
        world,
        stories=size.stories * count,
        seed=size.seed,
        languages=size.languages,
        jobs=jobs,
        progress=filmed,
    )
    if (shards / MANIFEST).is_file():
        return shards
    splits = json.loads((world / "splits.json").read_text(encoding="utf-8"))
    narrations = []
    for place, language in enumerate(size.languages):
        own = {split: [name for name in names if _number(name) % count == place] for split, names in splits.items()}
        narrations.append(_tell(world, told, language, own))
    build_story(
        world / "videos",
        narrations,
        shards,
        Settings(choose("content"), Pictures(size=64)),
        splits=world / "splits.json",
        jobs=jobs,
        started=started,
        advance=built,
    )
    return shards


def _tell(world: Path, told: Path, language: str, own: dict[str, list[str]]) -> Narration:
    """Subtitles and annotations of a language's own stories."""
    subtitles = told / language
    subtitles.mkdir(parents=True, exist_ok=True)
    for name in (name for names in own.values() for name in names):
        shutil.copy2(world / "subtitles" / language / f"{name}.srt", subtitles / f"{name}.srt")
    rows = json.loads((world / "annotations" / f"{language}.json").read_text(encoding="utf-8"))
    some = own["train"][: max(1, round(ANNOTATED_SHARE * len(own["train"])))]
    kept = {name: rows[name] for name in (*some, *own["val"], *own["test"])}
    with whole_file(told / f"{language}.json") as file:
        file.write(json.dumps(kept, ensure_ascii=False, indent=1).encode())
    return Narration(language, subtitles, told / f"{language}.json", "decimal")


def _number(story: str) -> int:
    return int(story.rpartition("-")[2])
