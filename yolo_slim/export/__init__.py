"""From a bundle to files that other programs run."""
