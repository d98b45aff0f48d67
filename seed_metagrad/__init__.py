"""Meta-gradient reinforcement learning: the algorithm, pure.

Importing this package imports no TensorFlow: actors use it too.
"""
