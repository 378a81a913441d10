"""Starting together, stopping together."""
