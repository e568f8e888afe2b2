"""Where it is said to work, tried there: `make compatibility`."""
