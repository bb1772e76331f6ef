"""Tests: they mirror the packages; conformance looks at the whole from outside."""
