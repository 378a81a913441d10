"""The token loop: prompt in, text out, with any model that maps token ids to logits."""
