"""Orders what the command line names."""
import sys

from tasks import ship

for order_id in sys.argv[1:]:
    ship.delay(order_id)
