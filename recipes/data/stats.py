"""`weaksync data stats`: count a shard set as the papers' tables do, or a published release as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ...datamodules.index import open_set
from ...datamodules.manifest import CLIPS, Manifest
from ...datamodules.records import AnnotatedVideo
from ..console import err, print_table, progress
from ..counting.clips import FUNNEL, ClipCounts, count_clips, funnel_rows
from ..counting.releases import MsymonCounts, msymon_counts, yms_counts
from ..counting.sets import SetCounts, count
from ..options import refuse_options
from ..published import languages_present, release
from ..scoring import paper
from .check import words

RELEASES = {"msymon": ("m-symon", "annotations"), "yms": ("yms", "clip_segmentation.txt")}


def shard_stats(folder: str | Path) -> dict[str, SetCounts]:
    """Counts by language of a shard set, from its text records alone.  Raises as `datamodules.index.open_set`."""
    shards = open_set(folder)

    def videos() -> Iterator[tuple[str, AnnotatedVideo]]:
        for split in shards.splits:
            for video in shards.videos(split):
                yield split, video

    return count(videos())


def clip_stats(folder: str | Path) -> dict[str, ClipCounts]:
    """Counts by split and domain of a set of conversational clips, and of all.  Raises as `spoken.open_clips`."""
    from ...datamodules.spoken import open_clips, spoken_clip  # torch takes longer to import than other sets to count

    shards = open_clips(folder)
    with progress("clips") as bar:
        entries = bar.track(shards.entries.items(), description="counting")
        return count_clips((entry.split, spoken_clip(shards, name)) for name, entry in entries)


def msymon_stats(root: Path) -> dict[str, MsymonCounts]:
    """Counts by language of the M-SyMoN release, and of all that are there."""
    counts = {language: msymon_counts(root, language) for language in languages_present(root)}
    return counts | {"all": sum(counts.values(), MsymonCounts())}


@click.command()
@click.argument("target")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with m-symon/ and yms/, for msymon and yms.")
@click.option("--figure", type=click.Path(path_type=Path),
              help="Draw the counts of a shard set into this picture; of clips, a sheet of some.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, target: str, data: Path | None, figure: Path | None, as_json: bool) -> None:
    """Count TARGET: the folder of a shard set, or `msymon` or `yms` as they were published.

    A shard set is counted as in Tables 1 and 2 of M-SyMoN.  A word is what stands between spaces; in Chinese, a
    character.  A pair is a clip and the sentence that covers at least half of it.  A set of translations is counted by
    what became of its sentences.  A set of conversational clips is counted as in Table 1 of Video2Subtitle, and with it
    comes how many groups of sentences fell at which step, and why.
    """
    if target in RELEASES:
        if figure is not None:
            raise click.UsageError("--figure draws shard sets; the releases have no clips or no narration times")
        counts = release_stats(target, data)
        show(f"{target}, as published", counts, as_json)
        return
    refuse_options(context, "data", why=f"{target} is a folder, and --data is where the releases msymon and yms lie")
    derived = Manifest.read(Path(target))
    if derived.origin is not None:
        if figure is not None:
            raise click.UsageError(f"--figure draws sets with clips; {target} holds {words(derived.origin)}")
        show(f"{target}: {words(derived.origin)}", derived_stats(derived), as_json)
        return
    if figure is not None:
        from ..report.plots import check_suffix  # matplotlib takes longer to import than the counting

        check_suffix(figure)
    if derived.settings.get("kind") == CLIPS:
        counted = {name: each.table() for name, each in clip_stats(target).items()}
        show_clips(target, counted, derived.settings.get("funnel"), as_json)
        if figure is not None:
            from ..report.contact import contact_sheet

            contact_sheet(target, figure)
            err.print(f"wrote {figure}", highlight=False)
        return
    stats = shard_stats(target)
    show(target, {name: each.table() for name, each in stats.items()}, as_json)
    if figure is not None:
        from ..report.counts import counts_figure

        counts_figure(stats, figure)
        err.print(f"wrote {figure}", highlight=False)


def derived_stats(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """The columns of a derived set's table: videos by language, and what its producer counted of them."""
    counted = manifest.settings.get("sentences", {})
    return {code: {"videos": videos, **counted.get(code, {})} for code, videos in manifest.languages.items()}


def release_stats(target: str, data: Path | None) -> dict[str, dict[str, Any]]:
    """The columns of a release's table.  Raises FileNotFoundError or UsageError where it cannot be found."""
    if data is None:
        raise click.UsageError(f"say where the release lies: weaksync data stats {target} --data FOLDER")
    name, mark = RELEASES[target]
    root = release(data, name, mark)
    if root is None:
        raise FileNotFoundError(f"neither {data / name} nor {data} holds {mark}; that is not the {target} release")
    if target == "msymon":
        return {language: each.table() | paper_figures(language) for language, each in msymon_stats(root).items()}
    return {variant: asdict(yms_counts(root, variant)) for variant in ("sentences", "phrases")}


def paper_figures(language: str) -> dict[str, float | None]:
    """What Table 1 says of the figures that a release has, too."""
    return {
        "paper: listed videos": paper.TABLE_1.cell("videos", language),
        "paper: annotated urls": paper.TABLE_1.cell("annotated videos", language),
    }


def show(title: str, columns: Mapping[str, Mapping[str, Any]], as_json: bool) -> None:
    """Print one row for each figure and one column for each language; what a language lacks stays empty."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [[name.replace("_", " "), *(column.get(name) for column in columns.values())] for name in names]
    print_table(title, ["figure", *columns], rows, as_json=as_json)


def show_clips(
    title: str, columns: Mapping[str, Mapping[str, Any]], funnel: Mapping[str, Any] | None, as_json: bool
) -> None:
    """Print the counts of clips, one column for each split and domain, and the funnel that they came through."""
    if as_json:
        click.echo(json.dumps({"clips": columns, "funnel": funnel}, ensure_ascii=False, indent=2))
        return
    show(title, columns, as_json)
    if funnel is not None:
        print_table("from videos to clips", FUNNEL, funnel_rows(funnel))
