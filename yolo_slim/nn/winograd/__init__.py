"""Convolutions of 3 x 3 with fewer multiplications: the same result, by Winograd's algorithms."""
