"""NeuMATCH: two sequences of cached features, aligned by actions on stacks.

Dogan et al., "A Neural Multi-sequence Alignment TeCHnique" (CVPR 2018), and its data-efficient successor, Wang et al.
(WACV 2021), which normalises the inputs of the stacks over whole sequences.  Modules have the successor's published
names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ..actions import ACTIONS, MATCH, POP_CLIP, POP_SENTENCE
from ..checkpoint import Pretrained
from ..inputs import FeatureInput
from .sequences import LayerNormLSTMCell, SequenceBatchNorm, State, from_the_end, run, take

NORMS = ("none", "layer", "sequence")
PROJECTIONS = ("learnt", "random")
POSITIONS = 10  # features that say how far both stacks have come
PADDING = -100  # in the place of an action: beyond the end of a video's


@dataclass
class NeuMATCHConfig:
    """Arguments of `NeuMATCH`; the defaults are for Faster R-CNN features of clips and BERT's of sentences.

    Attributes:
        video_dim, text_dim: width of the features of clips and of sentences.
        width: of the encoders and of both stacks.
        projection: how features get to `width`: ``learnt``, or by a fixed sparse ``random`` matrix.
        norm: of the video and text stacks: ``none``, ``layer`` in their cells, or ``sequence``-wise batch norm.
        action_width, match_width: of the stacks of actions and of matches.
    """

    video_dim: int = 2048
    text_dim: int = 768
    width: int = 300
    projection: str = "learnt"
    norm: str = "none"
    action_width: int = 8
    match_width: int = 20

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be 1 or more, not {getattr(self, name)}"
            for name in ("video_dim", "text_dim", "width", "action_width", "match_width")
            if getattr(self, name) < 1
        ]
        if self.norm not in NORMS:
            faults.append(f"norm is one of {', '.join(NORMS)}, not {self.norm!r}")
        if self.projection not in PROJECTIONS:
            faults.append(f"projection is one of {', '.join(PROJECTIONS)}, not {self.projection!r}")
        if faults:
            raise ValueError("; ".join(faults))


class NeuMATCH(Pretrained):
    """Chooses, step by step, to drop the next clip, to drop the next sentence, or to match the two.

    Two-layer LSTMs read four stacks: the clips and the sentences to come, from their ends; the actions so far; and the
    matches so far, where one more clip of a sentence replaces its entry.

    Attributes:
        preprocess: `FeatureInput`: the features that it was made for.
    """

    config_class = NeuMATCHConfig
    config: NeuMATCHConfig

    def __init__(self, config: NeuMATCHConfig) -> None:
        super().__init__()
        self.config = config
        self.preprocess = FeatureInput(video=config.video_dim, text=config.text_dim)
        width, action, match = config.width, config.action_width, config.match_width
        cell = LayerNormLSTMCell if config.norm == "layer" else nn.LSTMCell
        self.encoder = Encoder(config)
        self.vrnn_layer1, self.vrnn_layer2 = cell(width, width), cell(width, width)
        self.srnn_layer1, self.srnn_layer2 = cell(width, width), cell(width, width)
        if config.norm == "sequence":
            self.VideoStackBN, self.TextStackBN = SequenceBatchNorm(width), SequenceBatchNorm(width)
        self.arnn_layer1, self.arnn_layer2 = nn.LSTMCell(ACTIONS, action), nn.LSTMCell(action, action)
        self.mrnn_layer1, self.mrnn_layer2 = nn.LSTMCell(2 * width, match), nn.LSTMCell(match, match)
        self.f1 = nn.Linear(2 * width + match + action + POSITIONS, width)
        self.f2 = nn.Linear(width, ACTIONS)
        self.apply(_initialise)

    def forward(
        self, clips: Tensor, sentences: Tensor, clip_lengths: Tensor, sentence_lengths: Tensor, actions: Tensor
    ) -> Tensor:
        """Logits of every action, each given the ones before it (teacher forcing), all steps at once.

        Args:
            clips: (B, n, video_dim), padded at their ends.
            sentences: (B, m, text_dim), padded.
            clip_lengths, sentence_lengths: (B,) int64.
            actions: (B, T) of `actions_of`, `PADDING` beyond the end.

        Returns:
            (B, T, 3).
        """
        video, text = self.stacks(clips, sentences, clip_lengths, sentence_lengths)
        moves = actions.clamp(min=POP_CLIP)
        # how many clips and sentences have left their stacks before each step; in the padding, as at the end
        clip = _before((actions != PADDING) & (moves != POP_SENTENCE)).minimum(clip_lengths[:, None] - 1)
        sentence = _before(moves == POP_SENTENCE).minimum(sentence_lengths[:, None] - 1)
        done = self._actions_so_far(moves)
        matched = self._matches_so_far(video, text, clip, sentence, actions == MATCH)
        places = positions(clip, sentence, clip_lengths[:, None], sentence_lengths[:, None])
        return self._choose(take(video, clip), take(text, sentence), done, matched, places)

    @torch.no_grad()
    def decode(self, clips: Sequence[Tensor], sentences: Sequence[Tensor]) -> list[Tensor]:
        """Align whole videos, taking the likeliest action that is possible at every step.

        The last sentence is never dropped, as dropping the clips that are left is the same; n clips and m sentences end
        after less than n + m steps.

        Args:
            clips: (n, video_dim) of each video.
            sentences: (m, text_dim) of each video.

        Returns:
            (n,) int64 labels of each video on the CPU, -1 for a clip that was dropped.

        Raises:
            ValueError: features of another width, or of a video without clips or sentences.
        """
        _check(clips, self.config.video_dim, "clips")
        _check(sentences, self.config.text_dim, "sentences")
        device = self.f1.weight.device
        n = torch.tensor([len(each) for each in clips], device=device)
        m = torch.tensor([len(each) for each in sentences], device=device)
        video, text = self.stacks(_padded(clips, device), _padded(sentences, device), n, m)

        batch = torch.arange(len(clips), device=device)
        clip = sentence = torch.zeros_like(n)
        last = torch.full_like(n, -1)  # the sentence of the last match
        labels = torch.full((len(clips), video.shape[1]), -1, device=device)
        action = [self._blank(len(clips), layer) for layer in (self.arnn_layer1, self.arnn_layer2)]
        matches = [self._blank(len(clips), layer) for layer in (self.mrnn_layer1, self.mrnn_layer2)]
        base = matches  # the stack of matches without the entry of the sentence on top
        seen, count = torch.zeros_like(video[:, 0]), torch.zeros(len(clips), 1, device=device)
        while (going := clip < n).any():
            top_clip, top_sentence = video[batch, clip.clamp(max=n - 1)], text[batch, sentence]
            places = positions(clip.clamp(max=n - 1), sentence, n, m)
            logits = self._choose(top_clip, top_sentence, _read(action), _read(matches), places)
            logits[:, POP_SENTENCE].masked_fill_(sentence == m - 1, -torch.inf)
            chosen = logits.argmax(dim=-1)

            match = going & (chosen == MATCH)
            labels[batch[match], clip[match]] = sentence[match]
            new = (match & (sentence != last))[:, None]
            base = _where(new, matches, base)
            seen = torch.where(new, 0.0, seen) + torch.where(match[:, None], top_clip, 0.0)
            count = torch.where(new, 0.0, count) + match[:, None]
            entry = torch.cat([seen / count.clamp(min=1), top_sentence], dim=-1)
            matches = _where(match[:, None], self._push_match(entry, base), matches)
            last = torch.where(match, sentence, last)
            action = self._push_action(chosen, action)
            clip = clip + (going & (chosen != POP_SENTENCE))
            sentence = sentence + (going & (chosen == POP_SENTENCE))
        return [found[:length].cpu() for found, length in zip(labels, n.tolist(), strict=True)]

    def stacks(
        self, clips: Tensor, sentences: Tensor, clip_lengths: Tensor, sentence_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the stacks of clips (B, n, width) and sentences (B, m, width) hold: each item knows all that follow."""
        video, text = self.encoder(clips, sentences)
        video = from_the_end(video, clip_lengths, self.vrnn_layer1, self.vrnn_layer2)
        text = from_the_end(text, sentence_lengths, self.srnn_layer1, self.srnn_layer2)
        if self.config.norm == "sequence":
            return self.VideoStackBN(video, clip_lengths), self.TextStackBN(text, sentence_lengths)
        return video, text

    def _choose(self, clip: Tensor, sentence: Tensor, action: Tensor, matched: Tensor, places: Tensor) -> Tensor:
        """(..., 3) logits from what lies on top of the four stacks, and from how far they have come."""
        state: Tensor = F.relu(self.f1(torch.cat([clip, sentence, action, matched, places], dim=-1)))
        logits: Tensor = self.f2(state)
        return logits

    def _actions_so_far(self, actions: Tensor) -> Tensor:
        """(B, T, action_width): the stack of actions before each step."""
        told = F.one_hot(actions[:, :-1], ACTIONS).float()
        first = run(self.arnn_layer1, told)
        return F.pad(first + run(self.arnn_layer2, first), (0, 0, 1, 0))

    def _matches_so_far(self, video: Tensor, text: Tensor, clip: Tensor, sentence: Tensor, match: Tensor) -> Tensor:
        """(B, T, match_width): the stack of matches before each step.

        A match starts from the stack before its sentence, so only the last match of a sentence reaches the next: a
        short recurrence over sentences, then all matches at once.
        """
        batch = len(match)
        number = _before(match)  # which match of its video a step is, where it is one
        most = max(1, int(match.sum(dim=1).max()))
        slot = torch.where(match, number, most)  # what is no match goes to a place of its own, which is cut off
        clips = clip.new_zeros(batch, most + 1).scatter(1, slot, clip)[:, :most]
        sentences = sentence.new_full((batch, most + 1), -1).scatter(1, slot, sentence)[:, :most]

        # the mean of the clips that a sentence has taken so far
        new = torch.ones_like(sentences, dtype=torch.bool)
        new[:, 1:] = sentences[:, 1:] != sentences[:, :-1]
        place = torch.arange(most, device=clip.device).expand(batch, most)
        start = torch.where(new, place, 0).cummax(dim=1).values
        taken = take(video, clips)
        total = taken.cumsum(dim=1)
        total = total - take(total - taken, start)
        entry = torch.cat([total / (place - start + 1)[..., None], take(text, sentences.clamp(min=0))], dim=-1)

        # the last match of each sentence, in order
        group = new.cumsum(dim=1) - 1
        final = clip.new_zeros(batch, int(group.max()) + 1).scatter_reduce(1, group, place, "amax")
        state = [self._blank(batch, layer) for layer in (self.mrnn_layer1, self.mrnn_layer2)]
        chain = [state]
        for each in take(entry, final).unbind(dim=1)[:-1]:
            state = self._push_match(each, state)
            chain.append(state)
        base = [
            tuple(
                take(torch.stack([link[layer][part] for link in chain], dim=1), group).flatten(0, 1) for part in (0, 1)
            )
            for layer in (0, 1)
        ]
        found = _read(self._push_match(entry.flatten(0, 1), base)).view(batch, most, -1)  # type: ignore[arg-type]
        return take(F.pad(found, (0, 0, 1, 0)), number)  # 0 before the first

    def _push_action(self, action: Tensor, state: list[State]) -> list[State]:
        first = self.arnn_layer1(F.one_hot(action, ACTIONS).float(), state[0])
        return [first, self.arnn_layer2(first[0], state[1])]

    def _push_match(self, entry: Tensor, state: list[State]) -> list[State]:
        first = self.mrnn_layer1(entry, state[0])
        return [first, self.mrnn_layer2(first[0], state[1])]

    def _blank(self, batch: int, layer: nn.LSTMCell) -> State:
        zeros = layer.weight_hh.new_zeros(batch, layer.hidden_size)
        return zeros, zeros


