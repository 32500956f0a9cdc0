"""The offline rim: simulated worlds, recorded tables, and the policies that are replayed on them."""
