"""Benchmarks on Apache Kafka and redis-server: `scripts/bench --help`.

What counts are ratios inside one run on one machine; absolute numbers differ from machine to machine.
"""
