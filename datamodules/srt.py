"""SRT subtitle files, as they are written."""

from __future__ import annotations


def srt_cue(number: int, start: float, end: float, text: str) -> str:
    """One cue of an SRT file: its number from 1, its times in seconds, rounded to milliseconds, and its text."""
    return f"{number}\n{_clock(start)} --> {_clock(end)}\n{text}\n"


def _clock(seconds: float) -> str:
    """``HH:MM:SS,mmm``."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{milliseconds:03d}"
