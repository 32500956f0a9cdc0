"""Orchestra Optimizer: the cheapest language model that is good enough, call by call."""
