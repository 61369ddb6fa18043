"""What a loss that a source writes out is, computed in NumPy float64 from its graph; nothing of the source is run."""
