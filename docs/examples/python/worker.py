"""Ships the orders in the list `orders`. Pushes an order that fails to `orders:dlq`."""
import json
import urllib.request

from redis import Redis

redis = Redis(host="localhost", port=6379)


def ship(order):
    urllib.request.urlopen("http://localhost:9000", data=order["id"].encode(), timeout=5).close()


while True:
    _, message = redis.brpop("orders")
    order = json.loads(message)
    try:
        ship(order)
    except Exception as error:
        order["attempts"] = order.get("attempts", 0) + 1
        order["error"] = str(error)
        redis.lpush("orders:dlq", json.dumps(order))
