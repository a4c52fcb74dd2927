"""Synthetic speakers as an experiment: videos, clips of them, a pool that is spoken, and networks that see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...datamodules.groups import Grouping
from ...datamodules.manifest import MANIFEST
from ...datamodules.speakers import generate
from ...datamodules.speech import Espeak
from ...datamodules.speech_set import write_speech
from ...zoo.speaking import LipsAndVoice
from ..building.conversation import Rules
from ..building.conversation_set import Settings, build_clips
from ..building.faces import read_known
from ..building.sources import Narration
from ..console import Track, no_track
from ..training.picture_nets import picture_nets

SPEAKERS, CLIPS, POOL, NETS = "speakers", "clips", "pool", "nets"
#: side of the face tubes in pixels: what syncnet-tiny sees
SIZE = 96


@dataclass(frozen=True)
class SpeakersSize:
    """How much is made.

    Attributes:
        clips: videos; one in six is for test and one in ten for validation.
        pool: further subtitles to choose from.
        seed: of everything.
    """

    clips: int = 640
    pool: int = 400
    seed: int = 0


def speakers_set(folder: Path, size: SpeakersSize, *, jobs: int = 1, track: Track = no_track) -> tuple[Path, Path]:
    """Make what is missing of synthetic speakers below `folder`; what an earlier call made is kept.

    Args:
        folder: gets ``speakers/``, ``clips/``, ``pool/`` and ``nets/``.
        jobs: processes.
        track: called with what is made, how many are done, and how many there are.

    Returns:
        The set of clips, and the set of the pool's speech.

    Raises:
        ValueError: `folder` holds speakers of another size or seed.
        ImportError: the extra ``tts`` is not installed.
    """
    speakers, clips, pool = folder / SPEAKERS, folder / CLIPS, folder / POOL
    generate(
        speakers,
        clips=size.clips,
        seed=size.seed,
        test=0.17,
        pool=size.pool,
        jobs=jobs,
        progress=lambda done, total: track("videos", done, total),
        pooled=lambda done, total: track("texts of the pool", done, total),
    )
    if not (clips / MANIFEST).is_file():
        settings = Settings(Rules(size=SIZE), Grouping(), LipsAndVoice(), known=read_known(speakers / "speakers.json"))
        build_clips(
            speakers / "videos",
            [Narration("en", speakers / "subtitles" / "en")],
            clips,
            settings,
            splits=speakers / "splits.json",
            jobs=jobs,
            decided=lambda done, total: track("clips", done, total),
        )
    if not (pool / MANIFEST).is_file():
        write_speech(
            pool,
            speakers / "pool" / "en",
            Espeak(),
            language="en",
            progress=lambda done, total: track("sentences of the pool", done, total),
        )
    picture_nets(folder / NETS, seed=size.seed, track=lambda done, total: track("seeing", done, total))
    return clips, pool
