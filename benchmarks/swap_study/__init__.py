"""The parts of the swap benchmark: pairs of models, cold starts, swaps in turn and what they may lose or leave."""
