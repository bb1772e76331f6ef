"""The asyncio client: fail-over, safe retries, watches that resume, leases that live."""