class Encoder(nn.Module):
    """Projects features of clips and of sentences to one width.

    Learnt: three layers for clips and two for sentences, the first without a bias.  Random: a fixed matrix, and one
    layer less.
    """

    video_projection: Tensor
    text_projection: Tensor

    def __init__(self, config: NeuMATCHConfig) -> None:
        super().__init__()
        video, text, width = config.video_dim, config.text_dim, config.width
        if config.projection == "random":
            self.register_buffer("video_projection", _sparse(video, width))
            self.register_buffer("text_projection", _sparse(text, width))
            self.vfc1, self.vfc2 = nn.Linear(width, width), nn.Linear(width, width)
            self.sfc1 = nn.Linear(width, width)
            self.video, self.text = ["vfc1", "vfc2"], ["sfc1"]
        else:
            self.vfc1, self.sfc1 = nn.Linear(video, width, bias=False), nn.Linear(text, width, bias=False)
            self.vfc2, self.vfc3 = nn.Linear(width, width), nn.Linear(width, width)
            self.sfc2 = nn.Linear(width, width)
            self.video, self.text = ["vfc1", "vfc2", "vfc3"], ["sfc1", "sfc2"]
        self.random = config.projection == "random"

    def forward(self, clips: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, video_dim) and (B, m, text_dim) to (B, n, width) and (B, m, width)."""
        if self.random:
            clips, sentences = clips @ self.video_projection, sentences @ self.text_projection
        for layer in self.video:
            clips = F.relu(self.get_submodule(layer)(clips))
        for layer in self.text:
            sentences = F.relu(self.get_submodule(layer)(sentences))
        return clips, sentences


def positions(clip: Tensor, sentence: Tensor, clips: Tensor, sentences: Tensor) -> Tensor:
    """How far both stacks have been consumed, as counts and ratios: (..., 10), without a division by 0.

    Args:
        clip, sentence: number of the clip and of the sentence on top, from 0.
        clips, sentences: how many there are.
    """
    clips_left, sentences_left = (clips - clip).float(), (sentences - sentence).float()
    clips, sentences = (clips + 1).float().expand_as(clips_left), (sentences + 1).float().expand_as(clips_left)
    return torch.stack(
        [
            clips_left,
            sentences_left,
            clips_left / clips,
            sentences_left / sentences,
            clips / clips_left,
            sentences / sentences_left,
            clips_left / sentences_left,
            sentences_left / clips_left,
            (clips - clips_left) / (sentences - sentences_left),
            (sentences - sentences_left) / (clips - clips_left),
        ],
        dim=-1,
    )


def _before(event: Tensor) -> Tensor:
    """(B, T): how often `event` was true before each step."""
    return event.cumsum(dim=1) - event.long()


def _read(state: list[State]) -> Tensor:
    """What a stack of two layers says: the sum of their hidden states."""
    return state[0][0] + state[1][0]


def _where(condition: Tensor, yes: list[State], no: list[State]) -> list[State]:
    return [
        (torch.where(condition, a[0], b[0]), torch.where(condition, a[1], b[1])) for a, b in zip(yes, no, strict=True)
    ]


def _padded(features: Sequence[Tensor], device: torch.device) -> Tensor:
    return pad_sequence([each.float() for each in features], batch_first=True).to(device)


def _check(features: Sequence[Tensor], width: int, what: str) -> None:
    for video, each in enumerate(features):
        if each.ndim != 2 or each.shape[1] != width or len(each) == 0:
            raise ValueError(
                f"{what} of video {video} should be (1 or more, {width}), not {tuple(each.shape)}: this model was made "
                "for other features, or the video is empty"
            )


def _sparse(rows: int, columns: int) -> Tensor:
    """A sparse random projection that keeps lengths, on average (Achlioptas, 2003)."""
    drawn = torch.randint(0, 6, (rows, columns))
    return ((drawn == 0).float() - (drawn == 1).float()) * math.sqrt(3 / columns)


def _initialise(module: nn.Module) -> None:
    """He for linear layers; Xavier and orthogonal for LSTMs, whose forget gates begin open."""
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
    elif isinstance(module, nn.LSTMCell):
        nn.init.xavier_normal_(module.weight_ih)
        nn.init.orthogonal_(module.weight_hh)
        quarter = module.hidden_size
        with torch.no_grad():
            for bias in (module.bias_ih, module.bias_hh):
                nn.init.normal_(bias, std=0.1)
                bias[quarter : 2 * quarter] = 1.0
