"""What is wrong with a data set, found without stopping at the first fault."""
