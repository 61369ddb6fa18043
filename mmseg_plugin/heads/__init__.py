"""What MMSegmentation's decode heads do with their logits, without the logits of every pixel."""
