"""One module per question that a notebook asks of a ledger: what is read for it, the answer in words, its tables."""
