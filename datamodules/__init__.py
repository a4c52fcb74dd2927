"""What goes in: shards, index, streaming, readers of published data sets, and the batches that models take."""
