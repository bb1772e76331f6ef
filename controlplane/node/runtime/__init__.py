"""What runs containers, behind one interface: `interface.py`."""
