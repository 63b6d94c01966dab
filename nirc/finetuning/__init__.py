"""Fine-tuning: a chip's integers learn from the model's answers, through the chip's arithmetic."""
