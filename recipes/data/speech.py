"""`weaksync data speech`: speak subtitle files, or those of clips, as a set that matching reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from ...datamodules.captions import Cut
from ...datamodules.manifest import MANIFEST
from ...datamodules.speech import Espeak
from ...datamodules.speech_set import Report, speak_clips, write_speech
from ...zoo.speech import Vits
from ..console import err, print_table, progress
from ..options import DEVICES, Device, chosen_device

ESPEAK, MMS = "espeak", "mms"
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder of the set; made if need be.")
@click.option("--language", help="Code of the texts' language, such as en; clips say theirs.")
@click.option(
    "--model", default=ESPEAK, show_default=True, help="espeak; mms; or hub id or folder of a VITS model of one voice."
)
@click.option("--voice", default="", help="espeak: a voice such as en-us+f3, or a variant alone, +f3.")
@click.option("--rate", type=float, help="Words a minute of espeak, usually 175; of a model, 1 is as it was trained.")
@click.option("--sentences", "cut", type=click.Choice(get_args(Cut)), help="Where those of files end.  [default: auto]")
@click.option("--device", type=DEVICES, default="auto", show_default=True, help="Where a model runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    source: Path,
    out: Path,
    language: str | None,
    model: str,
    voice: str,
    rate: float | None,
    cut: Cut | None,
    device: Device,
    as_json: bool,
) -> None:
    """Speak SOURCE: a subtitle file, every one in a folder, or the cues of a set of conversational clips.

    Each sentence is spoken once, wherever it stands; when each word and phoneme is spoken is kept with the sound.  The
    speech of clips has their ids and splits.  A call that was stopped goes on.  eSpeak NG needs pip install
    'weaksync[tts]'.
    """
    of_clips = (source / MANIFEST).is_file()
    if of_clips and (language is not None or cut is not None):
        raise click.UsageError(f"{source} is a set of clips, which says both: leave --language and --sentences out")
    if not of_clips and language is None:
        raise click.UsageError(f"say in which language the subtitles of {source} are: --language en")
    synthesize = synthesizer(model, voice, rate, device)
    with progress("sentences") as bar:
        task = bar.add_task("speaking", total=None)

        def track(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if language is None:
            report = speak_clips(out, source, synthesize, progress=track)
        else:
            report = write_speech(out, source, synthesize, language=language, cut=cut or "auto", progress=track)
    show(report, out, as_json, "clips" if of_clips else "files")


def show(report: Report, out: Path, as_json: bool, what: str = "files") -> None:
    """Print what was spoken; what was left out goes to standard error."""
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
    else:
        columns = [what, "sentences", "distinct", "minutes", "shown / spoken"]
        row = [report.files, report.sentences, report.distinct, report.seconds / 60, report.shown / report.seconds]
        print_table(str(out), columns, [row])
    if report.resumed:
        err.print(f"from an earlier run: {report.resumed} distinct sentences", highlight=False)
    for path, reason in report.left_out.items():
        err.print(f"left out: {path}: {reason}", highlight=False, markup=False, soft_wrap=True)


def synthesizer(model: str, voice: str, rate: float | None, device: Device = "auto") -> Espeak | Vits:
    """What speaks: `espeak`, `mms`, or a VITS model by hub id or folder; a `rate` of None is its usual one."""
    if model == ESPEAK:
        return Espeak(voice, 175 if rate is None else rate)
    if voice:
        raise click.UsageError("--voice belongs to --model espeak; a VITS model is named by --model")
    return Vits("" if model == MMS else model, 1.0 if rate is None else rate, device=chosen_device(device))
