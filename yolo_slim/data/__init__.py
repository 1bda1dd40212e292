"""Pictures with boxes: reading, describing, augmenting and serving them."""

import os

# Read by Albumentations when it is imported: no look at the network for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
