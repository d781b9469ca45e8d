"""What only a machine with a GPU can show: its driver's figures, memory, sleep mode and the memory ladder."""
