"""Channel pruning: plan what to keep, silence it, absorb it, cut it."""
