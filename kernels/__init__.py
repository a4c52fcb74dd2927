"""What is hard: alignment recurrences over a cost matrix, video first, with a readable reference of each."""
