"""Pictures with boxes: reading, describing, augmenting and serving them."""
