<?php
// Ships orders with Laravel's queue worker. Pushes a job that fails to `queues:orders:failed`.
require __DIR__ . '/queue.php';

use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Queue\Events\JobFailed;
use Illuminate\Queue\Worker;
use Illuminate\Queue\WorkerOptions;

class ShipOrder
{
    public function fire($job, $data)
    {
        $post = stream_context_create(['http' => ['method' => 'POST', 'content' => $data['id'], 'timeout' => 5]]);
        if (@file_get_contents('http://localhost:9000', false, $post) === false) {
            throw new RuntimeException("{$data['id']} was not shipped");
        }
        $job->delete();
    }
}

// In an application this goes into boot() of App\Providers\AppServiceProvider, with Event::listen and Redis::rpush.
$events->listen(JobFailed::class, function (JobFailed $event) use ($redis) {
    // Its tries begin again when it goes back, as with php artisan queue:retry.
    $redis->rpush('queues:orders:failed', json_encode(['attempts' => 0] + $event->job->payload()));
});

// In an application: php artisan queue:work --queue=orders --tries=1
$onError = new class implements ExceptionHandler {
    public function report(Throwable $e) { fwrite(STDERR, "{$e->getMessage()}\n"); }
    public function shouldReport(Throwable $e) { return true; }
    public function render($request, Throwable $e) {}
    public function renderForConsole($output, Throwable $e) {}
};
$worker = new Worker($queue->getQueueManager(), $events, $onError, fn () => false);
exit($worker->daemon('default', 'orders', new WorkerOptions(maxTries: 1, sleep: 1)));
