"""`weaksync align`: which clips of a video each sentence of a text describes, as JSON, subtitles and a report."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from math import nan
from pathlib import Path
from urllib.parse import quote

import click
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from ..datamodules import media
from ..datamodules.captions import Cut
from ..datamodules.files import whole_path, write_whole
from ..datamodules.pairs import decode_frames
from ..datamodules.records import Sentence
from ..zoo.decoding import DEFAULT, Decoder, chance_of_order, narration_gaps
from ..zoo.models.dual_encoder import DualEncoder
from .alignment import Alignment
from .building.shots import METHODS, Method, choose
from .building.story_clips import Clips, Pictures, cut_video
from .console import err, print_table, progress
from .models import dual_encoder
from .narration import known_language, read_sentences
from .runs import writable

JSON, SRT, REPORT = "alignment.json", "alignment.srt", "report.html"
#: up to so many clips, pictures of this height in the report: large where they are few, 2 KB each where they are many
PICTURE_HEIGHTS = ((150, 144), (600, 90), (10**9, 64))
#: with fewer sentences, too few orders are random to tell anything
LEAST_SENTENCES = 5
#: at most so many random orders may do as well as the true one
SURE = 0.05

Track = Callable[[int, int], None]


def align(
    model: DualEncoder | str | Path,
    video: str | Path,
    text: str | Path | Sequence[str] | Sequence[Sentence],
    *,
    language: str | None = None,
    decoder: Decoder | None = None,
    within: float | None = None,
    band: int | None = None,
    shots: Method = "auto",
    weights: str | Path | None = None,
    sentences: Cut = "auto",
    encoding: str | None = None,
    batch_size: int = 32,
    track: Track | None = None,
) -> Alignment:
    """Align a video with its text, as evaluation does with the shards that `weaksync data build` makes of both.

    Of a long video, memory holds the JPEG pictures of each clip, and `batch_size` clips as the model wants them.

    Args:
        model: or the folder of a run, or what `zoo.load` reads: a checkpoint folder, a hub address or a name.
        video: any file that FFmpeg reads.
        text: a subtitle file, a plain text file, or the sentences themselves.
        language: code of the text's language; if None the model's only one, or English.
        decoder: settings that turn similarities into labels; those tuned with the model if None.
        within: a clip may show only what is told at most so many seconds away from it; the text must have times.
        band: a clip may show only a sentence at most so many places away from where an even pace would be; for a film
            and its long synopsis.
        shots: how to cut the video into clips.
        weights: of TransNetV2, if not those of its package.
        sentences: how a text file is cut into sentences; see `captions.Cut`.
        encoding: of the text file, where it is known.
        batch_size: clips that are encoded at once.
        track: called with the number of clips done and of all clips.

    Raises:
        FileNotFoundError: no such video, text or model.
        ValueError: a file that is damaged, holds no video stream or no text, or a language that the model does not
            know, or a model of another kind; the message names the file and the fix.
    """
    media.probe(video)
    cutter = choose(shots, weights)
    name = str(model) if isinstance(model, str | Path) else model.registry_name
    if not isinstance(model, DualEncoder):
        advice = f"`weaksync ls models` lists what does; weaksync eval {model} scores one that learns from features"
        model = dual_encoder(model, "align a video file", advice=advice)
    notes: list[str] = []
    language = known_language(model, language, notes)
    read = read_sentences(text, language, cut=sentences, encoding=encoding, notes=notes)
    if decoder is None and model.decoder is None:
        notes.append("the model saw no annotated video that could tune its drop costs: default ones were used")
    decoder = limited(decoder or (Decoder.from_dict(model.decoder) if model.decoder else DEFAULT), within, band)
    timed = any(sentence.narration is not None for sentence in read)
    if decoder.within is not None and not timed:
        raise ValueError(
            f"nothing says when the text is told, so no clip is within {decoder.within:g} s: give subtitles"
        )

    made = cut_video(Path(video), cutter, stored_pictures(model, notes))
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    similarity = compare(model, made, [sentence.text for sentence in read], batch_size=batch_size, track=track)
    gaps = None
    if timed:
        narrations = torch.tensor([sentence.narration or (nan, nan) for sentence in read], dtype=torch.float64)
        gaps = [narration_gaps(torch.tensor(made.spans, dtype=torch.float64), narrations)]
    elif decoder.timing:
        notes.append("the text has no times, so similarity alone decided: subtitles align better")
    return Alignment(
        clips=np.array(made.spans, dtype=np.float64).reshape(-1, 2),
        labels=decoder.decode([similarity], gaps)[0].numpy(),
        sentences=read,
        similarity=similarity.numpy(),
        video=str(video),
        model=name,
        language=language,
        duration=made.duration,
        decoder=decoder.to_dict(),
        annotated=any(sentence.segment is not None for sentence in read),
        notes=[cutter.reason, *notes],
        doubt=doubt_of(similarity, decoder),
        pictures=_small_pictures(made),
    )


def limited(decoder: Decoder, within: float | None, band: int | None) -> Decoder:
    """The decoder with the limits that are given; its own where they are None."""
    within = decoder.within if within is None else within
    return dataclasses.replace(decoder, within=within, band=decoder.band if band is None else band)


def doubt_of(similarity: Tensor, decoder: Decoder) -> str | None:
    """What to say where the sentences fit the video no better than in a random order, and what to do."""
    if similarity.shape[1] < LEAST_SENTENCES:
        return None
    chance = chance_of_order(similarity, decoder)
    if chance <= SURE:
        return None
    return (
        f"{chance:.0%} of random orders of the sentences fit this video as well as their own: the model may hardly "
        "tell these sentences apart, so trust nothing here; see how it does with weaksync eval, train it longer or on "
        "more videos, or start from a trained one"
    )


def stored_pictures(model: DualEncoder, notes: list[str]) -> Pictures:
    """How the clips were kept that the model was trained on; the defaults of `data build` if it does not say."""
    if model.pictures is not None:
        return Pictures(**model.pictures)
    made = Pictures(frames=max(Pictures.frames, model.preprocess.frames))
    notes.append(
        f"the model does not say which pictures it was trained on: {made.frames} of each clip were taken, "
        f"of {made.size} pixels"
    )
    return made


@torch.inference_mode()
def compare(
    model: DualEncoder, clips: Clips, texts: list[str], *, batch_size: int = 32, track: Track | None = None
) -> Tensor:
    """Similarities (n, m) float32 of clips with sentences; `batch_size` of either are encoded at once."""
    device = model.temp.device
    tokens = [model.tokenize(texts[start:stop]) for start, stop in _parts(len(texts), batch_size)]
    words = torch.cat([model.encode_text(ids.to(device), mask.to(device)) for ids, mask in tokens]).float()
    rows: list[Tensor] = []
    for start, stop in _parts(len(clips.spans), batch_size):
        pixels = torch.stack([model.preprocess(_frames(clips, clip, model)) for clip in range(start, stop)])
        rows.append((model.encode_clips(pixels.to(device)).float() @ words.T).cpu())
        if track is not None:
            track(stop, len(clips.spans))
    return torch.cat(rows)


def _frames(clips: Clips, clip: int, model: DualEncoder) -> Tensor:
    """The pictures of a clip that evaluation looks at, uint8 (F, 3, H, W)."""
    members = {f"{number}.jpg": jpeg for number, jpeg in enumerate(clips.pictures[clip])}
    return decode_frames(members, model.preprocess.frames, None, "video", str(clip))


def _parts(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, count)) for start in range(0, count, size))


def _small_pictures(clips: Clips) -> list[bytes]:
    """The middle picture of each clip, for the report."""
    height = next(height for most, height in PICTURE_HEIGHTS if len(clips.spans) <= most)
    small = []
    for candidates in clips.pictures:
        frame = media.decode_jpeg(candidates[len(candidates) // 2])
        full, wide = frame.shape[-2:]
        if full > height:
            frame = F.resize(frame, [height, max(1, round(wide * height / full))], antialias=True)
        small.append(media.encode_jpeg(frame.permute(1, 2, 0).numpy(), quality=72))
    return small


def save(alignment: Alignment, out: str | Path, *, copy_video: bool = False) -> list[Path]:
    """Write alignment.json, alignment.srt and report.html into the folder `out`, each of them whole or not at all.

    Args:
        copy_video: put the video beside the report, so that the folder can be moved; else the report links to it.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    out = Path(out)
    writable(out)
    video = Path(alignment.video)
    if copy_video and not (out / video.name).exists():
        with whole_path(out / video.name) as part:
            shutil.copyfile(video, part)
    source = quote(video.name if copy_video else Path(os.path.relpath(video, out)).as_posix())
    contents = {JSON: alignment.to_json(), SRT: alignment.to_srt(), REPORT: alignment.to_html(source=source)}
    for name, content in contents.items():
        write_whole(out / name, content.encode())
    return [out / name for name in contents]


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.argument("text", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="Checkpoint folder, run folder, hf://org/repo or a name of `weaksync ls`.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the three files.")
@click.option("--language", help="Code of the text's language.  [default: the model's only one]")
@click.option("--shots", type=click.Choice(METHODS), default="auto", show_default=True, help="How to cut the video.")
@click.option("--weights", type=click.Path(path_type=Path), help="TransNetV2 weights, if not those of the package.")
@click.option("--sentences", type=click.Choice(["auto", "punctuation", "captions"]), default="auto", show_default=True)
@click.option("--encoding", help="Of the text file, where it is not Unicode.")
@click.option("--within", type=click.FloatRange(0), metavar="SECONDS", help="Show only what is told so near to a clip.")
@click.option("--band", type=click.IntRange(0), metavar="SENTENCES", help="Stay so near to an even pace; for films.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Clips encoded at once.")
@click.option("--copy-video", is_flag=True, help="Put the video beside the report, to move them together.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(
    video: Path,
    text: Path,
    model: str,
    out: Path,
    language: str | None,
    shots: Method,
    weights: Path | None,
    sentences: Cut,
    encoding: str | None,
    within: float | None,
    band: int | None,
    batch_size: int,
    copy_video: bool,
    as_json: bool,
) -> None:
    """Align VIDEO with TEXT, a subtitle file or a plain text: alignment.json, alignment.srt and report.html."""
    writable(out)
    with progress("clips") as bar:
        task = bar.add_task(video.name, total=None)
        alignment = align(
            model,
            video,
            text,
            language=language,
            shots=shots,
            weights=weights,
            sentences=sentences,
            encoding=encoding,
            within=within,
            band=band,
            batch_size=batch_size,
            track=lambda done, of: bar.update(task, completed=done, total=of),
        )
    files = save(alignment, out, copy_video=copy_video)
    for note in alignment.notes:
        err.print(f"note: {note}", style="yellow")
    if alignment.doubt:
        err.print(f"note: {alignment.doubt}", style="bold yellow")
    rows = [
        (number, sentence.text, spans[0][0] if spans else None, spans[-1][1] if spans else None, score)
        for number, (sentence, spans, score) in enumerate(
            zip(alignment.sentences, alignment.spans(), alignment.scores(), strict=True), start=1
        )
    ]
    print_table(f"{video.name}", ("#", "sentence", "start", "end", "score"), rows, as_json=as_json)
    err.print(f"{files[0]}, {files[1].name}, {files[2].name}")
