"""What runs in the guest: each module is a program that prints one JSON object.

The guest counts instructions as nanoseconds, so its clocks are the measure; see docs/performance.md.
"""
