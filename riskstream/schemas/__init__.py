"""The wire: what crosses a topic or sits in Redis. Imports nothing else of ours."""
