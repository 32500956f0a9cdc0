"""Pure decision: from request and evidence to a selection."""
