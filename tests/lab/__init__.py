"""Several hosts on one Linux machine, for tests: a throw-away LAN of anonymous namespaces."""
