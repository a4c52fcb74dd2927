"""What a model is: models, losses, metrics, the registry, weights and checkpoints."""
