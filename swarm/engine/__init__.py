"""The door to the model worker: starts it, watches it, is a TextSource. No torch here."""
