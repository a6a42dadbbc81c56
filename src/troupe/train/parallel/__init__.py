"""Many processes on one run: applied from outside, so that models stay plain modules."""
