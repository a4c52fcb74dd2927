"""A synthetic world written as YMS was published: its films are the movies, its cuts the published clips."""

from __future__ import annotations

import json
from pathlib import Path

LISTS = {"train": "training_split.txt", "val": "val_split.txt", "test": "test_split.txt"}


def yms_release(world: Path, folder: Path) -> Path:
    """Write the text files of the release beside ``videos/0000.mp4``, ...; returns `folder`.

    Args:
        world: what `weaksync data world --language en` made.
        folder: to write to.
    """
    (folder / "videos").mkdir(parents=True)
    told = json.loads((world / "annotations" / "en.json").read_text(encoding="utf-8"))
    shots = json.loads((world / "shots.json").read_text(encoding="utf-8"))
    number = {story: f"{place:04d}" for place, story in enumerate(sorted(told))}
    clips: list[str] = []
    phrases: list[str] = []
    for story, video in number.items():
        (folder / "videos" / f"{video}.mp4").symlink_to((world / "videos" / f"{story}.mp4").resolve())
        clips += [f"{video}/{video}_{_span(*shot)}" for shot in shots[story]]
        end = 0.0
        for row in told[story]:
            if row["matched"] == "yes":
                if row["begin_time"] > end:
                    phrases.append(f"{video}_{_span(end, row['begin_time'])}\tUNMATCHED")
                phrases.append(f"{video}_{_span(row['begin_time'], row['end_time'])}\t{row['text']}")
                end = row["end_time"]
            else:
                phrases.append(f"{video}_{_span(end, end + 1)}\tUNMATCHED: {row['text']}")
    splits = json.loads((world / "splits.json").read_text(encoding="utf-8"))
    files = {
        "clip_segmentation.txt": clips,
        "annotations_phrases.txt": phrases,
        "url_list.txt": [f"{video}    https://youtu.be/id-{video}" for video in number.values()],
        "movie_list.txt": [f"{video}\tA film in one minute" for video in number.values()],
    } | {name: [number[story] for story in splits[split]] for split, name in LISTS.items()}
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _span(start: float, end: float) -> str:
    return f"{_stamp(start)}-{_stamp(end)}"


def _stamp(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}.{whole // 60 % 60:02d}.{whole % 60:02d}.{thousandths:03d}"
