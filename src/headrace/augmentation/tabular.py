"""Rows of a table are never changed: a value moved a little is another customer, whose label nobody knows."""
