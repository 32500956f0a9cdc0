"""What a candidate is to its use case, in the words of tables and figures."""

INCUMBENT, MOST_CHOSEN, OTHER = "incumbent", "most chosen", "other candidate"
