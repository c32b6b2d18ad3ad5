"""Rows of a table are never changed: a value moved a little is another record, whose number nobody knows."""
