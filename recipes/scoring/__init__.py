"""What runs score: on the test videos of a set, beside each other, and beside the figures of the papers."""
