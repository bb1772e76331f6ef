"""Tests of kvstore.testing."""
