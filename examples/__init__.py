"""Applications on the store, and how they are property-tested."""
