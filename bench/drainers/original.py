"""MUTT's own remediation service: the loop of one pass, written anew from its description.

Usage: original.py PORT COUNT. Prints {"seconds": ..., "cpu_seconds": ...}.
Metrics and log lines of the original are left out: they would only make it slower.
"""
import json
import sys
import time

import redis

DLQ, TARGET, DEAD = "mutt:dlq:alerter", "mutt:ingest_queue", "mutt:dlq:dead"
MAX_RETRIES = 3


def retry_count(text):
    try:
        return json.loads(text).get("_moog_retry_count", 0)
    except (json.JSONDecodeError, KeyError):
        return 0


def replay(client, batch_size):
    depth = client.llen(DLQ)
    for _ in range(min(batch_size, depth)):
        message = client.rpop(DLQ)
        if message is None:
            return
        try:
            is_poison = retry_count(message.decode("utf-8")) >= MAX_RETRIES
            client.lpush(DEAD if is_poison else TARGET, message)
        except Exception:
            client.rpush(DLQ, message)


def main():
    client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]))
    client.ping()
    started, cpu = time.perf_counter(), time.process_time()
    replay(client, int(sys.argv[2]))
    spent = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(spent))


main()
