"""Ships orders with Celery. A task that fails goes to the queue `celery:failed`, from which no worker takes."""
import urllib.request

from celery import Celery, Task

app = Celery("tasks", broker="redis://localhost:6379/0")


class Recoverable(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.apply_async(args, kwargs, task_id=task_id, queue="celery:failed")


@app.task(base=Recoverable)
def ship(order_id):
    urllib.request.urlopen("http://localhost:9000", data=order_id.encode(), timeout=5).close()
