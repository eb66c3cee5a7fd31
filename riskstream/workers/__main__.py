"""`python -m riskstream.workers` is `riskstream`."""

from riskstream.workers.cli import main

main()
