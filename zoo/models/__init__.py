"""The models, one family to a file.  `weaksync.zoo.create` makes them by name."""
