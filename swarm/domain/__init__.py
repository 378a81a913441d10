"""What the words mean: frozen dataclasses, ids and the error tree. Imports nothing of the project."""
