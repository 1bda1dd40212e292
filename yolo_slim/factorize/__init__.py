"""A convolution becomes two or three thinner ones: which, at what rank, and from which numbers."""
