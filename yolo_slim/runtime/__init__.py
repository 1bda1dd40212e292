"""One small session over every engine: a batch of inputs in, the raw maps of the heads out."""
