"""The parts of the swap benchmark: pairs of models, cold starts, alternating swaps, and what they lose or leave."""
