"""The paper's section 3 and the chain."""
