"""What the ledger is worth in hindsight: intervals and savings, from records handed in."""
