"""Orders what the command line names."""
import json
import sys

from redis import Redis

redis = Redis(host="localhost", port=6379)

for order_id in sys.argv[1:]:
    redis.lpush("orders", json.dumps({"id": order_id, "total": 12.50}))
