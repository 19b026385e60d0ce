<?php
// Laravel's queue on Redis without an application. In one, config/queue.php and config/database.php say this.
require_once 'Illuminate/Events/autoload.php';
require_once 'Illuminate/Queue/autoload.php';
require_once 'Illuminate/Redis/autoload.php';

use Illuminate\Container\Container;
use Illuminate\Events\Dispatcher;
use Illuminate\Queue\Capsule\Manager;
use Illuminate\Redis\RedisManager;

$app = new Container();
$events = new Dispatcher($app);
$redis = new RedisManager($app, 'phpredis', ['default' => ['host' => 'localhost', 'port' => 6379]]);
Container::setInstance($app);
$app->instance(Illuminate\Contracts\Events\Dispatcher::class, $events);
$app->instance('redis', $redis);

$queue = new Manager($app);
$queue->addConnection(['driver' => 'redis', 'queue' => 'orders', 'retry_after' => 90]);
