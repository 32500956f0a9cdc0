"""One call made well: retries, breakers, caches, redaction, judges."""
