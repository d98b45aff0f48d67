"""Many runs to one report."""
