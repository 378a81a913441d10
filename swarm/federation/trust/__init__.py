"""What this node has learned about others: from questions with known answers, and weakly from agreement. Pure."""
