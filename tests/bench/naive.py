"""The loop that a tutorial would show, as a process: one event at a time. Prints what it cost as one line of JSON.

Poll one record, json.loads, HGETALL the user's counters, one row through ONNX Runtime, json.dumps, produce, and commit:
each event, or every so many.
"""

import argparse
import json
import sys
import time

import numpy as np
import onnxruntime
import redis
from confluent_kafka import Consumer, Producer


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "redis", "source", "target", "model", "group"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--commit-every", type=int, required=True)
    given = parser.parse_args(arguments)
    consumer = Consumer(
        {
            "bootstrap.servers": given.bootstrap,
            "group.id": given.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([given.source])
    producer = Producer({"bootstrap.servers": given.bootstrap})
    store = redis.Redis.from_url(given.redis, decode_responses=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # kinder to it than the default, whose idle threads spin
    session = onnxruntime.InferenceSession(given.model, options)
    name = session.get_inputs()[0].name
    width = session.get_inputs()[0].shape[1]
    scored, warm = 0, given.events // 5
    started = time.process_time()
    while scored < given.events:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        event = json.loads(message.value() or b"")
        counters = store.hgetall(f"counters:{event['user_id']}")
        features = [event["amount"], event["event_time"] // 3_600_000 % 24, *map(float, counters.values())]
        row = np.full((1, width), np.nan, np.float32)
        row[0, : len(features)] = features
        score = float(session.run(None, {name: row})[1][0, 1])
        result = {"event_id": event["event_id"], "user_id": event["user_id"], "score": score}
        producer.produce(given.target, json.dumps(result), key=message.key())
        producer.poll(0)
        scored += 1
        if scored % given.commit_every == 0:
            producer.flush()
            consumer.commit(message=message, asynchronous=False)
        if scored == warm:
            started = time.process_time()
    spent = time.process_time() - started
    print(json.dumps({"us": 1e6 * spent / (scored - warm)}))  # noqa: T201
    consumer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
