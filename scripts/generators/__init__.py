"""What makes the checked-in data files; each has a script of its own beside this folder."""
