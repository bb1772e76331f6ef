"""Tests of `kvstore.testing.pysyncobj`."""
