"""What a run tells people: table, TensorBoard, progress, summary, figure."""
