"""The composition root: builds, joins, starts, stops."""
