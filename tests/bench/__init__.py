"""`make bench`: what lvsd costs beside its peers. docs/performance.md says how it is measured."""
