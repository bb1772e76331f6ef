"""The simulated world: clock, network and disk of dice, from one seed."""
