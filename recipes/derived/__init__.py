"""Sets that are made of another set, and belong to it: features, streams, translations."""
