"""What a trained network adds to the loss of one that learns from it."""
