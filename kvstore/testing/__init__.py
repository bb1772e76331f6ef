"""For whoever property-tests consistency: simulation, histories, processes, faults."""
