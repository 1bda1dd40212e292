"""One training loop. Plain, sparse and distilled training are settings of it."""
