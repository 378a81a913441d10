"""Why machines do not see each other: each check gathers facts, and a pure verdict names the cause and the fix."""
