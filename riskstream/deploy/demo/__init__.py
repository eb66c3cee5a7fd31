"""The demo: simulated payments through real Kafka, real Redis and two scoring workers, and a count of what came out.

    model.py    a model bundle, trained on first use and kept
    traffic.py  what is sent, and what each record must lead to
    workers.py  the scoring workers, as processes
    stream.py   sending, and watching the answers become visible
    outputs.py  the output topics, read as any downstream consumer would
    count.py    was every record answered exactly once?
    report.py   the table at the end

What reads and what counts shares no code with the workers: it knows only the contract of the topics.
"""
