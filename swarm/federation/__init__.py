"""FederatedSwarm: who is asked, and which answer wins. Pure but for waiting."""
