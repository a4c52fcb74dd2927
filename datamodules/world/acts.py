"""The choreography: where the cast of an event stands at each moment of a shot.

The stage is 16 wide and 9 high, the ground at y = 7.7; `u` runs from 0 to 1 over the shot and `t` is seconds.  Every
act can be told from any other within one shot, since a clip must be able to speak for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .story import Event

STAGE = (16.0, 9.0)
FLOOR = 7.7
TALL = 4.5


@dataclass(frozen=True)
class Sprite:
    """A picture on the stage.

    Attributes:
        picture: a character or a prop.
        pose: of a character its pose, of a prop its phase.
        x, y: where its feet are (a prop: its middle), in stage units.
        size: side of its square, in stage units.
        flip: looks to the left.
        angle: degrees, counter-clockwise about the middle.
        fade: 1 is solid, 0 is gone.
    """

    picture: str
    pose: str
    x: float
    y: float
    size: float
    flip: bool = False
    angle: float = 0.0
    fade: float = 1.0


Act = Callable[[Event, float, float], Iterator[Sprite]]


def sprites(event: Event, u: float, t: float) -> list[Sprite]:
    """What stands on the stage, the farthest first."""
    return list(_ACTS[event.verb](event, u, t))


def portrait(character: str, t: float) -> list[Sprite]:
    """A character who does nothing, for shots that no sentence mentions."""
    return [_shade(8.0), Sprite(character, "stand", 8.0, FLOOR + 0.06 * math.sin(3 * t), TALL * 1.25)]


def _shade(x: float, size: float = 4.0) -> Sprite:
    return Sprite("shadow", "", x, FLOOR, size)


def _phase(t: float, steps: int, rate: float) -> int:
    return int(t * rate) % steps


def _run(event: Event, u: float, t: float) -> Iterator[Sprite]:
    x = 2.5 + 11 * u
    yield _shade(x)
    for puff in range(3):
        yield Sprite("dust", "", x - 1.9 - 0.9 * puff, FLOOR - 0.3 * puff, 1.5 - 0.3 * puff, fade=0.75 - 0.25 * puff)
    for line in range(3):
        yield Sprite("streak", "", x - 2.5 - 0.5 * (line % 2), 4.3 + 1.0 * line, 1.7, angle=90, fade=0.8)
    yield Sprite(str(event.agent), f"step{_phase(t, 4, 9)}", x, FLOOR - 0.2 * abs(math.sin(9 * t)), TALL, angle=-12)


def _jump(event: Event, u: float, t: float) -> Iterator[Sprite]:
    lift = abs(math.sin(4.2 * t + 0.6))
    yield _shade(8, 4 - 1.8 * lift)
    yield Sprite(str(event.agent), "up" if lift > 0.25 else "stand", 8, FLOOR - 2.4 * lift, TALL)


def _sleep(event: Event, u: float, t: float) -> Iterator[Sprite]:
    yield _shade(8, 5.4)
    yield Sprite(str(event.agent), "asleep", 8, FLOOR + 1.35, TALL, angle=90)
    for letter in range(3):
        rise = (0.35 * t + letter / 3) % 1
        yield Sprite(
            "zed",
            "",
            6.2 + 1.6 * rise + 0.4 * math.sin(6 * rise),
            5.2 - 3.8 * rise,
            0.7 + 0.8 * rise,
            fade=1 - 0.5 * rise,
        )


def _fly(event: Event, u: float, t: float) -> Iterator[Sprite]:
    x, y = 2.5 + 11 * u, 5.2 + 0.5 * math.sin(3 * t)
    yield Sprite("shadow", "", x, FLOOR + 0.3, 2.6)
    yield Sprite("wings", str(_phase(t, 2, 6)), x - 0.3, y - 2.4, 6.2)
    yield Sprite(str(event.agent), "fly", x, y, TALL, angle=-62)


def _cry(event: Event, u: float, t: float) -> Iterator[Sprite]:
    yield _shade(8, 5)
    yield Sprite(str(event.agent), "cry", 8 + 0.08 * math.sin(20 * t), FLOOR, TALL)
    for drop in range(6):
        fall = (1.1 * t + drop / 6) % 1
        side = -1 if drop % 2 else 1
        yield Sprite("tear", "", 8.2 + side * (0.5 + 1.9 * fall), 4.5 + 4.4 * fall**2 - 0.9 * fall, 0.85)


def _dance(event: Event, u: float, t: float) -> Iterator[Sprite]:
    beat = _phase(t, 2, 3)
    yield _shade(8)
    yield Sprite(
        str(event.agent),
        f"dance{beat}",
        8 + 0.9 * math.sin(4.7 * t),
        FLOOR - 0.5 * abs(math.sin(9.4 * t)),
        TALL,
        angle=10 - 20 * beat,
    )
    for number in range(4):
        rise = (0.5 * t + number / 4) % 1
        x = 4.4 + 2.4 * number
        yield Sprite("note", str(number), x + 0.4 * math.sin(7 * rise), 5.6 - 3.6 * rise, 1.3, fade=1 - 0.4 * rise)


def _hide(event: Event, u: float, t: float) -> Iterator[Sprite]:
    peek = max(0.0, math.sin(2.6 * t + 0.9))
    yield Sprite(str(event.agent), "stand", 8 + 1.3 * peek, FLOOR + 0.9 - 0.5 * peek, TALL)
    yield Sprite("bush", "", 7.6, FLOOR - 1.3, 5.4)


def _grow(event: Event, u: float, t: float) -> Iterator[Sprite]:
    size = 3.2 + 5.6 * min(1.0, 1.25 * u)
    yield _shade(8, size)
    yield Sprite(str(event.agent), "up", 8, FLOOR + 0.5, size)
    for arrow in range(4):
        rise = (0.9 * t + arrow / 4) % 1
        yield Sprite("arrow", "", (2.2, 4.0, 12.0, 13.8)[arrow], 7.2 - 4.6 * rise, 1.5, fade=1 - 0.5 * rise)


def _fall(event: Event, u: float, t: float) -> Iterator[Sprite]:
    drop = (0.55 * t + 0.25) % 1
    y = 2.6 + 6.4 * drop**1.6
    yield _shade(8, 2 + 2.4 * drop)
    for line in range(3):
        yield Sprite("streak", "", 6.6 + 1.4 * line, y - 4.6 - 0.7 * (line % 2), 2.2, fade=0.8)
    yield Sprite(str(event.agent), "fallen", 8, y, TALL, angle=180 + 14 * math.sin(12 * t))


def _vanish(event: Event, u: float, t: float) -> Iterator[Sprite]:
    for puff in range(5):
        swirl = math.tau * puff / 5 + 1.5 * t
        x, y = 8 + 2.5 * math.cos(swirl), 6.0 + 1.5 * math.sin(swirl)
        yield Sprite("smoke", str(_phase(t + puff, 3, 5)), x, y, 2.9, fade=0.9)
    yield Sprite(str(event.agent), "up", 8, FLOOR, TALL, fade=max(0.4, 1.0 - 0.9 * u))
    for puff in range(3):
        yield Sprite("smoke", str(_phase(t + puff, 3, 5)), 6.4 + 1.6 * puff, FLOOR - 0.2, 2.2, fade=0.9)
    yield Sprite("star", str(_phase(t, 4, 6)), 5.4, 3.2, 1.3)
    yield Sprite("star", str(_phase(t + 0.3, 4, 6)), 10.8, 3.6, 1.1)


def _rest(event: Event, u: float, t: float) -> Iterator[Sprite]:
    yield _shade(6.2, 4.6)
    yield Sprite("glow", str(_phase(t, 2, 4)), 10.4, FLOOR - 1.2, 5.6, fade=0.45)
    yield Sprite(str(event.agent), "sit", 6.2, FLOOR + 0.1, TALL)
    yield Sprite("fire", str(_phase(t, 2, 7)), 10.4, FLOOR - 1.3, 3.4)


def _find(event: Event, u: float, t: float) -> Iterator[Sprite]:
    x = 3.8 + 2.0 * min(1.0, 1.6 * u)
    yield _shade(x)
    yield Sprite("glow", str(_phase(t, 2, 3)), 10.8, FLOOR - 1.3, 5.0, fade=0.9)
    yield Sprite(str(event.agent), "reach", x, FLOOR, TALL)
    yield Sprite(str(event.object), "", 10.8, FLOOR - 1.3, 2.9)


def _lift(event: Event, u: float, t: float) -> Iterator[Sprite]:
    sway = 0.25 * math.sin(4 * t)
    yield _shade(8)
    yield Sprite(str(event.agent), "up", 8, FLOOR + 0.6, TALL)
    yield Sprite(str(event.object), "", 8 + sway, 2.7, 2.6)


def _throw(event: Event, u: float, t: float) -> Iterator[Sprite]:
    flight = (0.7 * t + 0.12) % 1
    yield _shade(4.2)
    yield Sprite(str(event.agent), "punch0" if flight < 0.5 else "punch1", 4.2, FLOOR, TALL, angle=-14)
    x, y = 6.6 + 8.2 * flight, 4.4 - 8.5 * flight * (0.85 - flight)
    yield Sprite(str(event.object), "", x, y, 2.7, angle=-round(420 * flight / 30) * 30.0)


def _meet(event: Event, u: float, t: float) -> Iterator[Sprite]:
    speaker = _phase(t, 2, 0.9)
    for side, name in enumerate((event.agent, event.patient)):
        x = (5.0, 11.0)[side]
        yield _shade(x)
        yield Sprite(str(name), "wave" if speaker == side else "stand", x, FLOOR, TALL, flip=side == 1)
    yield Sprite("bubble", str(_phase(t, 3, 3)), (7.2, 8.8)[speaker], 3.0, 2.5, flip=speaker == 1)


def _fight(event: Event, u: float, t: float) -> Iterator[Sprite]:
    shake = 0.35 * math.sin(17 * t)
    for side, name in enumerate((event.agent, event.patient)):
        x = (5.7 + shake, 10.3 + shake)[side]
        yield _shade(x)
        yield Sprite(
            str(name), f"punch{(_phase(t, 2, 5) + side) % 2}", x, FLOOR, TALL, flip=side == 1, angle=(-9, 9)[side]
        )
    yield Sprite("burst", str(_phase(t, 2, 6)), 8 + shake, 4.6, 2.8 + 0.6 * math.sin(12 * t))


def _chase(event: Event, u: float, t: float) -> Iterator[Sprite]:
    x = 2.4 + 6.0 * u
    yield _shade(x)
    yield _shade(x + 5.2)
    yield Sprite("dust", "", x - 1.9, FLOOR - 0.1, 1.5, fade=0.75)
    yield Sprite("dust", "", x + 3.3, FLOOR - 0.1, 1.3, fade=0.75)
    yield Sprite(
        str(event.patient), f"scared{_phase(t, 4, 10)}", x + 5.2, FLOOR - 0.2 * abs(math.sin(10 * t)), TALL, angle=-10
    )
    yield Sprite(str(event.agent), f"step{_phase(t, 4, 10)}", x, FLOOR - 0.2 * abs(math.cos(10 * t)), TALL, angle=-14)


def _hug(event: Event, u: float, t: float) -> Iterator[Sprite]:
    sway = 3 * math.sin(3 * t)
    yield _shade(8, 6)
    yield Sprite(str(event.patient), "hug", 9.2, FLOOR, TALL, flip=True, angle=5 + sway)
    yield Sprite(str(event.agent), "hug", 6.8, FLOOR, TALL, angle=-5 + sway)
    for heart in range(4):
        rise = (0.45 * t + heart / 4) % 1
        yield Sprite(
            "heart",
            "",
            6.4 + 1.1 * heart + 0.3 * math.sin(8 * rise),
            4.0 - 3.2 * rise,
            0.8 + 0.6 * rise,
            fade=1 - 0.4 * rise,
        )


def _give(event: Event, u: float, t: float) -> Iterator[Sprite]:
    pass_on = 0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, 1.3 * u)))
    for side, name in enumerate((event.agent, event.patient)):
        x = (4.3, 11.7)[side]
        yield _shade(x)
        yield Sprite(str(name), "reach", x, FLOOR, TALL, flip=side == 1)
    yield Sprite(str(event.object), "", 6.7 + 2.6 * pass_on, 4.7 - 0.5 * math.sin(math.pi * pass_on), 2.5)


def _weather(event: Event, u: float, t: float) -> Iterator[Sprite]:
    yield from ()


_ACTS: dict[str, Act] = {
    "run": _run,
    "jump": _jump,
    "sleep": _sleep,
    "fly": _fly,
    "cry": _cry,
    "dance": _dance,
    "hide": _hide,
    "grow": _grow,
    "fall": _fall,
    "vanish": _vanish,
    "rest": _rest,
    "find": _find,
    "lift": _lift,
    "throw": _throw,
    "meet": _meet,
    "fight": _fight,
    "chase": _chase,
    "hug": _hug,
    "give": _give,
    "storm": _weather,
    "rainbow": _weather,
    "fireworks": _weather,
}
