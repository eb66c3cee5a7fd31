"""`make bench-drift`: how often the verdicts are wrong, and how small a change they still see.

traffic.py   calm windows of any size, drawn from simulated payments without breaking what hangs together
calm.py      false alarms in calm windows
power.py     the smallest change that is noticed, and how soon
"""
