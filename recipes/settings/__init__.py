"""What recipes may say, as dataclasses: a file for each task; none imports torch."""
