"""From a document to something that runs: modules, the network, and how its maps are read."""
