"""The network of services: their addresses lead to pods, and their names to addresses."""
