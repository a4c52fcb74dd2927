"""Pages and pictures: what a verb leaves to look at."""
