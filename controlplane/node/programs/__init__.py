"""Programs that the small images of the embedded runtime run. Standard library only."""
