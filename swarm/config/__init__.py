"""Defaults < config.toml < environment < flags, as frozen settings."""
