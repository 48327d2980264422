"""The live monitor: what is published, over HTTP, for people and for machines."""
