"""What data sets hold, in the words of the papers' tables."""
