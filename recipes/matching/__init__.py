"""A pool of subtitles, and the clips that ask it: indexed, ranked, fitted, spoken."""
