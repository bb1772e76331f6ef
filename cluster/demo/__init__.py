"""`cluster demo`: the story of a cluster that heals, told by one that runs."""
