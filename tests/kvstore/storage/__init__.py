"""Tests of kvstore.storage."""
