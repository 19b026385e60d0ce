"""Sends the events in the list `events` on. Pushes an event that fails to `events:failed`, as it was."""
import json
import urllib.request

from redis import Redis

redis = Redis(host="localhost", port=6379)


def index(event):
    urllib.request.urlopen("http://localhost:9000", data=event["message"].encode(), timeout=5).close()


while True:
    _, message = redis.blpop("events")
    try:
        index(json.loads(message))
    except Exception:
        redis.rpush("events:failed", message)
