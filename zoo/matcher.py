"""Everything that finds a clip's subtitle in a pool: lips, speech, global cues, their fusion, and the voice.

`Matcher` is saved to a folder of ordinary checkpoints, one for each part, with a hash of every file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from .checkpoint import MATCHER as CONFIG
from .checkpoint import Pretrained, load
from .download import fetch
from .encoded import EncodedClip, EncodedText, Pool, alignment_costs, cue_costs, half_units
from .folders import SUMS, file_hash, read_sums, replace_folder, write_sums
from .fusion import PAPER_WEIGHTS, fuse
from .glove import WordVectors
from .models.cues import ActionCue, PictureCue, PictureNet
from .models.gsm import GSM
from .models.i3d import I3D
from .models.lipspeech import LipSpeech, pooled_times
from .models.sequences import full_lengths
from .models.syncnet import SyncNet, lip_times, speech_times
from .word_files import Words, read_words, save_words

FORMAT, FORMAT_VERSION = "weaksync-matcher", 1
ALIGNMENT = "alignment"


@dataclass(frozen=True)
class Voice:
    """The settings of the speech that subtitles become.

    Attributes:
        model: ``espeak``, ``mms``, or the hub id or folder of a VITS model.
        name: of eSpeak's voice; empty for the usual one of each language.
        rate: in units of the synthesiser; None for its usual one.
    """

    model: str = "espeak"
    name: str = ""
    rate: float | None = None


#: mean rank on validation, as a share of the pool, from which lips and speech are in doubt; 0.5 is chance
DOUBTFUL = 0.35


@dataclass
class GlobalCue:
    """One global cue: a network for pictures, and the model that compares its features with words."""

    gsm: GSM
    net: PictureNet | I3D

    @property
    def features(self) -> PictureCue | ActionCue:
        """What makes the features that `gsm` reads, at its pace."""
        per_second = self.gsm.config.per_second
        if isinstance(self.net, PictureNet):
            return PictureCue(self.net, per_second)
        return ActionCue(self.net, seconds=1 / per_second)


@dataclass
class Matcher:
    """Everything that matching needs; `of` checks that the parts belong together.

    Attributes:
        syncnet: features of lips and of speech.
        lipspeech: the front end on them, and the aligner.
        cues: name, such as ``object``, to its models.
        words: vectors of words, for the cues; None where there are none.
        weights: of the cues and of ``alignment``, in the sum that ranks.
        voice: that subtitles are spoken in.
        languages: codes of the languages that it was trained for; empty where nobody said.
        kept_recall: share of the pool that global cues keep -> share of the own subtitles of validation clips among it;
            empty where nobody measured.
        metrics: figures of validation: of the sum, and ``val/alignment_mean_rank`` of the alignment alone.
    """

    syncnet: SyncNet
    lipspeech: LipSpeech
    cues: dict[str, GlobalCue] = field(default_factory=dict)
    words: Words | None = None
    weights: dict[str, float] = field(default_factory=lambda: dict(PAPER_WEIGHTS))
    voice: Voice = field(default_factory=Voice)
    languages: list[str] = field(default_factory=list)
    kept_recall: dict[float, float] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        syncnet: SyncNet,
        lipspeech: LipSpeech,
        *,
        cues: Mapping[str, GlobalCue] | None = None,
        words: Words | None = None,
        weights: Mapping[str, float] = PAPER_WEIGHTS,
        voice: Voice | None = None,
        languages: Iterable[str] = (),
        kept_recall: Mapping[float, float] | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> Matcher:
        """A matcher from its parts, in evaluation mode.

        Raises:
            ValueError: parts that do not belong together; every fault at once.
        """
        cues = dict(cues or {})
        faults = _misfits(syncnet, lipspeech) + _cue_misfits(cues, words)
        if absent := [name for name in (ALIGNMENT, *cues) if name not in weights]:
            faults.append(f"no weight for {', '.join(absent)}")
        if faults:
            raise ValueError("; ".join(faults))
        found = cls(
            syncnet,
            lipspeech,
            cues,
            words,
            {name: float(weights[name]) for name in (ALIGNMENT, *cues)},
            voice or Voice(),
            list(languages),
            dict(kept_recall or {}),
            dict(metrics or {}),
        )
        for part in found.parts().values():
            part.eval()
        return found

    @property
    def doubt(self) -> str | None:
        """What to say of a matcher that lips and speech told next to nothing on validation, and what to do."""
        rank, pool = self.metrics.get("val/alignment_mean_rank"), self.metrics.get("val/pool")
        if rank is None or pool is None or (self.weights[ALIGNMENT] > 0 and rank < DOUBTFUL * (pool + 1)):
            return None
        return (
            "lips and speech hardly tell subtitles apart: on validation they put a clip's own in place "
            f"{rank:.0f} of {pool} ({(pool + 1) / 2:.0f} by chance), and weigh {self.weights[ALIGNMENT]:g} in the sum; "
            "SyncNet wants more clips, or more epochs"
        )

    def parts(self) -> dict[str, Pretrained]:
        """Every model, by the folder that it is saved in."""
        of_cues = {f"{kind}-{name}": getattr(cue, kind) for name, cue in self.cues.items() for kind in ("gsm", "net")}
        return {"syncnet": self.syncnet, "lipspeech": self.lipspeech, **of_cues}

    def to(self, device: torch.device | str) -> Matcher:
        """Move every model; returns itself."""
        for part in self.parts().values():
            part.to(device)
        return self

    @property
    def device(self) -> torch.device:
        return self.lipspeech.log_rates.device

    @property
    def fps(self) -> int:
        """Frames a second of a face tube."""
        return self.syncnet.config.fps

    @property
    def dim(self) -> int:
        """Width of a step."""
        config = self.lipspeech.config
        return config.dim if config.front_end == "conv" else config.feature_dim

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides how a subtitle is encoded: the text side and the voice.

        Weights of the fusion, the aligner's settings and the side of the videos may change without a new index.
        """
        whole = hashlib.sha256(json.dumps([asdict(self.voice), sorted(self.cues)]).encode())
        config = self.lipspeech.config
        whole.update(json.dumps([config.front_end, config.groups, self.syncnet.config.stride]).encode())
        sides = [("mel", self.syncnet.mel), ("speech", self.syncnet.netcnnaud), ("front end", self.lipspeech.speech)]
        sides += [(f"words of {name}", cue.gsm.text) for name, cue in sorted(self.cues.items())]
        for name, module in sides:
            _hash_module(whole, name, module)
        if isinstance(self.words, WordVectors):
            whole.update(hashlib.sha256("\n".join(self.words.rows).encode()).digest())
            whole.update(self.words.table.contiguous().numpy().data)
        elif self.words is not None:
            whole.update(f"hashed {self.words.dim}".encode())
        return whole.hexdigest()

    @torch.inference_mode()
    def encode_clip(self, tube: Tensor, scene: Callable[[float], Tensor]) -> EncodedClip:
        """A clip as a query.

        Args:
            tube: uint8 RGB (T, 3, H, W), the face at `fps`.
            scene: makes the whole pictures of the clip at a rate, uint8 RGB (T', 3, H', W'); called for each cue.

        Raises:
            ValueError: a clip that is too short.
        """
        least = 5 + (2**self._groups - 1) * self.syncnet.config.stride
        if len(tube) < least:
            raise ValueError(f"a clip of {len(tube)} frames of a face is too short to match: it needs {least}")
        frames = self.syncnet.preprocess(tube)[None].to(self.device)
        features = self.syncnet.encode_lips(frames)
        steps, _ = self.lipspeech.encode_lips(features, full_lengths(features))
        times = lip_times(features.shape[1], self.fps, self.syncnet.config.stride)
        cues = {name: self._scene_vector(cue, scene) for name, cue in self.cues.items()}
        return EncodedClip(steps[0].float().cpu(), self._pooled(times), cues)

    @torch.inference_mode()
    def encode_text(self, text: str, waveform: Tensor) -> EncodedText:
        """A subtitle as it lies in a pool.

        Args:
            text: all that it says.
            waveform: (S,) int16 at 16 kHz, the text as it was spoken.

        Raises:
            ValueError: speech that is too short.
        """
        features = self.syncnet.encode_speech(waveform[None].to(self.device))
        steps, _ = self.lipspeech.encode_speech(features, full_lengths(features))
        cues = {}
        if self.words is not None:
            words, lengths = self.words([text])
            for name, cue in self.cues.items():
                cues[name] = half_units(cue.gsm.encode_text(words.to(self.device), lengths.to(self.device))[0])
        return EncodedText(half_units(steps[0]), cues)

    def speech_times(self, steps: int) -> Tensor:
        """Seconds of its speech that the steps of a subtitle stand for, (m,)."""
        return self._pooled(speech_times(steps * 2**self._groups, self.syncnet.config.stride))

    @torch.inference_mode()
    def costs(
        self,
        clips: list[EncodedClip],
        pool: Pool,
        columns: Tensor | None = None,
        *,
        track: Callable[[int, int], None] | None = None,
    ) -> dict[str, Tensor]:
        """Costs of every clip with every subtitle, or with those of `columns`, under each cue: name -> (V, S).

        Those of the alignment are per video step.  `track` is called with the subtitles done, and all.
        """
        return {
            **cue_costs(clips, pool, columns),
            ALIGNMENT: alignment_costs(self.lipspeech, clips, pool, columns, track=track),
        }

    def fuse(self, costs: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the cues' costs, (V, S): the least fits best."""
        return fuse(costs, self.weights)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the folder, whole or not at all; a matcher that is there is replaced.

        Raises:
            ValueError: the folder holds something else.
        """
        folder = Path(folder)
        config = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "cues": list(self.cues),
            "weights": self.weights,
            "voice": asdict(self.voice),
            "languages": self.languages,
            "words": self.words is not None,
            "kept_recall": [list(pair) for pair in self.kept_recall.items()],
            "metrics": self.metrics,
            "fingerprint": self.fingerprint,
        }
        with replace_folder(folder, is_ours=is_matcher) as temporary:
            for name, part in self.parts().items():
                part.save_pretrained(temporary / name)
            if self.words is not None:
                save_words(self.words, temporary / "words")
            text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
            (temporary / CONFIG).write_text(text, encoding="utf-8")
            write_sums(temporary, [name for name, _ in _files(temporary)])
        return folder

    @classmethod
    def from_pretrained(cls, source: str | Path) -> Self:
        """Read a folder of `save_pretrained`, or ``hf://org/repo``, onto the CPU; every hash is compared first.

        Raises:
            FileNotFoundError: no such folder.
            ValueError: something else, or a damaged folder; the message names the file and the fix.
        """
        folder = fetch(source)
        config = _read(folder)
        parts = {name: load(folder / name) for name in _part_names(config["cues"])}
        cues: dict[str, Any] = {name: GlobalCue(parts[f"gsm-{name}"], parts[f"net-{name}"]) for name in config["cues"]}  # type: ignore[arg-type]
        try:
            found = cls.of(
                parts["syncnet"],  # type: ignore[arg-type]
                parts["lipspeech"],  # type: ignore[arg-type]
                cues=cues,
                words=read_words(folder / "words") if config["words"] else None,
                weights=config["weights"],
                voice=Voice(**config["voice"]),
                languages=config["languages"],
                kept_recall=dict(config["kept_recall"]),
                metrics=config["metrics"],
            )
        except ValueError as fault:
            raise ValueError(f"{folder}: parts that do not belong together: {fault}") from fault
        return found  # type: ignore[return-value]

    @property
    def _groups(self) -> int:
        return self.lipspeech.lips.groups

    def _pooled(self, times: Tensor) -> Tensor:
        return pooled_times(times.double(), self._groups)

    def _scene_vector(self, cue: GlobalCue, scene: Callable[[float], Tensor]) -> Tensor:
        features = cue.features
        found = features(scene(features.fps))[None].to(self.device)
        return nn.functional.normalize(cue.gsm.encode_video(found, full_lengths(found))[0].float(), dim=0).cpu()


def is_matcher(folder: Path) -> bool:
    """Whether a folder holds a matcher, even a damaged one."""
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _misfits(syncnet: SyncNet, lipspeech: LipSpeech) -> list[str]:
    """Why a front end does not read the features of a SyncNet."""
    made, read = syncnet.config, lipspeech.config
    faults = []
    if made.feature_dim != read.feature_dim:
        faults.append(
            f"SyncNet's features have {made.feature_dim} dimensions, and the front end reads {read.feature_dim}"
        )
    if abs((pace := made.fps / made.stride) - read.per_second) > 1e-6:
        faults.append(
            f"SyncNet gives {pace:g} lip features a second, and the front end was made for {read.per_second:g}"
        )
    return faults


def _cue_misfits(cues: Mapping[str, GlobalCue], words: Words | None) -> list[str]:
    """Why global cues do not read their pictures, or these words."""
    faults = [f"{', '.join(cues)} read words, and there are no vectors of words"] if cues and words is None else []
    for name, cue in cues.items():
        width, gsm = cue.features.width, cue.gsm.config
        if width != gsm.video_dim:
            faults.append(f"{name}: the pictures' features have {width} dimensions, and its GSM reads {gsm.video_dim}")
        if words is not None and words.dim != gsm.text_dim:
            faults.append(f"{name}: words have {words.dim} dimensions, and its GSM reads {gsm.text_dim}")
    return faults


def _part_names(cues: Iterable[str]) -> list[str]:
    return ["syncnet", "lipspeech", *(f"{kind}-{name}" for name in cues for kind in ("gsm", "net"))]


def _read(folder: Path) -> dict[str, Any]:
    """The configuration, once every file has matched its hash."""
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is no matcher (no {CONFIG}): subtitles/quickstart trains one")
    expected, present = read_sums(folder), dict(_files(folder))
    faults = [f"{folder / name}: missing" for name in expected if name not in present]
    faults += [f"{path}: not of this matcher" for name, path in present.items() if name not in expected]
    faults += [
        f"{path}: damaged or changed"
        for name, path in present.items()
        if name in expected and file_hash(path) != expected[name]
    ]
    if faults:
        raise ValueError("\n".join(f"{fault}: copy the folder again from where it came" for fault in faults))
    config = json.loads(path.read_text(encoding="utf-8"))
    if (config.get("format"), config.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise ValueError(
            f"{path}: format {config.get('format')!r} version {config.get('format_version')!r}, and this weaksync "
            f"reads {FORMAT!r} version {FORMAT_VERSION}: upgrade weaksync, or save the matcher again"
        )
    return config


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Name and path of every file that is hashed here; each part has the hashes of its own files."""
    found = [folder / CONFIG, *folder.glob(f"*/{SUMS}"), *folder.glob("words/*")]
    return sorted((path.relative_to(folder).as_posix(), path) for path in found if path.is_file())


def _hash_module(whole: Any, name: str, module: nn.Module) -> None:
    for key, tensor in module.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        whole.update(f"{name} {key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        whole.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
