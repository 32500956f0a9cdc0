"""What the package is measured by; `python -m benchmarks` runs it."""
