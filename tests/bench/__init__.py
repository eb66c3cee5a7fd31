"""`make bench`: what a worker costs and how long it takes, on the real embedded stack, judged by ratios within one run.

workload.py    simulated payments whose users have a past of a chosen length
bundles.py     the demo's model, and the same with fewer trees
cpu.py         CPU time of this process and of others
world.py       what every measurement needs
rig.py         topics, stored pasts, worker processes
flow.py        the worker's own flow in this process, every stage with its CPU time
stages.py      what each stage costs, by batch size
floor.py       the cheapest known way to do each step alone
exchange.py    consume, produce and commit on the real broker: the worker's way and the cheapest
naive.py       the loop that a tutorial would show, as a process; tutorial.py runs it
saturation.py  worker processes against a preloaded backlog
passthrough.py consume, produce, commit and nothing else, as a process: what the broker and the machine take
latency.py     from produce to visible at read_committed
disturbance.py latency while workers join, are rolled, or die; how soon an heir scores
growth.py      cost and memory by the number of users; cost by trees, features and backlog
plan.py        what is measured, in order
aims.py        what a run comes to: the headline, the aims
results.py     rows as JSON, compared; tables.py: the same as Markdown; pictures.py: as SVG; notes.py: a run's sum
"""
